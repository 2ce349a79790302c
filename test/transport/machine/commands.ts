/** What can happen to a session, as commands for fast-check, and what must be true after each of them. */
import { expect } from "bun:test";
import fc from "fast-check";
import { LIMITS } from "../../../bridge/wire.ts";
import { settled } from "./clock.ts";
import { CUTS, type Direction, type How } from "./wire.ts";
import { MESSAGE_BYTES, RESUME_MS, World } from "./world.ts";

/** What was said, and what was done to the session: all that its outcome may depend on. */
export class Model {
  readonly toServer: string[] = [];
  readonly toClient: string[] = [];
  /** Requests of the client by number, and how many answers have come. */
  readonly asked = new Map<number, number>();
  readonly answered = new Set<number>();
  /** The second half of a message whose first half was written. */
  half = "";
  number = 0;
  held = false;
  detached = false;
  finished = false;
  exited = false;
  usurped = false;
  writtenBytes = 0;
  checkedServer = 0;
  checkedClient = 0;
  /** Lines of `toClient` that the client has; the bridge puts errors of its own between them. */
  had = 0;
}

type Command = fc.AsyncCommand<Model, World>;

/** A step that can be taken at any time, followed by a look at everything. */
class Step implements Command {
  constructor(
    private readonly name: string,
    private readonly act: (model: Model, world: World) => void | Promise<void>,
    private readonly when: (model: Model) => boolean = () => true,
  ) {}

  check(model: Readonly<Model>): boolean {
    return this.when(model);
  }

  async run(model: Model, world: World): Promise<void> {
    await this.act(model, world);
    await settled();
    look(model, world);
  }

  toString(): string {
    return this.name;
  }
}

const bytesOf = fc.oneof(fc.nat(60), fc.nat(3_000), fc.constant(Number.POSITIVE_INFINITY));
const direction = fc.constantFrom<Direction>("up", "down");
const count = fc.integer({ min: 1, max: 20 });
const size = fc.oneof({ weight: 6, arbitrary: fc.nat(200) }, { weight: 1, arbitrary: fc.constant(60_000) });
/** More than is kept for a resume. */
const BURST = { count: 80, size: 60_000 };

const steps: [number, fc.Arbitrary<Command>][] = [
  [4, fc.tuple(count, size).map(([n, bytes]) => clientSends(n, bytes))],
  [1, fc.constant(clientSends(BURST.count, BURST.size))],
  [2, fc.nat(120).map(clientWritesHalf)],
  [3, fc.constant(new Step("ask", (model, world) => ask(model, world)))],
  [4, fc.tuple(count, size, fc.nat(5_000)).map(([n, bytes, chunk]) => serverSays(n, bytes, chunk + 1))],
  [1, fc.constant(serverSays(BURST.count, BURST.size, 64 * 1024))],
  [3, fc.constant(new Step("answer", answer))],
  [12, fc.tuple(direction, bytesOf).map(([way, most]) => deliver(-1, way, most))],
  [2, fc.tuple(fc.integer({ min: -3, max: -2 }), direction, bytesOf).map((args) => deliver(...args))],
  [8, fc.constantFrom(0, 50, 400).map((ms) => new Step(`flow(${ms})`, (_, world) => world.flow(ms)))],
  [6, fc.constantFrom<How>(...CUTS).map((how) => new Step(`cut(${how})`, (_, world) => world.cut(how)))],
  [2, fc.boolean().map((off) => new Step(off ? "refuse" : "accept", (_, world) => void (world.refusing = off)))],
  [3, fc.constantFrom(1, 30, 250, 1_100).map(advance)],
  [1, fc.constantFrom(11_000, 26_000, 31_000).map(advance)],
  [2, fc.boolean().map((on) => new Step(on ? "read" : "stopReading", (_, world) => world.server?.read(on)))],
  [2, fc.boolean().map((on) => new Step(on ? "hold" : "release", (model, world) => hold(model, world, on)))],
  [1, fc.constant(new Step("takeOver", takeOver, ({ usurped }) => !usurped))],
  [1, fc.constantFrom("detach", "finish", "exit", "nothing", "nothing", "nothing").map(ending)],
];

export const commands = fc.commands([fc.oneof(...steps.map(([weight, arbitrary]) => ({ weight, arbitrary })))], {
  maxCommands: 80,
  size: "max",
  ...(process.env.LINKSPAN_REPLAY ? { replayPath: process.env.LINKSPAN_REPLAY } : {}),
});

function clientSends(n: number, bytes: number): Command {
  return new Step(`send(${n}, ${bytes})`, (model, world) => {
    if (!open(model, world)) return;
    let text = model.half;
    model.half = "";
    for (let i = 0; i < n; i++) {
      const line = `{"jsonrpc":"2.0","method":"c${model.number++}","params":"${"x".repeat(bytes)}"}`;
      model.toServer.push(line);
      // A blank line is counted by both ends, and does not reach the server.
      text += i % 5 === 4 ? `${line}\n\n` : `${line}\n`;
    }
    write(model, world, text);
  });
}

function clientWritesHalf(length: number): Command {
  return new Step(`sendHalf(${length})`, (model, world) => {
    if (model.half || !open(model, world)) return;
    const line = `{"jsonrpc":"2.0","method":"c${model.number++}","params":"${"y".repeat(100)}"}`;
    model.toServer.push(line);
    model.half = `${line.slice(length)}\n`;
    write(model, world, line.slice(0, length));
  });
}

function ask(model: Model, world: World): void {
  if (!open(model, world)) return;
  const id = model.number++;
  const line = `{"jsonrpc":"2.0","id":${id},"method":"ask"}`;
  model.asked.set(id, 0);
  model.toServer.push(line);
  const text = `${model.half}${line}\n`;
  model.half = "";
  write(model, world, text);
}

/** The client may still say something. */
function open(model: Model, world: World): boolean {
  return world.session !== undefined && world.ends.length === 0 && !model.finished && !model.detached;
}

function write(model: Model, world: World, text: string): void {
  model.writtenBytes += text.length;
  world.session?.write(Buffer.from(text));
}

function serverSays(n: number, bytes: number, chunk: number): Command {
  return new Step(`say(${n}, ${bytes}, ${chunk})`, (model, { server }) => {
    if (!server?.free) return;
    let text = "";
    for (let i = 0; i < n; i++) {
      const line = `{"jsonrpc":"2.0","method":"s${model.number++}","params":"${"z".repeat(bytes)}"}`;
      model.toClient.push(line);
      text += i % 4 === 3 ? `noise\n\n${line}\r\n` : `${line}\n`;
    }
    server.say(text, Math.max(chunk, Math.ceil(text.length / 200)));
  });
}

function answer(model: Model, { server }: World): void {
  if (!server?.free) return;
  for (const line of server.lines) {
    const id = idOf(line);
    if (id === undefined || model.answered.has(id)) continue;
    model.answered.add(id);
    const text = `{"jsonrpc":"2.0","id":${id},"result":{}}`;
    model.toClient.push(text);
    return server.say(`${text}\n`);
  }
}

function deliver(which: number, way: Direction, most: number): Command {
  return new Step(`deliver(${which}, ${way}, ${most})`, (_, world) => world.deliver(which, way, most));
}

function advance(ms: number): Command {
  return new Step(`advance(${ms})`, (_, world) => world.clock.advance(ms));
}

function hold(model: Model, { session }: World, on: boolean): void {
  if (!session || model.detached || model.held === on) return;
  model.held = on;
  if (on) session.pause();
  else session.resume();
}

async function takeOver(model: Model, world: World): Promise<void> {
  if (!world.session) return;
  model.usurped = true;
  await world.takeOver();
}

function ending(how: string): Command {
  return new Step(how, (model, world) => {
    if (how === "detach" && world.session) {
      model.detached = true;
      world.session.detach();
    } else if (how === "finish" && world.session && !model.half) {
      model.finished = true;
      world.session.finish();
    } else if (how === "exit" && world.server) {
      model.exited = true;
      world.server.exit(3);
    }
  });
}

/** Nothing lost, nothing doubled, nothing out of order, and everything bounded: true at any time. */
function look(model: Model, world: World): void {
  const received = world.server?.lines ?? [];
  for (; model.checkedServer < received.length; model.checkedServer++) {
    expect(short(received[model.checkedServer])).toBe(short(model.toServer[model.checkedServer]));
  }
  for (; model.checkedClient < world.lines.length; model.checkedClient++) {
    const line = world.lines[model.checkedClient] ?? "";
    const id = idOf(line);
    if (id !== undefined) {
      const times = (model.asked.get(id) ?? Number.NaN) + 1;
      model.asked.set(id, times);
      expect(`answer ${id}: ${times} times`).toBe(`answer ${id}: 1 times`);
    }
    if (!line.includes('"error"')) expect(short(line)).toBe(short(model.toClient[model.had++]));
  }
  const { lines: taken = [], from = 0 } = world.usurper ?? {};
  for (const [i, line] of taken.filter((each) => !each.includes('"error"')).entries()) {
    expect(short(line)).toBe(short(model.toClient[from + i]));
  }
  expect(world.ends.length).toBeLessThanOrEqual(1);
  expect(world.late).toBe(0);
  expect(world.servers.length).toBeLessThanOrEqual(1);
  const write = BURST.count * (BURST.size + 100);
  expect(world.far?.replay.keptBytes ?? 0).toBeLessThan(2 * LIMITS.replayBytes + write);
  if (world.session) expect(world.nearKeptBytes).toBeLessThan(2 * LIMITS.replayBytes + MESSAGE_BYTES + 2 * write);
}

/** Everything is well again and has its time: what was said is there, or the session has ended for a reason. */
export async function conclude(model: Model, world: World): Promise<void> {
  world.refusing = false;
  world.server?.read(true);
  hold(model, world, false);
  if (model.half && world.ends.length === 0) {
    write(model, world, model.half);
    model.half = "";
  }
  await world.flow(2_000);
  for (let i = 0; i < 100 && !settledDown(model, world); i++) await world.flow(1_000);
  look(model, world);
  const [end] = world.ends;
  if (world.refused) expect(["timeout", "unreachable", "conflict"]).toContain(world.refused.kind);
  else if (!world.session) throw new Error("the first dial came to no end");
  else if (end) explain(model, world);
  else {
    expect(model.finished || model.detached || model.exited).toBe(false);
    expect(world.server?.lines.length).toBe(model.toServer.length);
    expect(world.lines.length).toBe(model.toClient.length);
    world.session.detach();
  }
  // Nothing is left at either end.
  await world.flow(45_000);
  world.usurper?.connection.destroy();
  await world.flow(45_000);
  expect(world.bridge.health()).toMatchObject({ sessions: 0, processes: 0 });
}

function settledDown(model: Model, world: World): boolean {
  if (world.refused || world.ends.length > 0) return true;
  if (!world.session) return false;
  const complete = world.server?.lines.length === model.toServer.length && world.lines.length === model.toClient.length;
  return complete && !(model.finished || model.detached || model.exited);
}

/** Each end has a cause that the model knows; a request is answered, or its bytes are given back, or it is not known. */
function explain(model: Model, world: World): void {
  const [end] = world.ends;
  if (end?.why === "detached") return expect(model.detached || model.finished).toBe(true);
  if (end?.why === "exit") {
    expect(model.exited || model.finished || model.usurped).toBe(true);
    const undelivered = Buffer.concat(end.undelivered).toString();
    for (const [id, answers] of model.asked) {
      const back = undelivered.includes(`"id":${id},`) ? 1 : 0;
      expect(`request ${id}: ${answers} answers, ${back} given back`).toBe(
        `request ${id}: ${1 - back} answers, ${back} given back`,
      );
    }
    return;
  }
  if (end?.why !== "lost") throw new Error("no end");
  const { kind, message } = end.fault;
  expect(message.length).toBeGreaterThan(10);
  if (message.includes("taken the session over")) expect(model.usurped).toBe(true);
  else if (message.includes("no session s to resume")) {
    const expired = world.log.some((line) => line.includes("did not come back"));
    expect(expired || model.finished || model.detached || model.exited || model.usurped).toBe(true);
  } else if (message.includes("could not be restored"))
    expect(world.brokenForMs).toBeGreaterThanOrEqual(RESUME_MS - 1_000);
  else if (kind === "exhausted") expect(model.writtenBytes).toBeGreaterThan(2 * LIMITS.replayBytes);
  else if (message.includes("cannot be resumed")) {
    expect(world.log.join("\n")).toContain("cannot be resumed");
  } else throw new Error(`an end without a reason: ${kind}: ${message}`);
}

function idOf(line: string): number | undefined {
  const [, id] = /^\{"jsonrpc":"2.0","id":(\d+),/.exec(line) ?? [];
  return id === undefined ? undefined : Number(id);
}

function short(line: string | undefined): string {
  return line === undefined ? "nothing" : `${line.slice(0, 60)} (${line.length})`;
}
