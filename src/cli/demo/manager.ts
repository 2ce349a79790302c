/** A manager of the demo's own: its data directory, its ports, its end. */
import { openSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { findManager } from "../../api/client/connect.ts";
import type { ManagerClient } from "../../api/client/client.ts";
import { Deadline, sleep } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { COMPILED } from "../../base/version.ts";

const ANSWER_MS = 20_000;
const POLL_MS = 25;
/** SIGTERM lets the manager stop its servers; what has not ended then is killed. */
const STOP_MS = 20_000;
/** REST gets it, or the next that is free. */
export const FIRST_PORT = 8080;
const PORTS_TRIED = 100;
const LOG_CHARS = 2_000;

export interface DemoManager extends AsyncDisposable {
  client: ManagerClient;
  restPort: number;
  tcpPort: number;
  /** Resolves, with how, when the manager ends by itself. */
  ended: Promise<Fault>;
}

/** Starts it and resolves when it answers. Faults: `unreachable` with its last words. */
export async function startManager(
  data: string,
  runtime: "docker" | "process",
  signal: AbortSignal,
): Promise<DemoManager> {
  const [restPort, tcpPort] = await freePorts();
  const log = join(data, "demo-manager.log");
  const words = openSync(log, "a", 0o600);
  const config = join(data, "linkspan.yaml");
  writeFileSync(config, "servers: {}\n");
  const child = Bun.spawn([...executable(), "serve", ...serveArgs(config, restPort, tcpPort, runtime)], {
    cwd: data,
    env: { ...withoutOurs(process.env), LINKSPAN_DATA_DIR: data },
    // Its other end goes with this process, however that ends: a demo that is killed leaves no manager.
    stdin: "pipe",
    stdout: words,
    stderr: words,
    // Ctrl-C reaches every process of the terminal: the demo ends its manager itself, after the server.
    detached: true,
  });
  const ended = child.exited.then(async () => {
    const how = child.signalCode ?? `exit code ${child.exitCode}`;
    const last = (await readFile(log, "utf8").catch(() => "")).slice(-LOG_CHARS).trim();
    return new Fault("unreachable", `the demo's manager has ended with ${how}`, { data: { stderr: last.split("\n") } });
  });
  const stop = () => endOf(child);
  try {
    const client = await answering(data, ended, Deadline.in(ANSWER_MS, signal));
    return { client, restPort, tcpPort, ended, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function serveArgs(config: string, restPort: number, tcpPort: number, runtime: string): string[] {
  const ports = ["--port", String(restPort), "--tcp-port", String(tcpPort)];
  // What the engine weakens is shown instead: Docker Desktop, for one, cannot close a server's network quite as tightly.
  const more = ["--allow-weaker", "--stop-servers-on-exit", "--stdin-exit"];
  return ["--config", config, ...ports, "--runtime", runtime, ...more];
}

/** The user's settings are for the user's manager; how the engine is reached is the same for both. */
function withoutOurs(env: Record<string, string | undefined>): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(LINKSPAN_(?!PUBLISH_)|MCP_|BUN_BE_BUN$)/.test(name)),
  );
}

async function answering(data: string, ended: Promise<Fault>, deadline: Deadline): Promise<ManagerClient> {
  let fault: Fault | undefined;
  void ended.then((found) => (fault = found));
  while (!deadline.passed) {
    const client = await findManager(data, deadline);
    if (client) return client;
    if (fault) throw fault;
    await sleep(POLL_MS, deadline.signal);
  }
  throw deadline.fault("the start of the demo's manager");
}

async function endOf(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGTERM");
  const killer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await child.exited;
  clearTimeout(killer);
}

function executable(): string[] {
  return COMPILED ? [process.execPath] : [process.execPath, join(import.meta.dir, "../../main.ts")];
}

/** 8080 and 8081 where they are free, else the next that are. */
async function freePorts(): Promise<[rest: number, tcp: number]> {
  const free: number[] = [];
  for (let port = FIRST_PORT; port < FIRST_PORT + PORTS_TRIED; port++) {
    if (await isFree(port)) free.push(port);
    const [rest, tcp] = free;
    if (rest !== undefined && tcp !== undefined) return [rest, tcp];
  }
  throw new Fault("exhausted", `no two free ports from ${FIRST_PORT} to ${FIRST_PORT + PORTS_TRIED - 1}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
