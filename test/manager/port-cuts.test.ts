/** Connections to the manager's TCP port that are cut anywhere: nothing is left of them, and a full client can resume. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { openPort, type TcpPort } from "../../src/manager/port.ts";
import { LineClient } from "../support/bridge.ts";
import { Cable, CABLES } from "../support/cable.ts";
import { ChaosProxy } from "../support/chaos-proxy.ts";
import { random } from "../support/ordeal.ts";
import { SEED } from "../support/seed.ts";
import { until } from "../support/until.ts";
import { fixture, openStage, quiet, soon, type Stage } from "./stage.ts";

const TOKEN = "t".repeat(43);
let stage: Stage;
let port: TcpPort;

beforeAll(async () => {
  stage = await openStage("port-cuts");
  await stage.manager.start("plain", fixture("plain-server.ts"), quiet, soon());
  port = openPort(stage.manager, { host: "127.0.0.1", port: 0, token: TOKEN });
}, 60_000);
afterAll(async () => {
  await port.close(soon(0));
  await stage[Symbol.asyncDispose]();
}, 60_000);

function openFar(host: string): TcpPort & AsyncDisposable {
  const opened = openPort(stage.manager, { host, port: 0, token: TOKEN });
  return Object.assign(opened, { [Symbol.asyncDispose]: () => opened.close(soon(0)) });
}

const attach = (more: object = {}) => ({ link: "attach", server: "plain", token: TOKEN, ...more });
const call = (id: number, name: string, args: object = {}) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name, arguments: args },
});
const processes = async () => {
  const { health } = await stage.manager.inspect("plain", soon());
  return health?.processes;
};

test("40 plain clients are cut at random offsets: no session, no process and no connection is left; a neighbour is served", async () => {
  process.stderr.write(`random test "cuts of the port": LINKSPAN_SEED=${SEED}\n`);
  const next = random(SEED);
  await using proxy = await ChaosProxy.start(port.port);
  const neighbour = await LineClient.connect(port.port);
  neighbour.send(attach());
  for (let i = 0; i < 40; i++) {
    const direction = next() < 0.5 ? "up" : "down";
    proxy.cuts.push({ after: Math.floor(next() * 4_000), direction, how: next() < 0.5 ? "reset" : "end" });
  }
  const clients: LineClient[] = [];
  for (let round = 0; round < 5; round++) {
    const some = await Promise.all(Array.from({ length: 8 }, () => LineClient.connect(proxy.port)));
    for (const client of some) {
      client.send(attach());
      for (let id = 0; id < 40; id++) client.send(call(id, "echo", { text: "ü".repeat(100) }));
    }
    neighbour.send(call(round, "echo", { text: "here" }));
    expect(await neighbour.message()).toMatchObject({ id: round });
    for (const client of some) await until("the cut", () => client.ended || client.closed);
    clients.push(...some);
  }
  // Whole answers, in order, and nothing else.
  for (const { lines } of clients) expect(lines.map((line) => JSON.parse(line).id)).toEqual(lines.map((_, id) => id));
  for (const client of clients) client.destroy();
  await until("that only the neighbour is left", () => port.connections === 1 && stage.manager.sessions().length === 1);
  await until("that only its process is left", async () => (await processes()) === 1, 20_000);
  neighbour.send(call(99, "echo"));
  expect(await neighbour.message()).toMatchObject({ id: 99 });
  neighbour.destroy();
}, 60_000);

test("a client of the full wire resumes through the port: same process, nothing lost, nothing twice", async () => {
  const first = await LineClient.connect(port.port);
  first.send(attach({ version: 1, session: "resumed" }));
  await first.frame("attached");
  first.send(call(1, "process"));
  const pid = (await first.message()).result;
  first.send(call(2, "later", { count: 300, text: "late" }));
  await until("the request at the bridge", () => first.acknowledged === 2);
  first.destroy();
  const second = await LineClient.connect(port.port);
  second.send(attach({ version: 1, session: "resumed", received: 1 }));
  expect(await second.frame("attached")).toMatchObject({ resumed: true, received: 2 });
  expect(await second.message()).toMatchObject({ id: 2, result: { content: [{ text: "late" }] } });
  second.send(call(3, "process"));
  expect(await second.message()).toMatchObject({ id: 3, result: pid });
  second.send({ link: "detach" });
  await second.toEnd();
  second.destroy();
}, 30_000);

test.skipIf(!CABLES)(
  "a client whose packets vanish while an answer is on its way to it is noticed within 30 s",
  async () => {
    using cable = Cable.lay();
    await using far = openFar(cable.nearHost);
    const script = `exec 3<>/dev/tcp/$1/$2; printf '%s\\n' "$3" "$4" "$5" >&3; head -n 1 <&3; exec sleep 60`;
    const lines = [attach(), call(1, "echo"), call(2, "later", { count: 700, text: "late" })];
    const client = Bun.spawn({
      cmd: [
        ...cable.launcher,
        "bash",
        "-c",
        script,
        "bash",
        cable.nearHost,
        String(far.port),
        ...lines.map((line) => JSON.stringify(line)),
      ],
      stdio: ["ignore", "pipe", "ignore"],
    });
    try {
      await until("the first answer", async () => {
        const { value } = await client.stdout.getReader().read();
        return value && Buffer.from(value).includes('"id":1');
      });
      cable.pull();
      await until(
        "the end of its session",
        () => far.connections === 0 && stage.manager.sessions().length === 0,
        30_000,
      );
    } finally {
      client.kill("SIGKILL");
    }
  },
  60_000,
);

test("the bridge goes away: the client's connection ends at once, and the next one is served", async () => {
  const client = await LineClient.connect(port.port);
  client.send(attach());
  client.send(call(1, "process"));
  await client.message();
  client.send(call(2, "hang"));
  // Only what the bridge has heard of does it answer.
  client.send(call(3, "echo"));
  expect(await client.message()).toMatchObject({ id: 3 });
  await stage.manager.stop("plain", soon());
  const last = await client.toEnd();
  expect(last.map((line) => JSON.parse(line))).toMatchObject([{ id: 2, error: { code: -32052 } }]);
  client.destroy();
  const again = await LineClient.connect(port.port);
  again.send(attach());
  again.send(call(1, "echo"));
  expect(await again.message(20_000)).toMatchObject({ id: 1 });
  again.destroy();
}, 60_000);
