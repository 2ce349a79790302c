/** A real manager, with the process runtime unless told otherwise, and its API on a port and a socket, in this process; gone with `await using`. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManagerClient } from "../../src/api/client/client.ts";
import { type Api, type McpSettings, serveApi } from "../../src/api/server.ts";
import { Deadline } from "../../src/base/deadline.ts";
import type { Fault } from "../../src/base/fault.ts";
import { SILENT } from "../../src/base/log.ts";
import { openDataDir } from "../../src/manager/data-dir.ts";
import { Manager } from "../../src/manager/manager.ts";
import type { ServerBodyInput } from "../../src/model/server-spec.ts";
import { ProcessRuntime } from "../../src/runtime/process/process.ts";
import { Approvals } from "../../src/gateway/aggregate/approvals.ts";
import { Gate } from "../../src/safety/gate.ts";
import { readSafety } from "../../src/safety/settings.ts";
import { open } from "./docker-subject.ts";

export interface ApiUnderTest extends AsyncDisposable {
  api: Api;
  manager: Manager;
  /** Over the socket. */
  client: ManagerClient;
  url: string;
  token: string;
  socket: string;
  /** Failures that the API called its own. */
  defects: Fault[];
  /** Over the port, with the token. */
  http(path: string, init?: RequestInit): Promise<Response>;
  /** A JSON body over the port. */
  post(path: string, body: unknown, signal?: AbortSignal): Promise<Response>;
}

export async function startApi(
  name: string,
  kind: "process" | "docker" = "process",
  mcp?: McpSettings,
): Promise<ApiUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), `linkspan-api-${name}-`));
  const dataDir = openDataDir(join(folder, "data"), SILENT);
  const where = { instance: dataDir.instance, dataDir: dataDir.path };
  const runtime = kind === "docker" ? open(where) : new ProcessRuntime(where);
  const options = { allowWeaker: true, stopServersOnExit: true, servers: [], log: SILENT };
  const manager = new Manager({ runtime, dataDir, ...options });
  const defects: Fault[] = [];
  const token = dataDir.token;
  const tcp = { host: "127.0.0.1", port: 0, token };
  const gate = new Gate(readSafety({}, "owner"), dataDir.path);
  const socket = dataDir.socketPath;
  const onDefect = (fault: Fault) => void defects.push(fault);
  const approvals = new Approvals(join(dataDir.path, "approvals"), { policy: "block", servers: {} }, SILENT);
  const api = serveApi(manager, { tcp, socket, gate, approvals, onDefect, ...(mcp ? { mcp } : {}) });
  const url = api.url ?? "";
  const http = (path: string, init: RequestInit = {}) => {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${token}`);
    return fetch(`${url}${path}`, { ...init, headers });
  };
  return {
    api,
    manager,
    client: new ManagerClient({ kind: "unix", path: dataDir.socketPath }),
    url,
    token,
    socket,
    defects,
    http,
    post: (path, body, signal) => {
      const headers = { "content-type": "application/json" };
      return http(path, { method: "POST", body: JSON.stringify(body), headers, ...(signal ? { signal } : {}) });
    },
    async [Symbol.asyncDispose]() {
      await api.close(Deadline.in(1_000));
      await manager.close(Deadline.in(20_000));
      await runtime[Symbol.asyncDispose]();
      dataDir.close();
      await rm(folder, { recursive: true, force: true });
      if (defects.length > 0) throw new AggregateError(defects, "the API called failures its own");
    },
  };
}

/** The spec of a server of test/fixtures as a process of this machine. */
export function fixture(file: string, ...args: string[]): ServerBodyInput {
  return { image: `exec:${process.execPath}`, args: [join(import.meta.dir, "../fixtures", file), ...args] };
}
