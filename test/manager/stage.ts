/** A real manager with the process runtime and servers of test/fixtures, in this process; gone with `await using`. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { SILENT } from "../../src/base/log.ts";
import { type DataDir, openDataDir } from "../../src/manager/data-dir.ts";
import { Manager, type ManagerOptions } from "../../src/manager/manager.ts";
import type { ServerBody, ServerBodyInput } from "../../src/model/server-spec.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { ProcessRuntime } from "../../src/runtime/process/process.ts";
import { dialSession } from "../../src/transport/session.ts";
import { until } from "../support/until.ts";
import { parseBody } from "./specs.ts";

const STEP_MS = 20_000;

export interface Stage extends AsyncDisposable {
  folder: string;
  /** The one that is open now. */
  manager: Manager;
  /** Ends the manager as a SIGTERM does and opens another one on the same data directory. */
  reopen(options?: Partial<ManagerOptions>): Promise<Manager>;
}

const processes = ({ path }: DataDir): Runtime => new ProcessRuntime({ dataDir: path });

export async function openStage(
  name: string,
  options: Partial<ManagerOptions> = {},
  runtimeOf: (dir: DataDir) => Runtime = processes,
): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), `linkspan-manager-${name}-`));
  const open = (more: Partial<ManagerOptions>) => {
    const dataDir = openDataDir(join(folder, "data"), SILENT);
    const runtime = runtimeOf(dataDir);
    const common = { servers: [], log: SILENT, allowWeaker: true, stopServersOnExit: false };
    return new Manager({ runtime, dataDir, ...common, ...options, ...more });
  };
  const stage: Stage = {
    folder,
    manager: open({}),
    async reopen(more = {}) {
      await stage.manager.close(soon());
      stage.manager = open(more);
      return stage.manager;
    },
    async [Symbol.asyncDispose]() {
      const last = await stage.reopen({ stopServersOnExit: true, servers: [] });
      await last.close(soon());
      await rm(folder, { recursive: true, force: true });
    },
  };
  return stage;
}

export function soon(ms = STEP_MS): Deadline {
  return Deadline.in(ms);
}

export const quiet = () => {};

/** A server of test/fixtures as a process of this machine. */
export function fixture(file: string, args: string[] = [], more: Partial<ServerBodyInput> = {}): ServerBody {
  const path = join(import.meta.dir, "../fixtures", file);
  return parseBody({ image: `exec:${process.execPath}`, args: [path, ...args], ...more });
}

/** One request to a tool of plain-server.ts over a session of its own; the text that it answers. */
export async function ask(manager: Manager, server: string, tool: string, text = ""): Promise<string> {
  const grant = await manager.acquire({ server, pid: process.pid, ppid: process.ppid }, "front", quiet, soon());
  const { addresses, token, session: id } = grant;
  const session = await dialSession({ addresses, token, session: id }, soon());
  try {
    const call = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: tool, arguments: { text } } };
    const answered = Promise.withResolvers<string>();
    session.open({
      line: answered.resolve,
      ended: (end) => answered.resolve(JSON.stringify(end)),
    });
    session.send(JSON.stringify(call));
    return await soon().race("the answer", answered.promise);
  } finally {
    session.destroy();
    manager.release(grant.session);
  }
}

/** A session that has shaken hands; answers and its end as text. */
export async function converse(manager: Manager, server: string) {
  const grant = await manager.acquire({ server, pid: process.pid, ppid: process.ppid }, "front", quiet, soon());
  const session = await dialSession({ addresses: grant.addresses, token: grant.token, session: grant.session }, soon());
  const heard: string[] = [];
  session.open({ line: (line) => heard.push(line), ended: (end) => heard.push(JSON.stringify(end)) });
  const ask = (id: number, method: string, params: object) =>
    session.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
  ask(0, "initialize", { protocolVersion: "2025-11-25" });
  await until("the handshake", () => heard.length > 0);
  return { session: grant.session, heard, ask, [Symbol.dispose]: () => session.destroy() };
}

/** The fault with which the work ends. */
export async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Fault) return error;
  throw new Error(`expected a fault, got ${String(error)}`);
}
