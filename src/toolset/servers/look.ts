/** Tools that look at servers. */
import * as v from "valibot";
import { output, page, paged, paging } from "../output.ts";
import { tool } from "../tool.ts";
import { redactor } from "../values.ts";
import { factsOf, factsText, isoTime, serverFacts, serverName } from "./common.ts";

const HIDDEN = "***";
const LINES = 100;
const LINES_MAX = 10_000;
/** Of one line of a log: a message may have megabytes. */
const LINE_CHARS_MAX = 4_096;

export const listServersTool = tool({
  name: "list_servers",
  category: "servers",
  title: "List servers",
  description:
    "All MCP servers that Linkspan knows, with their state, running or not. Containers that are no MCP servers are in docker_list_containers.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ ...paging }),
  output: output({ servers: v.array(v.object(serverFacts)), ...paged }),
  example: {},
  async handle(asked, call) {
    const { items, ...rest } = page(await (await call.servers()).servers({ deadline: call.deadline }), asked);
    return { servers: items.map(factsOf), ...rest };
  },
  text: ({ servers, total }) => [`${total} servers`, ...servers.map(factsText)].join("\n"),
});

const gap = v.object({ field: v.string(), severity: v.string(), message: v.string() });

export const inspectServerTool = tool({
  name: "inspect_server",
  category: "servers",
  title: "Inspect a server",
  description:
    "One server with its whole definition, every default filled in, and what the engine cannot keep of it. Values of its environment and secrets are hidden.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ name: serverName }),
  output: output({
    ...serverFacts,
    definition: v.record(v.string(), v.unknown()),
    gaps: v.pipe(v.array(gap), v.description("What the engine weakens or cannot do")),
  }),
  example: { name: "everything" },
  async handle({ name }, call) {
    const found = await (await call.servers()).inspect(name, { deadline: call.deadline });
    const { env, secrets, ...spec } = found.spec;
    const hide = redactor(Object.entries(env).map((pair) => pair.join("=")));
    const words = (list: readonly string[] | undefined) => (list ? list.map(hide) : undefined);
    const { command, args } = { command: words(spec.command), args: words(spec.args) };
    return {
      ...factsOf(found.view),
      definition: {
        ...spec,
        ...(command ? { command } : {}),
        ...(args ? { args } : {}),
        environment: masked(env),
        secrets: masked(secrets),
      },
      gaps: found.gaps.map(({ field, severity, message }) => ({ field, severity, message })),
    };
  },
  text: (server) =>
    [
      factsText(server),
      ...server.gaps.map(({ field, severity, message }) => `${field} (${severity}): ${message}`),
    ].join("\n"),
});

/** Names with hidden values; as a list, because a name may be that of a secret. */
function masked(variables: Record<string, string>): string[] {
  return Object.keys(variables).map((name) => `${name}=${HIDDEN}`);
}

export const serverLogsTool = tool({
  name: "server_logs",
  category: "servers",
  title: "Log of a server",
  description:
    "The newest lines that a server has written to its standard error, oldest first; also of one that has ended and not been removed.",
  level: "safe",
  time: "work",
  input: v.strictObject({
    name: serverName,
    tail: v.optional(
      v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(LINES_MAX), v.description("The newest lines")),
      LINES,
    ),
  }),
  output: output({ lines: v.array(v.object({ at: v.string(), text: v.string() })) }),
  example: { name: "everything", tail: 50 },
  async handle({ name, tail }, call) {
    const door = await call.servers();
    const { spec } = await door.inspect(name, { deadline: call.deadline });
    const hide = redactor(Object.entries(spec.env).map((pair) => pair.join("=")));
    const lines: { at: string; text: string }[] = [];
    for await (const { at, text } of door.logs(name, { tail, signal: call.signal })) {
      lines.push({ at: isoTime(at), text: hide(text.slice(0, LINE_CHARS_MAX)) });
      if (lines.length > LINES_MAX) lines.shift();
    }
    return { lines };
  },
  text: ({ lines }) => lines.map(({ at, text }) => `${at} ${text}`).join("\n") || "The log is empty.",
});

export const serverStatsTool = tool({
  name: "server_stats",
  category: "servers",
  title: "Figures of a server",
  description: "Memory, processor and processes of a server that runs, now.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ name: serverName }),
  output: output({
    name: v.string(),
    memory_bytes: v.number(),
    memory_limit_bytes: v.number(),
    cpu_percent: v.pipe(v.number(), v.description("100 is one processor")),
    pids: v.number(),
  }),
  example: { name: "everything" },
  async handle({ name }, call) {
    const found = await (await call.servers()).stats(name, { deadline: call.deadline });
    return {
      name,
      memory_bytes: found.memoryBytes,
      memory_limit_bytes: found.memoryLimitBytes,
      cpu_percent: found.cpuPercent,
      pids: found.pids,
    };
  },
  text: ({ name, memory_bytes, memory_limit_bytes, cpu_percent, pids }) =>
    `${name}: ${mib(memory_bytes)} of ${mib(memory_limit_bytes)} MiB, ${cpu_percent.toFixed(1)} % of a processor, ${pids} processes`,
});

function mib(bytes: number): string {
  return (bytes / 1024 ** 2).toFixed(1);
}

export const serverHealthTool = tool({
  name: "server_health",
  category: "servers",
  title: "Health of a server",
  description:
    "How a server is doing: its state, and what its bridge says of its processes, sessions and requests. Take server_logs to see why one is not well.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ name: serverName }),
  output: output({
    ...serverFacts,
    health: v.optional(
      v.pipe(
        v.object({
          status: v.string(),
          uptime_s: v.number(),
          processes: v.number(),
          sessions: v.number(),
          requests: v.pipe(v.number(), v.description("That wait for an answer")),
          trouble: v.optional(v.string()),
        }),
        v.description("Absent where no bridge answers"),
      ),
    ),
  }),
  example: { name: "everything" },
  async handle({ name }, call) {
    const { view, health } = await (await call.servers()).inspect(name, { deadline: call.deadline });
    if (!health) return factsOf(view);
    const { status, uptimeMs, processes, sessions, inFlight, trouble } = health;
    return {
      ...factsOf(view),
      health: {
        status,
        uptime_s: Math.round(uptimeMs / 1000),
        processes,
        sessions,
        requests: inFlight,
        ...(trouble ? { trouble: trouble.message } : {}),
      },
    };
  },
  text: ({ health, ...server }) => {
    if (!health) return `${factsText(server)}\nNo bridge answers: it does not run, or hangs.`;
    const { status, processes, sessions, requests, trouble } = health;
    const figures = `${processes} processes, ${sessions} sessions, ${requests} requests under way`;
    return [factsText(server), `bridge ${status}: ${figures}`, ...(trouble ? [trouble] : [])].join("\n");
  },
});
