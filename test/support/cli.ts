/** The CLI as users meet it: the compiled executable, its own data directory, its exit code and both its outputs. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY } from "./binary.ts";

export interface Ran {
  code: number;
  out: string;
  err: string;
  ms: number;
}

export interface RunOptions {
  env?: Record<string, string | undefined>;
  cwd?: string;
  stdin?: string;
  timeoutMs?: number;
}

/** Runs `linkspan ARGS` to its end. Variables that would steer it are not inherited. */
export async function linkspan(args: string[], options: RunOptions = {}): Promise<Ran> {
  const startedAt = performance.now();
  const child = Bun.spawn([BINARY, ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: cleanEnv(options.env),
    stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
    stdout: "pipe",
    stderr: "pipe",
    timeout: options.timeoutMs ?? 60_000,
    killSignal: "SIGKILL",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err, ms: performance.now() - startedAt };
}

export function cleanEnv(extra: Record<string, string | undefined> = {}): Record<string, string | undefined> {
  const inherited = Object.entries(process.env).filter(
    ([key]) => !/^(LINKSPAN_|MCP_|NO_COLOR$|FORCE_COLOR$|CLICOLOR|XDG_|BUN_)/.test(key),
  );
  return { ...Object.fromEntries(inherited), ...extra };
}

/** A directory that goes with `await using`. */
export async function tempDir(name: string): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), `linkspan-${name}-`));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The fault on the last line of stderr, as `--json` prints it. */
export function faultLine(ran: Ran): { kind: string; message: string; hint?: string; data?: Record<string, unknown> } {
  const lines = ran.err.trimEnd().split("\n");
  if (lines.length !== 1) throw new Error(`expected one line on stderr, got ${JSON.stringify(ran.err)}`);
  return JSON.parse(lines[0] ?? "").error;
}

export interface Screen {
  code: number;
  /** Everything that was written to the terminal, escape sequences included. */
  bytes: string;
}

/** Runs `linkspan ARGS` in a terminal of its own. `onOutput` sees what was written so far and may type. */
export async function inTerminal(
  args: string[],
  options: RunOptions & { columns?: number; onOutput?: (bytes: string, type: (keys: string) => void) => void } = {},
): Promise<Screen> {
  let bytes = "";
  const decoder = new TextDecoder();
  const drained = Promise.withResolvers<void>();
  const terminal = new Bun.Terminal({
    cols: options.columns ?? 100,
    rows: 50,
    data(screen, chunk) {
      bytes += decoder.decode(chunk, { stream: true });
      if (bytes.includes(END)) drained.resolve();
      options.onOutput?.(bytes, (keys) => screen.write(keys));
    },
  });
  // Bun gives a child the terminal as its stdio, but not as its controlling one: without setsid Ctrl-C is no signal.
  const child = Bun.spawn(["setsid", "--ctty", "--wait", "sh", "-c", AND_END, "sh", BINARY, ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: cleanEnv({ TERM: "xterm-256color", ...options.env }),
    terminal,
    timeout: options.timeoutMs ?? 60_000,
    killSignal: "SIGKILL",
  });
  const code = await child.exited;
  // A terminal is read until the end mark: it has no end of file while its own side is open.
  await Promise.race([drained.promise, Bun.sleep(DRAIN_MS)]);
  terminal.close();
  return { code, bytes: bytes.replace(END, "") };
}

const DRAIN_MS = 5_000;
/** The control character "record separator": nothing of ours writes it. */
const END = String.fromCharCode(30);
/** The shell outlives Ctrl-C, to write the mark and to hand on the exit code. */
const AND_END = `trap : INT; "$@"; code=$?; printf '\\036'; exit "$code"`;
