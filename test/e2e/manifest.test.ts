/** Clients that come while their server is not there yet are told what it told the clients before. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../support/until.ts";
import { legacy } from "./crowd.ts";
import { gated, Moody, textOf } from "./moody.ts";
import { INITIALIZE, type Message, RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("process");
}, 60_000);
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

const MODERN = join(import.meta.dir, "../fixtures/modern-server.ts");

/** A server whose processes say nothing while the gate is shut. */
class Scene {
  private constructor(
    readonly name: string,
    readonly gate: string,
    readonly moody: Moody,
  ) {}

  static async open(name: string, more: Record<string, unknown> = {}): Promise<Scene> {
    const gate = join(stage.dataDir, `${name}.gate`);
    await Bun.write(gate, "");
    return new Scene(name, gate, await Moody.gated(stage, name, gate, more));
  }

  /** A client that sees everything, and whose server has then gone: the gate is shut behind it. */
  async rehearse(mood: Record<string, unknown> = {}, answers = 2): Promise<void> {
    const before = await known();
    await this.moody.next(mood);
    await using front = this.moody.front();
    await front.initialize();
    await front.request("tools/list");
    await until(`${answers} answers`, async () => (await answersIn(before)) === answers);
    front.endInput();
    expect(await front.ended()).toBe(0);
    await this.close();
  }

  async close(): Promise<void> {
    await rm(this.gate, { force: true });
    await stage.api(`/servers/${this.name}/stop`, { method: "POST" });
  }

  lift(): Promise<number> {
    return Bun.write(this.gate, "");
  }
}

const toolsOf = ({ result }: Message) => ((result?.tools ?? []) as { name: string }[]).map(({ name }) => name);
const changed = ({ messages }: RawFront) => messages.filter(({ method }) => method?.endsWith("tools/list_changed"));
const known = async () => {
  const names = await readdir(join(stage.dataDir, "manifests")).catch(() => []);
  return names.filter((name) => name.endsWith(".json"));
};
const stored = async () =>
  (await Promise.all((await known()).map((name) => readFile(join(stage.dataDir, "manifests", name), "utf8")))).join(
    "\n",
  );
/** How many answers are in the one file that was not there before. */
async function answersIn(before: string[]): Promise<number> {
  const [name = ""] = (await known()).filter((one) => !before.includes(one));
  const text = await readFile(join(stage.dataDir, "manifests", name), "utf8").catch(() => "{}");
  return Object.keys((JSON.parse(text) as { answers?: object }).answers ?? {}).length;
}

describe("while the server says nothing", () => {
  test("initialize and tools/list are answered as before, a call waits, and its answer is the server's", async () => {
    const scene = await Scene.open("same");
    await scene.rehearse();
    await using front = scene.moody.front();
    expect((await front.initialize()).result).toMatchObject({ serverInfo: { name: "moody" } });
    expect(toolsOf(await front.request("tools/list"))).toContain("state");
    const call = front.ask("tools/call", { name: "state" });
    // Answered after the call was passed on: it is not the manifest's to answer.
    await front.request("tools/list");
    expect(front.messages.find(({ id }) => id === call)).toBeUndefined();
    await scene.lift();
    const state = JSON.parse(textOf(await front.answered(call))) as { methods: string[] };
    // The server was told what any client tells it, once.
    expect(state.methods.filter((method) => method !== "tools/list")).toEqual([
      "initialize",
      "notifications/initialized",
      "tools/call",
    ]);
    expect(changed(front)).toEqual([]);
    front.endInput();
    expect(await front.ended()).toBe(0);
  });

  test("a list that has changed meanwhile: list_changed, and the next client is told the new one", async () => {
    const scene = await Scene.open("other");
    await scene.rehearse();
    await scene.moody.next({ tools: ["added"] });
    await using front = scene.moody.front();
    await front.initialize();
    expect(toolsOf(await front.request("tools/list"))).not.toContain("added");
    await scene.lift();
    await until("the notice", () => changed(front).length === 1);
    expect(toolsOf(await front.request("tools/list"))).toContain("added");
    await until("the new list", async () => (await stored()).includes("added"));
    front.endInput();
    expect(await front.ended()).toBe(0);
    await scene.close();
    await using next = scene.moody.front();
    await next.initialize();
    expect(toolsOf(await next.request("tools/list"))).toContain("added");
  });

  test("another protocol version than was told: calls say so, and a new client is told the new one", async () => {
    const scene = await Scene.open("version");
    await scene.rehearse();
    await scene.moody.next({ version: "2024-11-05" });
    await using front = scene.moody.front();
    expect((await front.initialize()).result).toMatchObject({ protocolVersion: "2025-11-25" });
    await scene.lift();
    const { error } = await front.call("state");
    expect(error?.message).toContain("2024-11-05");
    expect(error?.message).toContain("Reconnect");
    await until("the new answer", async () => (await stored()).includes("2024-11-05"));
    front.endInput();
    await front.ended();
    await scene.close();
    await using next = scene.moody.front();
    expect((await next.initialize()).result).toMatchObject({ protocolVersion: "2024-11-05" });
  });

  test.each([
    ["a client that asks for another version", "else", [], { ...INITIALIZE, protocolVersion: "2025-06-18" }],
    ["a client that can do other things", "can", [], { ...INITIALIZE, capabilities: { sampling: {} } }],
    ["a front with --no-manifest", "flag", ["--no-manifest"], INITIALIZE],
  ] as const)("%s waits for the server", async (_, name, options, asked) => {
    const scene = await Scene.open(name);
    await scene.rehearse();
    // The manifest is there for others. Who comes after them may find the server started, and it says nothing yet.
    await using other = scene.moody.front();
    await other.initialize();
    await using front = scene.moody.front(...options);
    const id = front.ask("initialize", asked);
    await until("the session", async () => (await stage.view(scene.name)).sessions === 2);
    expect(front.messages).toEqual([]);
    await scene.lift();
    expect((await front.answered(id)).result).toMatchObject({ protocolVersion: asked.protocolVersion });
    front.notify("notifications/initialized");
    expect(textOf(await front.call("state"))).toContain("initialize");
  });

  test.each([
    ["torn", (text: string) => text.slice(0, -20)],
    ["changed by hand", (text: string) => text.replaceAll('\\"jsonrpc\\"', '\\"rpc\\"')],
  ])("a manifest that is %s is ignored", async (how, spoil) => {
    const scene = await Scene.open(how.split(" ")[0] ?? "");
    const before = new Set(await known());
    await scene.rehearse();
    const [file = ""] = (await known()).filter((name) => !before.has(name));
    const path = join(stage.dataDir, "manifests", file);
    await Bun.write(path, spoil(await readFile(path, "utf8")));
    await using front = scene.moody.front();
    const id = front.ask("initialize", INITIALIZE);
    await until("the start", async () => (await stage.view(scene.name)).state === "ready");
    expect(front.messages).toEqual([]);
    await scene.lift();
    expect((await front.answered(id)).result).toMatchObject({ serverInfo: { name: "moody" } });
  });

  test("an answer that repeats a secret is not kept", async () => {
    const scene = await Scene.open("secret", { secrets: { API_KEY: 's3cr3t"value' } });
    await scene.rehearse({ tools: ['tool-of-s3cr3t"value'] }, 1);
    const text = await stored();
    expect(text).toContain("moody");
    expect(text).not.toContain("s3cr3t");
    await using front = scene.moody.front();
    await front.initialize();
    const list = front.ask("tools/list");
    await scene.lift();
    expect(toolsOf(await front.answered(list))).toContain('tool-of-s3cr3t"value');
  });

  test("a server that ends at once: what waits gets the reason", async () => {
    const scene = await Scene.open("ends");
    await scene.rehearse();
    await scene.moody.next({ dies: "start" });
    await using front = scene.moody.front();
    await front.initialize();
    const call = front.ask("tools/call", { name: "state" });
    await scene.lift();
    const { error } = await front.answered(call, 30_000);
    expect(JSON.stringify(error)).toContain("in a bad mood");
    expect(front.process.exitCode).toBeNull();
  });
});

// A client of SDK 2.x sends somebody ahead who starts the server: when it comes itself, only the process is waited for.
test("a client of SDK 1.x connects and lists before the server says a word, and its calls are answered then", async () => {
  const scene = await Scene.open("real");
  const before = await known();
  const troubles: string[] = [];
  const first = await legacy(stage.front("real"), troubles);
  const tools = (await first.listTools()).tools.map((tool) => tool.name);
  await until("two answers", async () => (await answersIn(before)) === 2);
  first.onclose = undefined;
  await first.close();
  await scene.close();
  const next = await legacy(stage.front("real"), troubles);
  expect((await next.listTools()).tools.map((tool) => tool.name)).toEqual(tools);
  const call = next.callTool({ name: "state", arguments: {} });
  await scene.lift();
  expect(JSON.stringify((await call).content)).toContain("pid");
  next.onclose = undefined;
  await next.close();
  expect(troubles).toEqual([]);
}, 60_000);

test("a client of the newer era is told, too, and asked for nothing twice", async () => {
  const gate = join(stage.dataDir, "modern.gate");
  await Bun.write(gate, "");
  await stage.start("modern", gated(gate, [MODERN]));
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "raw", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const first = await (async () => {
    await using front = new RawFront(stage.front("modern"));
    const answers = [await front.request("server/discover", { _meta }), await front.request("tools/list", { _meta })];
    front.endInput();
    expect(await front.ended()).toBe(0);
    return answers;
  })();
  await rm(gate);
  await stage.api("/servers/modern/stop", { method: "POST" });
  await using front = new RawFront(stage.front("modern"));
  const again = [await front.request("server/discover", { _meta }), await front.request("tools/list", { _meta })];
  expect(again.map(({ result }) => ({ ...result, ttlMs: 0 }))).toEqual(
    first.map(({ result }) => ({ ...result, ttlMs: 0 })),
  );
  expect(again.map(({ result }) => result?.ttlMs ?? 0)).toEqual([0, 0]);
  const call = front.ask("tools/call", { name: "echo", arguments: { text: "late" }, _meta });
  await Bun.write(gate, "");
  expect(JSON.stringify((await front.answered(call)).result)).toContain("late");
  await front.request("tools/list", { _meta });
  // What the front has asked for itself is not for the client.
  expect(front.messages).toHaveLength(4);
});
