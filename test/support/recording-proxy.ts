/** Stands between a client and the engine's socket and keeps what the client has sent. */
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "../../src/docker/engine.ts";
import { readRequests, type SentRequest } from "./http-requests.ts";

export interface RecordingProxy extends AsyncDisposable {
  path: string;
  /** Everything sent to the engine so far. */
  sent(): string;
  /** The request lines alone: method, URL, version. */
  requestLines(): string[];
  /** All of them, taken apart. Throws on anything that is no request. */
  requests(): SentRequest[];
  /** Cuts every connection, as a restarting engine does. */
  cut(): void;
  /** Connections that are there now, by their first line. */
  open(): string[];
}

/** Passed of a connection that is held. */
const HELD_BYTES = 128 * 1024;

/** `hold`: connections whose first line fits pass so much in each direction; the rest goes nowhere. */
export async function startRecordingProxy({ endpoint }: Engine, hold?: RegExp): Promise<RecordingProxy> {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-test-proxy-"));
  const path = join(folder, "engine.sock");
  const chunks: Buffer[] = [];
  const connections: Buffer[][] = [];
  const open = new Set<Socket>();
  const lines = new Map<Socket, string>();
  const pass = (from: Socket, to: Socket) => {
    let passed = 0;
    from.on("data", (chunk: Buffer) => {
      if ((passed += chunk.length) <= HELD_BYTES) return;
      // What comes is thrown away: the end of a connection that is not read would not be seen.
      from.unpipe(to);
      from.resume();
    });
  };
  if (endpoint.kind === "ssh") throw new Error("no proxy before an engine behind SSH");
  const server = createServer((client) => {
    const target = endpoint.kind === "socket" ? { path: endpoint.path } : { host: endpoint.host, port: endpoint.port };
    const upstream = connect(target);
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on("close", () => open.delete(socket));
      socket.on("error", () => {});
    }
    const own: Buffer[] = [];
    connections.push(own);
    client.on("data", (chunk) => {
      const copy = Buffer.from(chunk);
      chunks.push(copy);
      own.push(copy);
    });
    client.once("data", (first: Buffer) => {
      const [line = ""] = first.toString("latin1").split("\r\n", 1);
      lines.set(upstream, line);
      if (hold?.test(line))
        for (const [from, to] of [
          [client, upstream],
          [upstream, client],
        ] as const)
          pass(from, to);
    });
    client.pipe(upstream).pipe(client);
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => {
      lines.delete(upstream);
      client.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const sent = () => Buffer.concat(chunks).toString("latin1");
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    path,
    sent,
    requestLines: () => sent().match(/^(GET|HEAD|POST|PUT|DELETE) .* HTTP\/1\.1$/gm) ?? [],
    requests: () => connections.flatMap((parts) => readRequests(Buffer.concat(parts))),
    cut,
    open: () => [...lines.values()],
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
