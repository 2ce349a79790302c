/** A real manager with a data directory of its own, for the tests of commands. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findManager } from "../../src/api/client/connect.ts";
import { Deadline } from "../../src/base/deadline.ts";
import type { ServerBodyInput } from "../../src/model/server-spec.ts";
import { BINARY } from "./binary.ts";
import { cleanEnv, linkspan, type Ran, type RunOptions, tempDir } from "./cli.ts";

const START_MS = 15_000;
const STOP_MS = 20_000;

/** The arguments of `linkspan run` after which the fixture is a server. */
export function fixture(name: string): string[] {
  return [`exec:${process.execPath}`, "--", "run", join(import.meta.dir, "../fixtures", name)];
}

export interface CliManager extends AsyncDisposable {
  dir: string;
  /** Of REST and of MCP over HTTP. */
  url: string;
  env: Record<string, string>;
  run(args: string[], options?: RunOptions): Promise<Ran>;
}

interface CliManagerOptions {
  /** Of the manager, not of the commands. */
  env?: Record<string, string>;
  /** Declared in its configuration. */
  servers?: Record<string, ServerBodyInput>;
  /** More of its configuration's `manager`. */
  manager?: Record<string, unknown>;
}

/** Everything that this manager, or one that a command starts in the background, leaves is in `dir` and goes with it. */
export async function cliManager(
  name: string,
  runtime: "process" | "docker" = "process",
  { env: own = {}, servers = {}, manager = {} }: CliManagerOptions = {},
): Promise<CliManager> {
  const { path: dir, ...temp } = await tempDir(`cli-${name}`);
  mkdirSync(join(dir, "linkspan"));
  const section = { runtime, allowWeaker: runtime === "process", stopServersOnExit: true, ...manager };
  const settings = { manager: section, servers };
  writeFileSync(join(dir, "linkspan", "linkspan.yaml"), JSON.stringify(settings));
  const env = { LINKSPAN_DATA_DIR: join(dir, "data"), XDG_CONFIG_HOME: dir, HOME: dir };
  const child = Bun.spawn([BINARY, "serve", "--port", "0", "--tcp-port", "0"], {
    cwd: dir,
    env: cleanEnv({ ...env, ...own }),
    stdin: "ignore",
    stdout: Bun.file(join(dir, "serve.out")),
    stderr: Bun.file(join(dir, "serve.err")),
  });
  const stop = async () => {
    child.kill("SIGTERM");
    const killer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await child.exited;
    clearTimeout(killer);
    await temp[Symbol.asyncDispose]();
  };
  const run = (args: string[], options: RunOptions = {}) =>
    linkspan(args, { ...options, env: { ...env, ...options.env } });
  // Not with a command: one that finds no manager would start another.
  const deadline = Deadline.in(START_MS);
  while (!(await findManager(env.LINKSPAN_DATA_DIR, deadline))) {
    if (!deadline.passed && child.exitCode === null) continue;
    const words = await Bun.file(join(dir, "serve.err")).text();
    await stop();
    throw new Error(`the manager did not start (exit code ${child.exitCode}): ${words}`);
  }
  const url = /rest=(\S+)/.exec(await Bun.file(join(dir, "serve.err")).text())?.[1] ?? "";
  return { dir, url, env, run, [Symbol.asyncDispose]: stop };
}
