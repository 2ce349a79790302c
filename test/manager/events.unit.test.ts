/** Where events go: the ring, the database, the lifecycle log and the system's log. */
import { Database } from "bun:sqlite";
import { dlopen } from "bun:ffi";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SILENT } from "../../src/base/log.ts";
import { openEvents } from "../../src/manager/chronicle.ts";
import { History } from "../../src/manager/history.ts";
import { Lifecycle, LifecycleLog } from "../../src/manager/lifecycle.ts";
import { State } from "../../src/manager/state.ts";
import { Syslog } from "../../src/manager/syslog.ts";
import type { EventView } from "../../src/model/views.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "linkspan-events-"));
  mkdirSync(join(folder, "logs"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const event = (kind: string, more: Partial<EventView> = {}): EventView => ({
  at: 1_700_000_000_000,
  kind,
  message: kind,
  ...more,
});
const openState = () => State.open(join(folder, "state.db"), SILENT);

describe("the history", () => {
  test("outlives the manager, in order, with everything that an event has", () => {
    const first = openState();
    const events = openEvents(folder, first, (server) => `box-${server}`);
    for (let index = 0; index < 300; index += 1) events.add("n", `event ${index}`, { server: "s", data: { index } });
    first.close();
    const second = openState();
    const later = openEvents(folder, second, () => undefined);
    later.add("n", "event 300");
    const recent = later.recent(9_999);
    expect(recent).toHaveLength(301);
    expect(recent[299]).toMatchObject({
      kind: "n",
      server: "s",
      container: "box-s",
      message: "event 299",
      data: { index: 299 },
    });
    expect(recent.map(({ message }) => message)).toEqual(Array.from({ length: 301 }, (_, index) => `event ${index}`));
    expect(later.recent(2).map(({ message }) => message)).toEqual(["event 299", "event 300"]);
    second.close();
  });

  test("is bounded: the oldest go, what is too long is cut", () => {
    const database = new Database(":memory:");
    const history = new History(database, SILENT);
    for (let index = 0; index < 10_500; index += 1) history.add(event("n", { message: String(index) }));
    history.add(event("long", { message: "m".repeat(100_000), data: { text: "d".repeat(100_000) } }));
    const all = history.recent(1_000_000);
    expect(all).toHaveLength(10_000);
    expect(all.at(-1)).toEqual({ at: 1_700_000_000_000, kind: "long", message: "m".repeat(2_000) });
    database.close();
  });

  test("a database that takes nothing costs the history, not the manager, and is said once", () => {
    const said: string[] = [];
    const database = new Database(":memory:");
    const history = new History(database, { ...SILENT, error: (message) => void said.push(message) });
    database.run("DROP TABLE events");
    for (let round = 0; round < 3; round += 1) {
      history.add(event("n"));
      history.flush();
    }
    expect(history.recent(10)).toEqual([]);
    expect(said).toEqual(["events cannot be stored"]);
    database.close();
  });
});

describe("the lifecycle", () => {
  test.each([
    [["server.creating", "server.starting", "server.ready"], ["START"]],
    [["server.starting", "server.ready"], ["REUSE"]],
    [["server.unhealthy", "server.ready"], ["ERROR"]],
    [
      ["server.creating", "server.failed", "server.starting", "server.ready"],
      ["ERROR", "REUSE"],
    ],
    [["server.creating", "server.stopping", "server.stopped", "server.starting", "server.ready"], ["REUSE"]],
    [["session.opened"], ["CONNECT"]],
    [["session.closed", "manager.started", "dropped"], []],
    [
      ["cleanup.removed", "server.removed", "cleanup.failed"],
      ["CLEANUP", "CLEANUP", "ERROR"],
    ],
  ])("%j: %j", (kinds, marks) => {
    const lifecycle = new Lifecycle();
    expect(kinds.flatMap((kind) => lifecycle.marks(event(kind, { server: "s" })))).toEqual(marks as never);
  });

  test("a session on what runs already is REUSE and CONNECT; a process that fails is an ERROR", () => {
    const lifecycle = new Lifecycle();
    const marks = (kind: string, data: Record<string, unknown>) => lifecycle.marks(event(kind, { data }));
    expect(marks("session.opened", { reused: true })).toEqual(["REUSE", "CONNECT"]);
    expect(marks("process.ended", { code: 7, signal: null, oom: false })).toEqual(["ERROR"]);
    expect(marks("process.ended", { code: null, signal: "SIGKILL", oom: true })).toEqual(["ERROR"]);
    for (const code of [0, 143, null]) expect(marks("process.ended", { code, oom: false })).toEqual([]);
  });

  test("one line each, private, whatever a server says", () => {
    const log = new LifecycleLog(folder, new Syslog(join(folder, "none")));
    log.heard(
      event("server.failed", { server: "s", container: "box", message: "it said:\n[x] [CLEANUP]\u2028\x1b[2J no" }),
    );
    log.heard(event("session.opened", { server: "s", message: "hello" }));
    const file = join(folder, "logs", "lifecycle.log");
    expect(readFileSync(file, "utf8").split("\n")).toEqual([
      "[2023-11-14T22:13:20.000Z] [ERROR] [box] it said: [x] [CLEANUP] [2J no",
      "[2023-11-14T22:13:20.000Z] [CONNECT] [s] hello",
      "",
    ]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test("the file is rotated and bounded", () => {
    const log = new LifecycleLog(folder, new Syslog(join(folder, "none")));
    for (let index = 0; index < 6_000; index += 1) log.heard(event("session.opened", { message: "m".repeat(900) }));
    const files = readdirSync(join(folder, "logs")).toSorted();
    expect(files).toEqual(["lifecycle.log", "lifecycle.log.1", "lifecycle.log.2", "lifecycle.log.3"]);
    for (const file of files) expect(statSync(join(folder, "logs", file)).size).toBeLessThan(1.01 * 1024 ** 2);
  });
});

test.skipIf(process.platform !== "linux")(
  "the system's log gets a datagram for each line; without it nothing happens",
  () => {
    const path = join(folder, "log");
    using daemon = receiver(path);
    const syslog = new Syslog(path, () => new Date(2026, 0, 2, 3, 4, 5));
    syslog.send("info", "[START] [box] one");
    syslog.send("error", "[ERROR] [box] zwei ü");
    expect(daemon.next()).toBe(`<30>Jan  2 03:04:05 mcp-container[${process.pid}]: [START] [box] one`);
    expect(daemon.next()).toBe(`<27>Jan  2 03:04:05 mcp-container[${process.pid}]: [ERROR] [box] zwei ü`);
    // Nobody reads: once its queue is full, lines are lost and nothing waits.
    for (let count = 0; count < 5_000; count += 1) syslog.send("notice", "x".repeat(100));
    expect(daemon.next()).toContain("xxx");
    new Syslog(join(folder, "none")).send("info", "nobody");
    new Syslog("/".padEnd(200, "x")).send("info", "nobody");
  },
);

/** A unix datagram socket that is read by hand. */
function receiver(path: string): Disposable & { next(): string } {
  const { symbols: libc } = dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
    recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
  });
  const fd = libc.socket(1, 2, 0);
  const address = Buffer.concat([Buffer.from([1, 0]), Buffer.from(path), Buffer.from([0])]);
  expect(libc.bind(fd, address, address.byteLength)).toBe(0);
  const bytes = Buffer.alloc(4_096);
  return {
    // MSG_DONTWAIT: the datagram is there when `send` has returned.
    next: () => bytes.toString("utf8", 0, Math.max(0, Number(libc.recv(fd, bytes, bytes.byteLength, 0x40)))),
    [Symbol.dispose]: () => void libc.close(fd),
  };
}
