/** The manager over real server processes: starts, stops, definitions, sessions. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Progress } from "../../src/runtime/runtime.ts";
import { until } from "../support/until.ts";
import { parseBody, parseSpec } from "./specs.ts";
import { ask, faultOf, fixture, openStage, quiet, soon } from "./stage.ts";

const PLAIN = fixture("plain-server.ts");
const SLOW = fixture("plain-server.ts", ["other"]);

const front = (server: string) => ({ server, pid: process.pid, ppid: process.ppid });

describe("start and stop", () => {
  test("through every state, idempotent, with its events", async () => {
    await using stage = await openStage("life");
    const { manager } = stage;
    expect(manager.servers()).toEqual([]);
    const steps: Progress[] = [];
    const started = await manager.start("plain", PLAIN, (progress) => steps.push(progress), soon());
    expect(started).toMatchObject({ name: "plain", state: "ready", runtime: "process", sessions: 0 });
    expect(started.addresses).toHaveLength(1);
    expect(steps.map(({ step }) => step)).toContain("waiting for the bridge");
    const again = await manager.start("plain", undefined, quiet, soon());
    expect([again.id, again.since]).toEqual([started.id, started.since]);
    expect(await ask(manager, "plain", "echo", "hello")).toContain("hello");
    expect(await manager.stop("plain", soon())).toMatchObject({ state: "stopped", addresses: [] });
    expect(await manager.stop("plain", soon())).toMatchObject({ state: "stopped" });
    expect(await manager.restart("plain", quiet, soon())).toMatchObject({ state: "ready" });
    await manager.remove("plain", soon());
    expect(manager.servers()).toEqual([]);
    const kinds = manager.events.recent(100).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind.startsWith("server."))).toEqual([
      "server.creating",
      "server.starting",
      "server.ready",
      "server.stopping",
      "server.stopped",
      "server.creating",
      "server.starting",
      "server.ready",
      "server.stopping",
      "server.stopped",
      "server.removed",
    ]);
  });

  test("ten starts at once are one start, and one process", async () => {
    await using stage = await openStage("ten");
    const { manager } = stage;
    const views = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        index % 2 === 0
          ? manager.start("plain", PLAIN, quiet, soon())
          : manager
              .acquire(front("plain"), "front", quiet, soon())
              .catch(() => manager.start("plain", PLAIN, quiet, soon())),
      ),
    );
    expect(views).toHaveLength(10);
    const created = manager.events.recent(100).filter(({ kind }) => kind === "server.creating");
    expect(created).toHaveLength(1);
  });

  test("a stop ends a start that is under way; whoever waited is told; the next start works", async () => {
    await using stage = await openStage("stop");
    const { manager } = stage;
    const starting = Array.from({ length: 3 }, () => faultOf(manager.start("plain", PLAIN, quiet, soon())));
    await until(
      "the start is under way",
      () => manager.servers()[0]?.state === "starting" || manager.servers()[0]?.state === "creating",
    );
    expect(await manager.stop("plain", soon())).toMatchObject({ state: "stopped" });
    for (const fault of await Promise.all(starting)) {
      expect(fault.kind).toBe("cancelled");
      expect(fault.message).toContain("ended by a stop");
    }
    expect(await manager.start("plain", undefined, quiet, soon())).toMatchObject({ state: "ready" });
  });

  test("a caller's deadline ends its own wait, not the start", async () => {
    await using stage = await openStage("deadline");
    const { manager } = stage;
    const fault = await faultOf(manager.start("plain", PLAIN, quiet, soon(1)));
    expect(fault.kind).toBe("timeout");
    expect(await manager.start("plain", PLAIN, quiet, soon())).toMatchObject({ state: "ready" });
    expect(manager.events.recent(100).filter(({ kind }) => kind === "server.creating").length).toBeLessThanOrEqual(1);
  });

  test("what cannot start says why, is shown as failed, and leaves nothing running", async () => {
    await using stage = await openStage("fail");
    const { manager } = stage;
    const nothing = parseBody({ image: "exec:no-such-program-anywhere" });
    const fault = await faultOf(manager.start("nothing", nothing, quiet, soon()));
    expect(fault.message).toContain("no-such-program-anywhere");
    expect(manager.server("nothing")).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("no-such-program"),
    });
    const image = await faultOf(manager.start("image", parseBody({ image: "alpine:3.20" }), quiet, soon()));
    expect(image.kind).toBe("unsupported");
    expect((await faultOf(Promise.resolve().then(() => manager.server("image")))).kind).toBe("not-found");
  });
});

describe("definitions", () => {
  const CONFIGURED = parseSpec({ name: "plain", ...fixture("plain-server.ts") });

  test("of the file are known, never started, and cannot be changed over REST", async () => {
    await using stage = await openStage("config", { servers: [CONFIGURED] });
    const { manager } = stage;
    expect(manager.servers()).toMatchObject([{ name: "plain", state: "defined", addresses: [] }]);
    const fault = await faultOf(manager.start("plain", SLOW, quiet, soon()));
    expect([fault.kind, fault.message]).toEqual(["conflict", "plain is declared otherwise in the configuration file"]);
    expect(await manager.start("plain", PLAIN, quiet, soon())).toMatchObject({ state: "ready" });
    await manager.remove("plain", soon());
    expect(manager.servers()).toMatchObject([{ name: "plain", state: "stopped" }]);
  });

  test("a reference with a definition is a server of its own, the same for everybody who asks for the same", async () => {
    await using stage = await openStage("definition");
    const { manager } = stage;
    const { image, ...rest } = PLAIN;
    const ask = async (definition?: Omit<typeof PLAIN, "image">, server = image) =>
      (await manager.acquire({ server, definition, pid: process.pid, ppid: process.ppid }, "front", quiet, soon()))
        .server;
    const first = await ask(rest);
    expect(await ask({ ...rest })).toBe(first);
    const other = await ask({ ...rest, env: { MODE: "other" } });
    expect(other).toMatch(new RegExp(`^${first}-[0-9a-f]{6}$`));
    expect(manager.servers().map(({ name }) => name)).toEqual([first, other]);
    expect(await faultOf(ask(rest, first))).toMatchObject({ kind: "usage" });
  });

  test("over REST survive a restart of the manager, removed ones do not", async () => {
    await using stage = await openStage("rest");
    await stage.manager.start("one", PLAIN, quiet, soon());
    await stage.manager.start("two", PLAIN, quiet, soon());
    await stage.manager.stop("one", soon());
    await stage.manager.remove("two", soon());
    const manager = await stage.reopen();
    expect(manager.servers().map(({ name }) => name)).toEqual(["one"]);
    expect(await manager.start("one", undefined, quiet, soon())).toMatchObject({ state: "ready" });
  });

  test("another definition replaces one that runs, but not while somebody uses it", async () => {
    await using stage = await openStage("replace");
    const { manager } = stage;
    const first = await manager.start("plain", PLAIN, quiet, soon());
    const grant = await manager.acquire(front("plain"), "front", quiet, soon());
    const fault = await faultOf(manager.start("plain", SLOW, quiet, soon()));
    expect([fault.kind, fault.hint]).toEqual(["conflict", "Stop it first: linkspan stop plain"]);
    expect(await ask(manager, "plain", "echo", "still there")).toContain("still there");
    manager.release(grant.session);
    const second = await manager.start("plain", SLOW, quiet, soon());
    expect(second.state).toBe("ready");
    expect(second.id).not.toBe(first.id);
  });

  test("names: similar ones are hinted at, invalid ones refused, references run under names of their own", async () => {
    await using stage = await openStage("names", { servers: [CONFIGURED] });
    const { manager } = stage;
    const missing = await faultOf(manager.start("plian", undefined, quiet, soon()));
    expect([missing.kind, missing.hint]).toEqual(["not-found", "Did you mean plain?"]);
    for (const name of ["-x", "A", "a/b", "", "x".repeat(64), "__proto__"]) {
      expect((await faultOf(manager.start(name, PLAIN, quiet, soon()))).kind).toBe("invalid");
    }
    expect((await faultOf(manager.acquire(front("alpine"), "front", quiet, soon()))).kind).toBe("not-found");
    expect((await faultOf(manager.acquire(front("-x:y"), "front", quiet, soon()))).kind).toBe("invalid");
    const ref = `exec:${join(import.meta.dir, "../fixtures/shell-server.sh")}`;
    await faultOf(manager.acquire(front(ref), "front", quiet, soon()));
    const derived = manager.servers().filter(({ image }) => image === ref);
    expect(derived.map(({ name }) => name)).toEqual(["shell-server.sh"]);
  });
});

describe("sessions", () => {
  test("are booked, counted, and given back once", async () => {
    await using stage = await openStage("sessions");
    const { manager } = stage;
    await manager.start("plain", PLAIN, quiet, soon());
    const grant = await manager.acquire({ ...front("plain"), terminal: "pts/1" }, "front", quiet, soon());
    expect(grant).toMatchObject({ server: "plain", messageBytes: 16 * 1024 * 1024 });
    expect(grant.session).toMatch(new RegExp(`^mcp-session-${process.ppid}-${process.pid}-\\d+-pts_1$`));
    expect(manager.sessions()).toMatchObject([
      { session: grant.session, server: "plain", kind: "front", pid: process.pid },
    ]);
    expect(manager.server("plain").sessions).toBe(1);
    expect(manager.idleMs()).toBeLessThan(1_000);
    manager.release(grant.session);
    manager.release(grant.session);
    expect(manager.sessions()).toEqual([]);
    expect(manager.events.recent(100).filter(({ kind }) => kind === "session.closed")).toHaveLength(1);
  });

  test("of a process that is gone are freed within 5 s", async () => {
    await using stage = await openStage("sweep");
    const { manager } = stage;
    await manager.start("plain", PLAIN, quiet, soon());
    const child = Bun.spawn(["sleep", "60"]);
    await manager.acquire({ server: "plain", pid: child.pid, ppid: process.pid }, "front", quiet, soon());
    child.kill("SIGKILL");
    await child.exited;
    await until("the session is freed", () => manager.sessions().length === 0, 5_000);
  });

  test("idle: not while a session is open or somebody wants the server; servers nobody asked for are removed", async () => {
    await using stage = await openStage("idle", { servers: [parseSpec({ name: "plain", ...PLAIN })] });
    const { manager } = stage;
    const grant = await manager.acquire(front("plain"), "front", quiet, soon());
    await Bun.sleep(30);
    expect(manager.idleMs()).toBeLessThan(20);
    manager.release(grant.session);
    await until("it is idle", () => manager.idleMs() > 50);
    await manager.start("plain", undefined, quiet, soon());
    await Bun.sleep(30);
    expect(manager.idleMs()).toBeLessThan(20);
    await manager.removeUnwanted(soon());
    expect(manager.server("plain").state).toBe("ready");
    await manager.stop("plain", soon());
    const second = await manager.acquire(front("plain"), "front", quiet, soon());
    await manager.removeUnwanted(soon());
    expect(manager.server("plain").state).toBe("ready");
    manager.release(second.session);
    await manager.removeUnwanted(soon());
    expect(manager.server("plain")).toMatchObject({ state: "stopped", addresses: [] });
  });
});
