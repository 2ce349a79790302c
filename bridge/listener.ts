/** The listening socket: accepts, caps, and hands every event to its connection. */
import type { Bridge } from "./bridge.ts";
import type { ClientEvents, ClientSocket } from "./client.ts";
import { Connection } from "./connection.ts";
import { canOpen } from "./native.ts";
import { cutVanished } from "./vanished.ts";
import { LIMITS, formatFrame } from "./wire.ts";

/** A peer whose machine is gone is noticed after this and ten unanswered probes, one a second. */
const KEEPALIVE_MS = 15_000;

const NOWHERE = "/dev/null";

/** A client that was sent everything has so long to close its side too, which spares it a reset. */
const ANSWER_TO_END_MS = 200;

export interface Listener {
  hostname: string;
  port: number;
  /** Accepts nobody any more, sends what is queued and ends every connection; cuts what is left after `budgetMs`. */
  close(budgetMs: number): Promise<void>;
}

/** Throws what the system says when the address cannot be listened on. */
export function listen(bridge: Bridge): Listener {
  const open = new Set<Connection>();
  const sockets = new Set<ClientSocket>();
  let onLastClosed = () => {};
  const server = Bun.listen<ClientEvents | undefined>({
    hostname: bridge.options.listen.hostname,
    port: bridge.options.listen.port,
    allowHalfOpen: true,
    data: undefined,
    socket: {
      open(socket) {
        if (open.size >= LIMITS.connections)
          return refuse(socket, `the bridge has ${LIMITS.connections} connections already`);
        if (!oneMore()) return refuse(socket, "the bridge has no file descriptors left");
        socket.setNoDelay(true);
        socket.setKeepAlive(true, KEEPALIVE_MS);
        const connection = new Connection(socket, bridge);
        open.add(connection);
        sockets.add(socket);
        bridge.connections = open.size;
        socket.data = {
          data: (chunk) => connection.data(chunk),
          drain: () => connection.drain(),
          end: () => connection.end(),
          closed: () => {
            open.delete(connection);
            sockets.delete(socket);
            bridge.connections = open.size;
            connection.closed();
            if (open.size === 0) onLastClosed();
          },
        };
      },
      data: (socket, chunk) => socket.data?.data(chunk),
      drain: (socket) => socket.data?.drain(),
      end: (socket) => socket.data?.end(),
      close: (socket) => socket.data?.closed(),
      error: (socket) => socket.terminate(),
    },
  });
  const stopLooking = cutVanished(sockets);
  return {
    hostname: server.hostname,
    port: server.port,
    close: async (budgetMs) => {
      server.stop();
      stopLooking();
      const { promise, resolve } = Promise.withResolvers<void>();
      onLastClosed = resolve;
      for (const connection of open) connection.leave();
      if (open.size === 0) resolve();
      const timers = [
        setTimeout(
          () => {
            for (const connection of open) if (connection.queuedBytes === 0) connection.terminate();
          },
          Math.min(budgetMs, ANSWER_TO_END_MS),
        ),
        setTimeout(resolve, budgetMs),
      ];
      await promise;
      for (const timer of timers) clearTimeout(timer);
      for (const connection of open) connection.terminate();
    },
  };
}

/** Whether anything can still be opened. With the last descriptor in use, accepting would be tried again and again. */
function oneMore(): boolean {
  if (process.platform === "linux") return canOpen(NOWHERE);
  const { closeSync, openSync } = process.getBuiltinModule("node:fs");
  try {
    closeSync(openSync(process.platform === "win32" ? "NUL" : NOWHERE, "r"));
    return true;
  } catch {
    return false;
  }
}

function refuse(socket: ClientSocket, message: string): void {
  socket.write(formatFrame({ link: "error", kind: "exhausted", message }));
  socket.end();
}
