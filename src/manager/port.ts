/**
 * The port for lines: newline-delimited JSON-RPC after one attach line (docs/wire.md). On TCP for plain clients with the
 * token; on a unix socket, which only its owner may open, for fronts of this machine.
 */
import { chmodSync, rmSync } from "node:fs";
import { cutVanished } from "../../bridge/vanished.ts";
import { formatFrame, LIMITS } from "../../bridge/wire.ts";
import type { Deadline } from "../base/deadline.ts";
import { sleep } from "../base/deadline.ts";
import { Descriptors } from "../base/descriptors.ts";
import { Fault } from "../base/fault.ts";
import { type Host, Visitor } from "./visitor.ts";
import { WaitingRoom } from "./waiting-room.ts";

/** All clients of one manager (faults.md). */
const CONNECTIONS_MAX = 10_000;
const POLL_MS = 20;
/** A front whose client does not read for a while (it was suspended, it is being debugged) is no stranger. */
const FRONT_STALLED_MS = 600_000;

interface Bounds {
  connectionsMax?: number;
  stalledMs?: number;
}

export interface PortOptions extends Bounds {
  host: string;
  /** 0 is any free port. */
  port: number;
  /** What clients have to know; the bearer token of REST. */
  token: string;
}

export interface SocketOptions extends Bounds {
  /** Whoever calls this holds the lock of the data directory. */
  path: string;
}

export interface TcpPort extends LinePort {
  port: number;
}

export interface LinePort {
  readonly connections: number;
  /** Takes no more clients, lets requests in flight be answered until the deadline, then cuts. Idempotent. */
  close(deadline: Deadline): Promise<void>;
}

/** Faults: `conflict` when the port is taken, `forbidden` when this user may not have it. */
export function openPort(host: Host, options: PortOptions): TcpPort {
  return serve(host, options.token, options, (handlers) => {
    const listener = listen(options, handlers);
    return { port: listener.port, stop: () => listener.stop(false) };
  });
}

/** The same on a unix socket, 0600. */
export function openSocket(host: Host, options: SocketOptions): LinePort {
  const bounds = { ...options, stalledMs: options.stalledMs ?? FRONT_STALLED_MS };
  return serve(host, undefined, bounds, (handlers) => {
    const { path } = options;
    // Left by a manager that was killed; a living one would hold the lock.
    rmSync(path, { force: true });
    // Nobody else may connect between the binding and the change of its mode.
    const before = process.umask(0o177);
    try {
      const listener = Bun.listen<Visitor | undefined>({
        unix: path,
        allowHalfOpen: true,
        data: undefined,
        socket: handlers,
      });
      chmodSync(path, 0o600);
      return {
        port: 0,
        stop: () => {
          listener.stop(false);
          rmSync(path, { force: true });
        },
      };
    } finally {
      process.umask(before);
    }
  });
}

type Handlers = Bun.SocketHandler<Visitor | undefined>;

function serve(
  host: Host,
  token: string | undefined,
  options: Bounds,
  bind: (handlers: Handlers) => { port: number; stop(): void },
): TcpPort {
  const visitors = new Set<Visitor>();
  const sockets = new Set<Bun.Socket<Visitor | undefined>>();
  const rules = { token, stalledMs: options.stalledMs ?? LIMITS.stalledMs, room: new WaitingRoom() };
  const connectionsMax = options.connectionsMax ?? CONNECTIONS_MAX;
  const descriptors = new Descriptors();
  const bound = bind({
    open(socket) {
      const full = visitors.size >= connectionsMax && `the manager has ${connectionsMax} connections already`;
      const refused = full || (descriptors.scarce && "the manager has hardly any file descriptors left");
      if (refused) return refuse(socket, refused);
      const visitor = new Visitor(host, rules, () => visitors.delete(visitor));
      socket.data = visitor;
      visitor.near.adopt(socket);
      visitors.add(visitor);
      sockets.add(socket);
      visitor.begin();
    },
    data: (socket, chunk) => socket.data?.near.received(chunk),
    drain: (socket) => socket.data?.near.flush(),
    end: (socket) => socket.data?.ended(),
    close: (socket, error) => {
      sockets.delete(socket);
      socket.data?.near.finish(error ?? undefined);
    },
    error: (socket, error) => socket.data?.near.finish(error),
  });
  const stopLooking = cutVanished(sockets);
  return {
    port: bound.port,
    get connections() {
      return visitors.size;
    },
    async close(deadline) {
      bound.stop();
      for (const visitor of visitors) visitor.drain();
      while (visitors.size > 0 && !deadline.passed) await sleep(POLL_MS);
      for (const visitor of visitors) visitor.destroy();
      stopLooking();
    },
  };
}

/** Closed at once: one that waits for its client to close, too, would be one more of those that are too many. */
function refuse(socket: Bun.Socket<Visitor | undefined>, message: string): void {
  socket.write(formatFrame({ link: "error", kind: "exhausted", message }));
  socket.end();
}

function listen({ host, port }: PortOptions, socket: Bun.SocketHandler<Visitor | undefined>) {
  try {
    // A client may finish sending before it has all its answers.
    return Bun.listen<Visitor | undefined>({ hostname: host, port, allowHalfOpen: true, data: undefined, socket });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const taken = code === "EADDRINUSE";
    const why = taken ? "is taken" : code === "EACCES" ? "needs more rights" : "cannot be listened on";
    throw new Fault(taken ? "conflict" : "forbidden", `port ${port} on ${host} ${why}`, {
      cause: error,
      hint: "End what listens there, or choose another port with --tcp-port; 0 is any free one.",
      data: { host, port },
    });
  }
}
