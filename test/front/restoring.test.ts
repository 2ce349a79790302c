/** What a client has set up, and how a new server process is told: without I/O, against a server that is a table. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Conversation } from "../../src/front/conversation.ts";
import { seeded } from "../support/seed.ts";

interface Message {
  id?: string | number;
  method?: string;
  params?: { protocolVersion?: string; level?: string; uri?: string };
  result?: unknown;
}

const bytes = (message: unknown) => Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", ...(message as object) })}\n`);
const parse = (chunk: Uint8Array): Message[] =>
  Buffer.from(chunk)
    .toString()
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Message);

/** A server process: what it was told, and its answers. */
class Process {
  readonly told: Message[] = [];
  level: string | undefined;
  readonly subscriptions = new Set<string>();

  constructor(
    private readonly lists: Record<string, unknown>,
    private readonly version = "2025-11-25",
  ) {}

  answer(chunk: Uint8Array): Uint8Array {
    return Buffer.concat(parse(chunk).flatMap((message) => this.one(message)));
  }

  private one(message: Message): Uint8Array[] {
    this.told.push(message);
    const { id, method = "", params = {} } = message;
    if (id === undefined) return [];
    if (method === "logging/setLevel") this.level = params.level;
    if (method === "resources/subscribe") this.subscriptions.add(params.uri ?? "");
    if (method === "resources/unsubscribe") this.subscriptions.delete(params.uri ?? "");
    const handshake = { protocolVersion: this.version, capabilities: {}, serverInfo: { name: "table" } };
    return [bytes({ id, result: method === "initialize" ? handshake : (this.lists[method] ?? {}) })];
  }

  get methods(): string[] {
    return this.told.map(({ method = "answer" }) => method);
  }
}

const INITIALIZE = bytes({ id: "i", method: "initialize", params: { protocolVersion: "2025-11-25" } });
const INITIALIZED = bytes({ method: "notifications/initialized" });
const TOOLS = { "tools/list": { tools: [{ name: "a" }] } };

class Bench {
  readonly conversation = new Conversation({ prefix: "p-", repeat: false });
  process: Process;
  /** What the client has got. */
  readonly client: Message[] = [];
  failure: string | undefined;
  complaints: string[] = [];
  private id = 0;

  constructor(lists: Record<string, unknown> = TOOLS) {
    this.process = new Process(lists);
  }

  say(chunk: Uint8Array): void {
    for (const range of this.conversation.take(chunk)) this.deliver(this.process.answer(range));
  }

  ask(method: string, params: Record<string, unknown> = {}): number {
    this.id += 1;
    this.say(bytes({ id: this.id, method, params }));
    return this.id;
  }

  handshake(): this {
    this.say(INITIALIZE);
    this.say(INITIALIZED);
    return this;
  }

  /** The process ends and another one comes. Returns the errors that the client is owed. */
  next(process: Process): string[] {
    const { unanswered, notices } = this.conversation.ended();
    this.client.push(...parse(Buffer.from(notices)));
    this.process = process;
    let lines = "";
    const opening = this.conversation.begin({
      ready: (text) => void (lines = text),
      failed: (why) => void (this.failure = why),
      notice: (line) => void this.client.push(...parse(Buffer.from(line))),
      complain: (what) => void this.complaints.push(what),
    });
    if (opening) this.deliver(process.answer(opening));
    if (lines) this.deliver(process.answer(Buffer.from(lines)));
    return unanswered;
  }

  private deliver(answers: Uint8Array): void {
    if (answers.length === 0) return;
    if (!this.conversation.filtering) {
      this.client.push(...parse(answers));
      this.conversation.received(answers);
    } else for (const range of this.conversation.filter(answers)) this.client.push(...parse(range));
  }
}

test("a legacy client's handshake is told as it came, and its answer is kept from the client", () => {
  const bench = new Bench().handshake();
  bench.ask("tools/list");
  const heard = bench.client.length;
  bench.next(new Process(TOOLS));
  expect(bench.process.methods).toEqual(["initialize", "notifications/initialized", "tools/list"]);
  expect(bytes(bench.process.told[0])).toEqual(INITIALIZE);
  expect(bench.client).toHaveLength(heard);
  expect(bench.conversation.filtering).toBe(false);
});

test("a client of the later era has said nothing that another process has to be told", () => {
  const bench = new Bench();
  bench.ask("server/discover");
  bench.ask("tools/list");
  expect(bench.conversation.repeatable).toBe(true);
  bench.next(new Process(TOOLS));
  expect(bench.process.told).toEqual([]);
});

test("a client of the later era may begin with a call that its process does not survive", () => {
  const { conversation } = new Bench();
  conversation.take(bytes({ id: 1, method: "server/discover" }));
  conversation.take(bytes({ id: 2, method: "ping" }));
  expect(conversation.repeatable).toBe(false);
  conversation.take(bytes({ id: 3, method: "tools/call" }));
  expect(conversation.repeatable).toBe(true);
});

test("what no process was given is for the next one; answers and half a line are not", () => {
  const bench = new Bench().handshake();
  const call = (id: number) => bytes({ id, method: "tools/call", params: { name: "x" } });
  for (const id of [1, 2, 3]) bench.conversation.take(call(id));
  const progress = bytes({ method: "notifications/progress" });
  const sent = Buffer.concat([
    INITIALIZED,
    call(2),
    progress,
    bytes({ id: 9, result: {} }),
    call(77),
    call(3),
    call(4).subarray(0, 10),
  ]);
  const { unanswered, again } = bench.conversation.ended([sent.subarray(0, 30), sent.subarray(30)]);
  expect(unanswered).toEqual(["1"]);
  expect(again.flatMap(parse).map(({ id }) => id)).toEqual([2, undefined, 3]);
  expect(bench.conversation.size).toBe(2);
});

test("nothing goes on that has not begun", () => {
  const bench = new Bench();
  expect(bench.conversation.repeatable).toBe(false);
  bench.conversation.take(INITIALIZE);
  bench.conversation.take(bytes({ id: 1, method: "tools/call" }));
  bench.conversation.received(bytes({ id: "i", error: { code: -1, message: "no" } }));
  expect(bench.conversation.repeatable).toBe(false);
  bench.conversation.take(bytes({ id: 2, method: "initialize", params: { padding: "x".repeat(300_000) } }));
  bench.conversation.received(bytes({ id: 2, result: { protocolVersion: "2025-11-25" } }));
  expect(bench.conversation.repeatable).toBe(false);
});

test("initialized that comes while there is no process is said once", () => {
  const bench = new Bench();
  bench.say(INITIALIZE);
  bench.conversation.ended();
  bench.conversation.holding = true;
  bench.conversation.countLines();
  expect(bench.conversation.take(INITIALIZED)).toEqual([]);
  expect(bench.conversation.countLines()).toBe(0);
  bench.next(new Process(TOOLS));
  expect(bench.process.methods).toEqual(["initialize", "notifications/initialized"]);
});

test.each([
  ["tools/list", { tools: [{ name: "b" }] }, ["notifications/tools/list_changed"]],
  ["tools/list", { tools: [{ name: "a" }], nextCursor: "2" }, ["notifications/tools/list_changed"]],
  ["tools/list", { tools: [{ name: "a" }], _meta: { other: 1 } }, []],
  ["prompts/list", { prompts: [1] }, ["notifications/prompts/list_changed"]],
  ["resources/templates/list", { resourceTemplates: [1] }, ["notifications/resources/list_changed"]],
])("%s that says %j afterwards", (method, answer, told) => {
  const bench = new Bench();
  bench.handshake().ask(method);
  const heard = bench.client.length;
  bench.next(new Process({ ...TOOLS, [method]: answer }));
  expect(bench.client.slice(heard).map((message) => message.method ?? "")).toEqual(told);
});

test("a process that speaks another version cannot go on", () => {
  const bench = new Bench().handshake();
  bench.next(new Process(TOOLS, "2024-11-05"));
  expect(bench.failure).toContain("2024-11-05");
});

test("a method in another place sets nothing up", () => {
  const bench = new Bench().handshake();
  bench.ask("tools/call", { method: "logging/setLevel", params: { level: "debug" } });
  bench.ask("tools/call", { arguments: { text: '{"method":"resources/subscribe"}' } });
  bench.next(new Process(TOOLS));
  expect(bench.process.methods).toEqual(["initialize", "notifications/initialized"]);
});

const level = fc.record({ what: fc.constant("logging/setLevel"), level: fc.constantFrom("debug", "error") });
const resource = fc.record({
  what: fc.constantFrom("resources/subscribe", "resources/unsubscribe"),
  uri: fc.constantFrom("note://1", "note://2", "note://3"),
});
const other = fc.record({ what: fc.constantFrom("tools/list", "tools/call", "end") });
/** Reaches a process that ends before it does anything with it. */
const lost = fc.record({
  lost: fc.constantFrom("tools/call", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"),
});

test("whatever a client does, the next process is where the last one was, and each request ends once", () => {
  const steps = fc.array(fc.oneof(level, resource, other, lost), { maxLength: 40 });
  const property = fc.property(steps, (all) => {
    const bench = new Bench().handshake();
    const asked: number[] = [];
    for (const [index, step] of all.entries()) {
      const before = bench.process;
      if ("lost" in step) {
        const id = 1_000 + index;
        bench.conversation.take(bytes({ id, method: step.lost, params: { level: "info", uri: "note://1" } }));
        expect(bench.next(new Process(TOOLS))).toEqual([String(id)]);
      } else if (step.what === "end") expect(bench.next(new Process(TOOLS))).toEqual([]);
      else {
        const { what, ...params } = step;
        asked.push(bench.ask(what, params));
        continue;
      }
      expect(bench.process.level).toBe(before.level);
      expect([...bench.process.subscriptions].sort()).toEqual([...before.subscriptions].sort());
    }
    expect(bench.complaints).toEqual([]);
    const [handshake, ...answers] = bench.client.map(({ id, method }) => method ?? id);
    expect(handshake).toBe("i");
    expect(answers).toEqual(asked);
  });
  fc.assert(property, seeded("setup and ends", 300));
});
