/** A front where no manager runs: it starts one in the background, or is one itself. */
import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { BINARY } from "../support/binary.ts";
import { cleanEnv, tempDir } from "../support/cli.ts";
import { until } from "../support/until.ts";
import type { Launch } from "./launch.ts";
import { INITIALIZE, RawFront } from "./raw-front.ts";

const PLAIN = join(import.meta.dir, "../fixtures/plain-server.ts");
const CONFIG = `
manager: { runtime: process, allowWeaker: true, stopServersOnExit: true }
servers:
  plain: { image: "exec:${process.execPath}", args: ["${PLAIN}"] }
`;

const ECHO = { name: "echo", arguments: { text: "again" } };

/** A home with a configuration and nothing else. */
async function home(): Promise<{ path: string; launch(...args: string[]): Launch } & AsyncDisposable> {
  const dir = await tempDir("home");
  await Bun.write(join(dir.path, ".config/linkspan/linkspan.yaml"), CONFIG);
  const given = cleanEnv({ HOME: dir.path, LINKSPAN_DATA_DIR: join(dir.path, "data") });
  const env = Object.fromEntries(
    Object.entries(given).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
  const launch = (...args: string[]) => ({ command: BINARY, args: ["mcp", ...args], env });
  return { path: dir.path, launch, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() };
}

test("many fronts at once start one manager and share it", async () => {
  await using at = await home();
  const fronts = Array.from({ length: 5 }, () => new RawFront(at.launch("plain")));
  let manager = 0;
  try {
    const answers = await Promise.all(fronts.map((front) => front.initialize(30_000)));
    for (const { result } of answers) expect(result).toMatchObject({ serverInfo: { name: "plain" } });
    const log = await readFile(join(at.path, "data/logs/background.log"), "utf8");
    const pids = [...log.matchAll(/"?pid"?[=: ]+(\d+)/g)].map(([, pid]) => Number(pid));
    manager = pids[0] ?? 0;
    expect(new Set(pids).size).toBe(1);
    for (const front of fronts) {
      front.endInput();
      expect(await front.ended()).toBe(0);
    }
  } finally {
    for (const front of fronts) await front[Symbol.asyncDispose]();
    if (manager > 0) process.kill(manager, "SIGTERM");
    await until("the end of the manager", () => manager === 0 || !alive(manager));
  }
}, 60_000);

test("a front whose manager and bridge are killed starts another manager, and its client stays", async () => {
  await using at = await home();
  const managerOf = async () => Number(await readFile(join(at.path, "data/manager.pid"), "utf8").catch(() => "0"));
  await using front = new RawFront(at.launch("plain"));
  await front.initialize(30_000);
  const serverOf = async () => Number(/\d{2,}/.exec(JSON.stringify((await front.call("process")).result))?.[0]);
  const [manager, server] = [await managerOf(), await serverOf()];
  let next = 0;
  try {
    process.kill(manager, "SIGKILL");
    await until("the end of the manager", () => !alive(manager));
    // Nobody misses it while the bridge lives.
    expect(await serverOf()).toBe(server);
    const call = front.ask("tools/call", { name: "hang" });
    await front.call("echo");
    process.kill(await parentOf(server), "SIGKILL");
    expect((await front.answered(call, 10_000)).error?.message).toContain("not known");
    expect(JSON.stringify((await front.request("tools/call", ECHO, 30_000)).result)).toContain("again");
    next = await managerOf();
    expect(alive(next)).toBe(true);
    expect(next).not.toBe(manager);
    expect(front.messages.filter(({ error }) => error)).toHaveLength(1);
    front.endInput();
    expect(await front.ended()).toBe(0);
  } finally {
    if (next > 0) process.kill(next, "SIGTERM");
    await until("the end of the other manager", () => next === 0 || !alive(next));
  }
}, 90_000);

test("--embedded needs no other process and takes its server with it", async () => {
  await using at = await home();
  await using front = new RawFront(at.launch("--embedded", "plain"));
  expect((await front.initialize(30_000)).result).toMatchObject({ serverInfo: { name: "plain" } });
  const server = Number(/\d{2,}/.exec(JSON.stringify((await front.call("process")).result))?.[0]);
  expect(alive(server)).toBe(true);
  expect(await Bun.file(join(at.path, "data/manager.sock")).exists()).toBe(false);
  front.endInput();
  expect(await front.ended()).toBe(0);
  expect(alive(server)).toBe(false);
}, 60_000);

test("a signal during a start ends the front at once, with an answer and without a word about the start", async () => {
  await using at = await home();
  // A manager that hears the question and says nothing.
  let asked = false;
  using silent = Bun.listen({ unix: join(at.path, "silent.sock"), socket: { data: () => void (asked = true) } });
  const launch = at.launch("plain");
  launch.env.LINKSPAN_URL = `unix://${silent.unix}`;
  await using front = new RawFront(launch);
  const id = front.ask("initialize", INITIALIZE);
  await until("the front's question to the manager", () => asked);
  front.process.kill("SIGTERM");
  expect(await front.ended(2_000)).toBe(0);
  expect((await front.answered(id)).error?.code).toBe(-32800);
  expect(front.stderr).toBe("");
}, 60_000);

test("--embedded says why a server does not start", async () => {
  await using at = await home();
  await using front = new RawFront(at.launch("--embedded", "plian"));
  const { error } = await front.initialize(30_000);
  expect(error?.code).toBe(-32004);
  expect(error?.message).toContain("plain");
  expect(await front.ended()).toBe(1);
}, 60_000);

/** The bridge is the parent of the server's process. */
async function parentOf(pid: number): Promise<number> {
  return Number(/^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
