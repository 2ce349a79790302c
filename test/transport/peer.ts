/** The far end of a wire that a test scripts line by line: for what a real bridge never does, or not on request. */
import type { Endpoint } from "../../src/transport/socket.ts";

export const ATTACHED =
  '{"link":"attached","version":1,"session":"s1","resumed":false,"received":0,"incarnation":"i1","limits":{"messageBytes":16777216,"queueBytes":4194304}}\n';

export interface Peer extends Disposable {
  endpoint: Endpoint;
  /** Lines received so far, over all connections. */
  lines: string[];
  /** Bytes received so far. */
  bytes: number;
  /** The connections, in the order in which they came. */
  sockets: Bun.Socket[];
  /** Connections that have ended or half-closed. */
  ended: number;
}

/** `answer` is called for every line and may write to the socket. */
export function peer(answer: (line: string, socket: Bun.Socket) => void, options: { unix?: string } = {}): Peer {
  const rests = new WeakMap<Bun.Socket, string>();
  const handlers: Bun.SocketHandler<undefined> = {
    open: (socket) => void made.sockets.push(socket),
    data(socket, chunk) {
      made.bytes += chunk.byteLength;
      let rest = (rests.get(socket) ?? "") + chunk.toString();
      for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 1);
        made.lines.push(line);
        answer(line, socket);
      }
      rests.set(socket, rest);
    },
    end(socket) {
      made.ended += 1;
      socket.end();
    },
    drain: () => {},
    error: () => {},
  };
  const made: Peer = {
    endpoint: { kind: "unix", path: "" },
    lines: [],
    bytes: 0,
    sockets: [],
    ended: 0,
    [Symbol.dispose]: () => listener.stop(true),
  };
  const listener = options.unix
    ? Bun.listen({ unix: options.unix, allowHalfOpen: true, socket: handlers })
    : Bun.listen({ hostname: "127.0.0.1", port: 0, allowHalfOpen: true, socket: handlers });
  if (options.unix) made.endpoint = { kind: "unix", path: options.unix };
  else if ("port" in listener) made.endpoint = { kind: "tcp", host: "127.0.0.1", port: listener.port };
  return made;
}
