/** The TCP port with raw clients: attach, refusals, limits, slow readers, the end. Servers are real processes. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { openPort, type PortOptions, type TcpPort } from "../../src/manager/port.ts";
import type { Host } from "../../src/manager/visitor.ts";
import { TcpClient } from "../e2e/tcp-client.ts";
import { TestBridge } from "../support/bridge.ts";
import { until } from "../support/until.ts";
import { parseBody } from "./specs.ts";
import { fixture, openStage, quiet, soon, type Stage } from "./stage.ts";

const TOKEN = "t".repeat(43);
let stage: Stage;

beforeAll(async () => {
  stage = await openStage("port");
  await stage.manager.start("plain", fixture("plain-server.ts"), quiet, soon());
  // Gives every notification back, as it came.
  await stage.manager.start("mirror", parseBody({ image: "exec:cat" }), quiet, soon());
}, 60_000);
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

async function open(
  options: Partial<PortOptions> = {},
  host: Host = stage.manager,
): Promise<TcpPort & AsyncDisposable> {
  const port = openPort(host, { host: "127.0.0.1", port: 0, token: TOKEN, ...options });
  return Object.assign(port, { [Symbol.asyncDispose]: () => port.close(soon(0)) });
}

const attach = (server = "plain") => ({ link: "attach", server, token: TOKEN });
const call = (id: number, name: string, text = "") => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name, arguments: { text } },
});
const refusal = (client: TcpClient): { kind: string; message: string; hint?: string } => {
  const [line = ""] = client.lines;
  expect(line).toStartWith('{"link":"error",');
  return JSON.parse(line);
};
const ended = (client: TcpClient) => until("the end of the connection", () => client.ended);
const noSessions = () => until("the session is given back", () => stage.manager.sessions().length === 0);

test("one byte at a time, and everything in one packet: the same answers", async () => {
  await using port = await open();
  using slow = await TcpClient.connect(port.port);
  const text = [attach(), call(1, "echo", "ü😀")].map((message) => `${JSON.stringify(message)}\r\n`).join("");
  for (const byte of Buffer.from(text)) {
    slow.sendBytes(Uint8Array.of(byte));
    await Bun.sleep(0);
  }
  expect(JSON.stringify((await slow.answer(1)).result)).toContain("ü😀");
  using fast = await TcpClient.connect(port.port);
  fast.send(attach(), ...Array.from({ length: 50 }, (_, id) => call(id, "echo", String(id))));
  await fast.answer(49);
  expect(fast.messages.map(({ id }) => id)).toEqual(Array.from({ length: 50 }, (_, id) => id));
  expect(stage.manager.sessions().map(({ kind }) => kind)).toEqual(["tcp", "tcp"]);
});

test.each([
  ["a wrong token", { ...attach(), token: `${"t".repeat(42)}x` }, "unauthenticated"],
  ["no token", { link: "attach", server: "plain" }, "unauthenticated"],
  ["no attach", call(1, "echo"), "unauthenticated"],
  ["another frame first", { link: "health" }, "unauthenticated"],
  ["a control connection", { ...attach(), mode: "control" }, "forbidden"],
  ["no server", { ...attach(), server: undefined }, "usage"],
  ["an unknown server", attach("plian"), "not-found"],
])("%s is refused with a word, and nothing else is said", async (_what, first, kind) => {
  await using port = await open();
  using client = await TcpClient.connect(port.port);
  client.send(first, call(2, "echo", "not to be answered"));
  await ended(client);
  expect(refusal(client).kind).toBe(kind);
  expect(client.lines).toHaveLength(1);
  expect(client.lines.join()).not.toContain("t".repeat(42));
  await noSessions();
});

test("silence, and half a line, end at the limit; a first line without an end at its size", async () => {
  await using port = await open();
  using silent = await TcpClient.connect(port.port);
  using half = await TcpClient.connect(port.port);
  using long = await TcpClient.connect(port.port);
  half.sendBytes(Buffer.from('{"link":"att'));
  for (let sent = 0; sent < 5 && !long.ended; sent += 1) {
    long.sendBytes(Buffer.alloc(64 * 1024, "x"));
    await Bun.sleep(5);
  }
  await ended(long);
  expect(refusal(long).kind).toBe("too-large");
  await Promise.all([ended(silent), ended(half)]);
  expect([refusal(silent).kind, refusal(half).kind]).toEqual(["timeout", "timeout"]);
  await until("nobody is left", () => port.connections === 0);
});

test("another server has the address by now: it is asked for again, and nothing that was said is lost", async () => {
  await using stranger = await TestBridge.start(["cat"]);
  const { manager } = stage;
  let grants = 0;
  const host: Host = {
    async acquire(...wish) {
      const grant = await manager.acquire(...wish);
      grants += 1;
      return grants > 2 ? grant : { ...grant, addresses: [{ kind: "tcp", host: "127.0.0.1", port: stranger.port }] };
    },
    release: (session) => manager.release(session),
  };
  await using port = await open({}, host);
  using client = await TcpClient.connect(port.port);
  client.send(attach(), call(1, "echo", "first"), call(2, "echo", "second"));
  expect(JSON.stringify((await client.answer(2)).result)).toContain("second");
  expect(client.messages.map(({ id }) => id)).toEqual([1, 2]);
  expect(grants).toBe(3);
  expect(manager.sessions()).toHaveLength(1);
});

test("above the cap new clients are refused, those that are there go on", async () => {
  await using port = await open({ connectionsMax: 2 });
  using first = await TcpClient.connect(port.port);
  using second = await TcpClient.connect(port.port);
  await until("both are there", () => port.connections === 2);
  using third = await TcpClient.connect(port.port);
  await ended(third);
  expect(refusal(third).kind).toBe("exhausted");
  first.send(attach(), call(1, "echo", "still served"));
  second.send(attach(), call(1, "echo", "too"));
  await Promise.all([first.answer(1), second.answer(1)]);
});

test("16 MiB in both directions arrive as they were sent", async () => {
  await using port = await open();
  using client = await TcpClient.connect(port.port);
  client.send(attach("mirror"));
  const lines = Array.from({ length: 64 }, (_, index) => {
    const text = String.fromCharCode(97 + (index % 26)).repeat(256 * 1024);
    return JSON.stringify({ jsonrpc: "2.0", method: "notifications/x", params: { index, text } });
  });
  expect(await client.offer(Buffer.from(`${lines.join("\n")}\n`))).toBe(true);
  await until("everything is back", () => client.lines.length === lines.length, 20_000);
  expect(client.lines.every((line, index) => line === lines[index])).toBe(true);
});

test("a client that never reads is held back, then cut; its neighbour is served", async () => {
  await using port = await open({ stalledMs: 500 });
  using deaf = await TcpClient.connect(port.port);
  using neighbour = await TcpClient.connect(port.port);
  deaf.send(attach("mirror"));
  deaf.pause();
  const before = process.memoryUsage().rss;
  const line = `${JSON.stringify({ jsonrpc: "2.0", method: "notifications/x", params: { text: "x".repeat(60_000) } })}\n`;
  const block = Buffer.from(line.repeat(16));
  let sent = 0;
  // Whatever it sends comes back to it: once the way back is full, the way there stops, too.
  for (; sent < 256 * block.byteLength; sent += block.byteLength) if (!(await deaf.offer(block, 200))) break;
  expect(sent).toBeLessThan(256 * block.byteLength);
  neighbour.send(attach(), call(1, "echo", "served"));
  await neighbour.answer(1);
  await until("the deaf one is cut", () => port.connections === 1);
  expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
  await until("its session is given back", () => stage.manager.sessions().every(({ server }) => server === "plain"));
});

test("a server that ends closes the connection after its last answer", async () => {
  await using port = await open();
  using client = await TcpClient.connect(port.port);
  client.send(attach(), call(1, "crash"));
  await ended(client);
  const [answer] = client.messages;
  expect(JSON.stringify(answer)).toContain("last words before the crash");
  expect(client.messages).toHaveLength(1);
  await noSessions();
});

test("a client that goes while its server starts leaves no session", async () => {
  await using port = await open();
  await stage.manager.stop("plain", soon());
  const client = await TcpClient.connect(port.port);
  client.send(attach());
  await until("the start is under way", () => stage.manager.server("plain").state !== "stopped");
  client[Symbol.dispose]();
  await until("it is there", () => stage.manager.server("plain").state === "ready");
  await until("nobody is left", () => port.connections === 0);
  await noSessions();
});

test("close: no new clients, what is in flight is answered, then everybody is let go", async () => {
  await using port = await open();
  using client = await TcpClient.connect(port.port);
  using silent = await TcpClient.connect(port.port);
  client.send(attach(), call(1, "echo", "first"));
  await client.answer(1);
  client.send(...Array.from({ length: 20 }, (_, id) => call(id + 2, "echo", "x".repeat(10_000))));
  await until("it has begun", () => client.messages.length > 1);
  await port.close(soon(5_000));
  expect(port.connections).toBe(0);
  await Promise.all([ended(client), ended(silent)]);
  expect(client.messages.every((message) => message.result !== undefined)).toBe(true);
  expect(
    await TcpClient.connect(port.port).then(
      () => "connected",
      () => "refused",
    ),
  ).toBe("refused");
  await noSessions();
});

test("a port that is taken is named", async () => {
  await using port = await open();
  expect(() => openPort(stage.manager, { host: "127.0.0.1", port: port.port, token: TOKEN })).toThrow(
    `port ${port.port} on 127.0.0.1 is taken`,
  );
});
