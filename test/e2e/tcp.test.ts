/** Clients that speak newline-delimited JSON over TCP: to the manager's port, and to a bridge that was started by hand. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { BINARY } from "../support/binary.ts";
import { tempDir } from "../support/cli.ts";
import { until } from "../support/until.ts";
import { INITIALIZE } from "./raw-front.ts";
import { Stage } from "./stage.ts";
import { TcpClient } from "./tcp-client.ts";

const PLAIN = [process.execPath, join(import.meta.dir, "../fixtures/plain-server.ts")];
const initialize = { jsonrpc: "2.0", id: 0, method: "initialize", params: INITIALIZE };
const initialized = { jsonrpc: "2.0", method: "notifications/initialized" };
const echo = (id: number, text: string) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name: "echo", arguments: { text } },
});

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("process");
  await stage.start("plain", { image: `exec:${PLAIN[0]}`, args: PLAIN.slice(1) });
}, 60_000);
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

test("the manager's port: attach by name and token, then plain MCP; a half-close still gets its answers", async () => {
  using client = await TcpClient.connect(stage.tcpPort);
  client.send({ link: "attach", server: "plain", token: await stage.token() }, initialize, initialized);
  expect((await client.answer(0)).result).toMatchObject({ serverInfo: { name: "plain" } });
  client.send(...Array.from({ length: 100 }, (_, id) => echo(id + 1, `t${id} ü😀`)));
  client.halfClose();
  await until("the end of the connection", () => client.ended);
  expect(client.messages.map(({ id }) => id)).toEqual(Array.from({ length: 101 }, (_, id) => id));
  expect(client.lines.at(-1)).toContain("t99 ü😀");
  await until("the session is free", async () => (await stage.sessions()).length === 0);
});

test.each([
  ["a wrong token", (token: string) => ({ link: "attach", server: "plain", token: `${token.slice(0, -1)}_` })],
  ["no token", () => ({ link: "attach", server: "plain" })],
  ["an unknown server", (token: string) => ({ link: "attach", server: "nothing", token })],
  ["MCP without attach", () => initialize],
])("the manager's port refuses %s", async (_name, first) => {
  using client = await TcpClient.connect(stage.tcpPort);
  client.send(first(await stage.token()), echo(5, "secret"));
  await until("the end of the connection", () => client.ended);
  expect(client.lines.join("\n")).not.toContain("secret");
  expect(client.lines.join("\n")).toContain("error");
  expect(await stage.sessions()).toEqual([]);
});

test("the manager's port closes a connection that says nothing", async () => {
  using client = await TcpClient.connect(stage.tcpPort);
  await until("the end of the connection", () => client.ended, 10_000);
});

test("a bridge by hand, on loopback: MCP from the first byte", async () => {
  await using bridge = await startBridge([]);
  using client = await TcpClient.connect(bridge.port);
  client.send(initialize, initialized, echo(1, "hello"));
  expect(JSON.stringify((await client.answer(1)).result)).toContain("hello");
});

test("a bridge by hand with a token file: plain attach", async () => {
  await using dir = await tempDir("e2e");
  const file = join(dir.path, "token");
  await Bun.write(file, "s3cret-token\n");
  await using bridge = await startBridge(["--token-file", file]);
  using client = await TcpClient.connect(bridge.port);
  client.send({ link: "attach", token: "s3cret-token" }, initialize, initialized, echo(1, "hello"));
  expect(JSON.stringify((await client.answer(1)).result)).toContain("hello");
  expect(client.lines.join("")).not.toContain('"link"');
  using stranger = await TcpClient.connect(bridge.port);
  stranger.send({ link: "attach", token: "wrong" }, echo(1, "secret"));
  await until("the end of the connection", () => stranger.ended);
  expect(stranger.lines.join("")).not.toContain("secret");
});

interface StartedBridge extends AsyncDisposable {
  port: number;
}

async function startBridge(options: string[]): Promise<StartedBridge> {
  const dir = await tempDir("bridge");
  const file = join(dir.path, "port");
  const argv = ["bridge", "--listen", "127.0.0.1:0", "--port-file", file, ...options, "--", ...PLAIN];
  const child = Bun.spawn([BINARY, ...argv], { stdio: ["ignore", "ignore", "ignore"] });
  const listens = await until("a bridge that listens", async () =>
    (await Bun.file(file).exists()) ? Bun.file(file).text() : undefined,
  );
  return {
    port: Number(listens.trim().split(":").at(-1)),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await child.exited;
      await dir[Symbol.asyncDispose]();
    },
  };
}
