/** Tools that look at the engine as a whole. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { openEvents } from "../../docker/events.ts";
import { filterLists, filters } from "../filters.ts";
import { output } from "../output.ts";
import { moment } from "../times.ts";
import { tool, type ToolCall } from "../tool.ts";

const EVENTS_MAX = 1_000;
const WAIT_S = 5;
const WAIT_S_MAX = 60;

const info = v.looseObject({
  Name: v.optional(v.string(), ""),
  ServerVersion: v.optional(v.string(), ""),
  OperatingSystem: v.optional(v.string(), ""),
  Driver: v.optional(v.string(), ""),
  Containers: v.optional(v.number(), 0),
  ContainersRunning: v.optional(v.number(), 0),
  Images: v.optional(v.number(), 0),
  NCPU: v.optional(v.number(), 0),
  MemTotal: v.optional(v.number(), 0),
});

/** Of an engine behind a proxy these are addresses with passwords in them. */
const SECRET_FIELDS = ["HttpProxy", "HttpsProxy", "RegistryConfig", "Labels"];

export const systemInfoTool = tool({
  name: "docker_system_info",
  category: "system",
  title: "Engine information",
  description:
    "What the engine is and has: version, system, storage, numbers of containers and images, processors, memory, warnings.",
  level: "safe",
  time: "quick",
  input: v.strictObject({}),
  output: output({
    name: v.string(),
    version: v.string(),
    system: v.string(),
    containers: v.number(),
    running: v.number(),
    images: v.number(),
    cpus: v.number(),
    memory_bytes: v.number(),
    info: v.pipe(
      v.record(v.string(), v.unknown()),
      v.description("The engine's own answer, without proxies and registries"),
    ),
  }),
  example: {},
  async handle(_, call) {
    const request = { what: "asking the engine what it is", method: "GET", path: "/info" } as const;
    const found = await (await call.engine()).call(request, info, call.deadline);
    const shown = Object.fromEntries(Object.entries(found).filter(([key]) => !SECRET_FIELDS.includes(key)));
    return {
      name: found.Name,
      version: found.ServerVersion,
      system: found.OperatingSystem,
      containers: found.Containers,
      running: found.ContainersRunning,
      images: found.Images,
      cpus: found.NCPU,
      memory_bytes: found.MemTotal,
      info: shown,
    };
  },
  text: ({ name, version, system, containers, running, images, cpus, memory_bytes }) =>
    `${name}: Engine ${version} on ${system}, ${running} of ${containers} containers run, ${images} images, ${cpus} processors, ${Math.round(memory_bytes / 1024 ** 3)} GiB`,
});

const sizes = v.optional(
  v.nullable(
    v.array(
      v.looseObject({
        Size: v.optional(v.number()),
        SizeRw: v.optional(v.number()),
        UsageData: v.optional(v.nullable(v.object({ Size: v.number() }))),
      }),
    ),
  ),
  [],
);
const usage = v.object({
  LayersSize: v.optional(v.number(), 0),
  Images: sizes,
  Containers: sizes,
  Volumes: sizes,
  BuildCache: sizes,
});
const kind = v.object({ count: v.number(), bytes: v.number() });

export const systemDfTool = tool({
  name: "docker_system_df",
  category: "system",
  title: "Disk use of the engine",
  description:
    "How many bytes images, containers, volumes and the build cache take on the engine's disk. May take a while on a large engine.",
  level: "safe",
  time: "long",
  input: v.strictObject({}),
  output: output({ images: kind, containers: kind, volumes: kind, build_cache: kind }),
  example: {},
  async handle(_, call) {
    const request = {
      what: "measuring the engine's disk use",
      method: "GET",
      path: "/system/df",
      patient: true,
    } as const;
    const found = await (await call.engine()).call(request, usage, call.deadline);
    const sum = (list: typeof found.Images) =>
      (list ?? []).reduce((bytes, one) => bytes + Math.max(0, one.UsageData?.Size ?? one.SizeRw ?? one.Size ?? 0), 0);
    const of = (list: typeof found.Images) => ({ count: list?.length ?? 0, bytes: sum(list) });
    return {
      // Layers are shared: the sizes of images added up would be too much.
      images: { count: found.Images?.length ?? 0, bytes: found.LayersSize },
      containers: of((found.Containers ?? []).map(({ SizeRw = 0 }) => ({ SizeRw }))),
      volumes: of(found.Volumes),
      build_cache: of(found.BuildCache),
    };
  },
  text: (found) =>
    (["images", "containers", "volumes", "build_cache"] as const)
      .map((name) => `${name}: ${found[name].count}, ${Math.round(found[name].bytes / 1e6)} MB`)
      .join("\n"),
});

const event = v.object({
  at: v.string(),
  type: v.string(),
  action: v.string(),
  id: v.string(),
  attributes: v.record(v.string(), v.string()),
});
const attributes = v.fallback(v.record(v.string(), v.string()), {});

export const eventsTool = tool({
  name: "docker_events",
  category: "system",
  title: "Events of the engine",
  description: `What has happened on the engine since a moment: starts, ends, kills for memory, pulls. Without until it waits for new ones too, for wait_seconds. ${EVENTS_MAX} events at most.`,
  level: "safe",
  time: "long",
  input: v.strictObject({
    since: moment,
    until: moment,
    filters,
    wait_seconds: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(WAIT_S_MAX)), WAIT_S),
    decode: v.optional(v.pipe(v.boolean(), v.description("Always so"))),
  }),
  output: output({ events: v.array(event) }),
  example: { since: "1h", until: "0s", filters: { type: "container" } },
  handle: ({ since, until, filters: asked, wait_seconds }, call) =>
    events({ since, until, asked, waitMs: wait_seconds * 1000 }, call),
  text: ({ events: found }) =>
    found
      .map(({ at, type, action, id, attributes: { name } }) => `${at} ${type} ${action} ${name ?? id.slice(0, 12)}`)
      .join("\n") || "Nothing has happened.",
});

interface Span {
  since: number | undefined;
  until: number | undefined;
  asked: v.InferOutput<typeof filters>;
  waitMs: number;
}

async function events({ since, until, asked, waitMs }: Span, call: ToolCall) {
  const now = Date.now() / 1000;
  // The stream has no end of its own: it ends when the last moment has come.
  const endMs = until === undefined ? waitMs : Math.min(Math.max(0, (until - now) * 1000), WAIT_S_MAX * 1000) + 500;
  const end = AbortSignal.any([call.signal, AbortSignal.timeout(Math.ceil(endMs))]);
  const found: v.InferOutput<typeof event>[] = [];
  const stream = await openEvents(await call.engine(), filterLists(asked), since, call.deadline, end);
  try {
    for await (const { Type: type, Action: action, Actor, time } of stream) {
      if (until !== undefined && time > until) break;
      found.push({
        at: new Date(time * 1000).toISOString(),
        type,
        action,
        id: Actor.ID,
        attributes: v.parse(attributes, Actor["Attributes"]),
      });
      if (found.length >= EVENTS_MAX) break;
    }
  } catch (error) {
    if (!end.aborted || call.signal.aborted) throw error;
  }
  return { events: found };
}

export const healthcheckTool = tool({
  name: "docker_healthcheck",
  category: "system",
  title: "Health of the engine",
  description:
    "Whether the engine answers, how fast, and what of it is amiss. Never an error: what is wrong is the answer.",
  level: "safe",
  time: "quick",
  input: v.strictObject({}),
  output: output({
    healthy: v.boolean(),
    latency_ms: v.number(),
    warnings: v.array(v.string()),
    problem: v.optional(v.string()),
    hint: v.optional(v.string()),
  }),
  example: {},
  async handle(_, call) {
    const from = performance.now();
    try {
      const engine = await call.engine();
      const { Warnings } = await engine.info(call.deadline);
      return { healthy: true, latency_ms: Math.round(performance.now() - from), warnings: Warnings ?? [] };
    } catch (error) {
      const { message, hint } = Fault.from(error);
      return {
        healthy: false,
        latency_ms: Math.round(performance.now() - from),
        warnings: [],
        problem: message,
        ...(hint ? { hint } : {}),
      };
    }
  },
  text: ({ healthy, latency_ms, warnings, problem, hint }) =>
    [healthy ? `The engine answers within ${latency_ms} ms` : `${problem}`, ...(hint ? [hint] : []), ...warnings].join(
      "\n",
    ),
});
