/** Start-up: from nothing to the first answer, and the size of what stays. */
import { BINARY } from "../support/binary.ts";
import type { Bench } from "./raw.ts";
import type { Figures } from "./report.ts";
import { docker } from "./docker.ts";

const RUNS = 9;
const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hi"}}}\n';
const INITIALIZE =
  '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}\n';
const INITIALIZED = '{"jsonrpc":"2.0","method":"notifications/initialized"}\n';

/** Median of milliseconds over RUNS runs of a thing. */
export async function median(once: (run: number) => Promise<number>): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) times.push(await once(run));
  return times.sort((a, b) => a - b)[Math.floor(RUNS / 2)] ?? Number.NaN;
}

export async function versionMs(): Promise<number> {
  return median(async () => {
    const startedAt = performance.now();
    await Bun.spawn([BINARY, "version"], { stdout: "ignore" }).exited;
    return performance.now() - startedAt;
  });
}

/** From exec of a stdio MCP server to the answer to `initialize`. */
export function initializeMs(command: string[], env: Record<string, string | undefined>): Promise<number> {
  return median(() => untilAnswer(command, env, INITIALIZE, '"id":0'));
}

/** From exec to the answer of the first tool call. */
export function firstToolMs(
  command: () => string[],
  env: Record<string, string | undefined>,
  before = async () => {},
): Promise<number> {
  return median(async () => {
    await before();
    return untilAnswer(command(), env, INITIALIZE + INITIALIZED + CALL, '"id":1');
  });
}

async function untilAnswer(command: string[], env: Record<string, string | undefined>, input: string, wanted: string) {
  const startedAt = performance.now();
  const child = Bun.spawn(command, {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
    env: { ...process.env, ...env },
  });
  child.stdin.write(input);
  child.stdin.flush();
  const decoder = new TextDecoder();
  let seen = "";
  let tookMs = Number.NaN;
  for await (const chunk of child.stdout) {
    seen += decoder.decode(chunk, { stream: true });
    if (!seen.includes(wanted)) continue;
    tookMs = performance.now() - startedAt;
    break;
  }
  child.stdin.end();
  await child.exited;
  if (Number.isNaN(tookMs) || seen.includes('"error"'))
    throw new Error(`${command.join(" ")} answered: ${seen.slice(0, 400)}`);
  return tookMs;
}

/** Private memory (RssAnon) of one of `count` running bridges, and what Docker charges for its container, MiB. */
export async function bridgeMemory(bench: Bench, count: number): Promise<Figures> {
  for (let i = 0; i < count; i++) {
    await bench.linkspan.run(`memory-${i}`, { image: bench.image, limits: { memory: "256m" } });
    await using channel = await bench.linkspan.bridge(`memory-${i}`);
    const answered = Promise.withResolvers<void>();
    channel.onData = () => answered.resolve();
    channel.write(new TextEncoder().encode(CALL));
    await answered.promise;
  }
  const privateMib: number[] = [];
  const chargedMib: number[] = [];
  for (let i = 0; i < count; i++) {
    const answer = await bench.linkspan.api(`/servers/memory-${i}`);
    const { container } = (await answer.json()) as { container: string };
    const { State } = await docker.getContainer(container).inspect();
    privateMib.push(await bridgeRssAnon(State.Pid));
    const stats = await docker.getContainer(container).stats({ stream: false });
    const { usage, stats: parts } = stats.memory_stats;
    const inactive = parts.total_inactive_file ?? parts.inactive_file ?? 0;
    chargedMib.push((usage - inactive) / 1024 ** 2);
  }
  const middle = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
  return { privateMib: middle(privateMib), privateMaxMib: Math.max(...privateMib), chargedMib: middle(chargedMib) };
}

/** The container's first process is the engine's init; its child is the bridge. */
async function bridgeRssAnon(init: number): Promise<number> {
  const children = await Bun.file(`/proc/${init}/task/${init}/children`).text();
  const status = await Bun.file(`/proc/${children.trim().split(" ")[0]}/status`).text();
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}
