/** One server seen from near: what was asked for, what the engine made of it, how it is doing. */
import type { HealthReport } from "../../bridge/wire.ts";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import type { ServerView } from "../model/views.ts";
import type { Gap, LogLine, LogOptions, Runtime, Stats } from "../runtime/runtime.ts";
import type { Ground } from "./launch.ts";
import type { Server } from "./server.ts";
import { maskSealed, maskSecrets } from "./view.ts";

export interface Inspected {
  view: ServerView;
  /** Every default filled in; values of secrets are masked. */
  spec: ServerSpec;
  gaps: Gap[];
  /** The engine's own description; undefined when nothing exists on the engine. */
  raw: unknown;
  /** What the bridge says of itself; undefined when none answers. */
  health: HealthReport | undefined;
}

/** A bridge that does not answer must not hold up what the engine says. */
const HEALTH_MS = 1_000;

export async function inspectServer(
  { runtime, facts }: Ground,
  view: ServerView,
  parts: readonly Server[],
  spec: ServerSpec,
  deadline: Deadline,
): Promise<Inspected> {
  const describe = async ({ present }: Server) =>
    present && (await runtime.inspect(present.id, deadline).catch(() => undefined))?.raw;
  const [known, raws, reports] = await Promise.all([
    facts(deadline).catch(() => undefined),
    Promise.all(parts.map(describe)),
    Promise.all(parts.map((part) => part.health(deadline.within(HEALTH_MS)))),
  ]);
  const gaps = known ? runtime.check(spec, known) : [];
  const found = raws.filter((raw) => raw !== undefined);
  const raw = maskSealed(found.length > 1 ? found : found[0]);
  return { view, spec: maskSecrets(spec), gaps, raw, health: together(reports.filter((one) => one !== undefined)) };
}

/** One report for all the containers of a server; the first one's where something cannot be summed. */
function together(reports: readonly HealthReport[]): HealthReport | undefined {
  const [first, ...others] = reports;
  if (!first || others.length === 0) return first;
  const sum = (of: (report: HealthReport) => number) => reports.reduce((total, report) => total + of(report), 0);
  return {
    ...first,
    status: reports.find(({ status }) => status !== "ok")?.status ?? "ok",
    uptimeMs: Math.max(...reports.map(({ uptimeMs }) => uptimeMs)),
    processes: sum(({ processes }) => processes),
    sessions: sum(({ sessions }) => sessions),
    connections: sum(({ connections }) => connections),
    inFlight: sum(({ inFlight }) => inFlight),
    dropped: sum(({ dropped }) => dropped),
    busy: sum(({ busy }) => busy),
  };
}

/** Of the instances that are there, running or not; with several each line says whose it is. */
export async function* logsOf(runtime: Runtime, parts: readonly Server[], options: LogOptions): AsyncIterable<LogLine> {
  const sources = parts.flatMap(({ present, session }) => (present ? [{ session, id: present.id }] : []));
  const [only] = sources;
  if (only && sources.length === 1) return yield* runtime.logs(only.id, options);
  const readers = sources.map(({ session, id }) => ({
    session,
    lines: runtime.logs(id, options)[Symbol.asyncIterator](),
  }));
  const next = async (reader: (typeof readers)[number]) => ({ reader, result: await reader.lines.next() });
  const waiting = new Map(readers.map((reader) => [reader, next(reader)]));
  try {
    while (waiting.size > 0) {
      const { reader, result } = await Promise.race(waiting.values());
      if (result.done) waiting.delete(reader);
      else {
        waiting.set(reader, next(reader));
        yield { ...result.value, text: `[${reader.session}] ${result.value.text}` };
      }
    }
  } finally {
    for (const { lines } of readers) void lines.return?.();
  }
}

/** Faults: `unsupported` where the runtime cannot say, `conflict` when the server does not run. */
export async function measureServer(
  { runtime }: Ground,
  name: string,
  parts: readonly Server[],
  deadline: Deadline,
): Promise<Stats> {
  if (!runtime.stats) throw new Fault("unsupported", `the ${runtime.kind} runtime knows no figures here`);
  const ids = parts.flatMap(({ present }) => (present?.state === "running" ? [present.id] : []));
  if (ids.length === 0) throw new Fault("conflict", `${name} does not run`);
  const figures = await Promise.all(ids.map((id) => runtime.stats?.(id, deadline)));
  const sum = { memoryBytes: 0, memoryLimitBytes: 0, cpuPercent: 0, pids: 0 };
  for (const one of figures) {
    sum.memoryBytes += one?.memoryBytes ?? 0;
    sum.memoryLimitBytes += one?.memoryLimitBytes ?? 0;
    sum.cpuPercent += one?.cpuPercent ?? 0;
    sum.pids += one?.pids ?? 0;
  }
  return sum;
}
