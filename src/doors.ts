/** The manager's doors: REST and MCP over HTTP, the TCP port for lines, and the socket for fronts of the gateway. */
import { type Api, serveApi } from "./api/server.ts";
import { gatewaySocket } from "./base/data-dir.ts";
import { Deadline } from "./base/deadline.ts";
import type { Fault } from "./base/fault.ts";
import { type Log, SILENT } from "./base/log.ts";
import { VERSION } from "./base/version.ts";
import type { Gateways } from "./gateway/exchange.ts";
import { receiveGuest } from "./gateway/clients/guests.ts";
import { Seal } from "./gateway/clients/seal.ts";
import { type OpenGateways, openGateways } from "./gateways.ts";
import type { Manager } from "./manager/manager.ts";
import { openPort, openSocket } from "./manager/port.ts";
import type { Settings } from "./manager/settings.ts";
import type { Host } from "./manager/visitor.ts";
import type { Config } from "./model/config.ts";
import { Gate } from "./safety/gate.ts";
import type { Action } from "./safety/policy.ts";
import { readSafety } from "./safety/settings.ts";

export interface DoorsOptions {
  manager: Manager;
  settings: Settings;
  config: Config;
  log: Log;
  /** On the sockets only. */
  background: boolean;
}

export interface Doors {
  /** Requests that are being answered, streams included, and fronts of the gateway. */
  readonly pending: number;
  /** Whoever comes is refused, what is in flight is answered until the deadline. */
  close(deadline: Deadline): Promise<void>;
}

/** Faults: `conflict`, naming the port that is taken. */
export function openDoors({ manager, settings, config, log, background }: DoorsOptions): Doors {
  const { token, socketPath, path } = manager.dataDir;
  const { host, port, tcpPort, allowHosts } = settings;
  const tcp = background ? undefined : { host, port, token, hosts: allowHosts };
  const { api, gateways, receiving } = openApi({ manager, settings, config, log }, { socket: socketPath, tcp });
  try {
    const lines = tcp && openPort(receiving, { host, port: tcpPort, token });
    const fronts = openSocket(receiving, { path: gatewaySocket(socketPath) });
    log.info(`linkspan ${VERSION} is up`, {
      ...(api.url ? { rest: api.url, mcp: `${api.url}/mcp` } : {}),
      ...(lines ? { tcp: `${host}:${lines.port}` } : {}),
      socket: socketPath,
      data: path,
      pid: process.pid,
    });
    return {
      get pending() {
        return api.pending + fronts.connections;
      },
      close: async (deadline) => {
        await Promise.all([api.close(deadline), lines?.close(deadline), fronts.close(deadline)]);
        await gateways[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    void api.close(Deadline.in(0)).catch(() => {});
    throw error;
  }
}

/** The gateway of a manager inside a front, which has no other doors; `path` is its socket. */
export function openInside(
  manager: Manager,
  settings: Settings,
  config: Config,
): { path: string; close: Doors["close"] } {
  const { api, gateways, receiving } = openApi({ manager, settings, config, log: SILENT }, {});
  const path = gatewaySocket(manager.dataDir.socketPath);
  const fronts = openSocket(receiving, { path });
  return {
    path,
    close: async (deadline) => {
      await Promise.all([fronts.close(deadline), api.close(deadline)]);
      await gateways[Symbol.asyncDispose]();
    },
  };
}

/** REST and what the gateway serves, and the host of clients on lines, who may ask for either. */
function openApi(
  { manager, settings, config, log }: Omit<DoorsOptions, "background">,
  { socket, tcp }: { socket?: string; tcp?: Parameters<typeof serveApi>[1]["tcp"] | undefined },
): { api: Api; gateways: OpenGateways; receiving: Host } {
  const { oauth, limits, webSocket } = settings;
  const gate = new Gate(readSafety(process.env, "owner"), manager.dataDir.path, log);
  const onDefect = (fault: Fault) => log.error("a defect", { reason: fault.message, stack: fault.stack });
  const onCrowd = (open: boolean) =>
    log.warn(open ? "REST takes connections again" : "REST takes no connections: hardly any file descriptors are left");
  const host = guarded(manager, gate);
  // Nobody can call a tool before the API is there.
  const door = async () => api.door;
  const gateways = openGateways({ manager, host, section: config.gateway, log, env: process.env, door });
  const { approvals } = gateways;
  const mcp = { gateways, oauth, limits, webSocket };
  const where = { ...(socket === undefined ? {} : { socket }), ...(tcp ? { tcp } : {}) };
  const api = serveApi(manager, { ...where, gate, approvals, mcp, onDefect, onCrowd });
  return { api, gateways, receiving: receiving(host, gateways, manager) };
}

const OPENING: Action = { name: "opening a session", level: "moderate", unlisted: true, chronicled: true };

/** Clients of the TCP port pass the same gate as those of REST. */
function guarded(manager: Manager, gate: Gate): Pick<Manager, "acquire" | "release"> {
  return {
    acquire: async (request, kind, report, deadline) => {
      const pass = await gate.enter(OPENING, kind, request);
      return await pass(() => manager.acquire(request, kind, report, deadline));
    },
    release: (session) => manager.release(session),
  };
}

function receiving(host: Pick<Manager, "acquire" | "release">, gateways: Gateways, { dataDir }: Manager): Host {
  // The same key after a restart: what a client still carries goes on being good.
  const seal = new Seal(dataDir.key);
  return { ...host, receive: async (attach, wire) => receiveGuest(gateways, seal, attach, wire) };
}
