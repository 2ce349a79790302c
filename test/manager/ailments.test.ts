/** Server processes that fall ill while their bridge is well: what the manager shows of each, and that it ends none. */
import { describe, expect, test } from "bun:test";
import { until } from "../support/until.ts";
import { converse, fixture, openStage, quiet, soon } from "./stage.ts";

const health = { interval: "1s", timeout: "500ms", retries: 2 };
const AILING = fixture("ailing-server.ts", [], { health });
const call = (name: string, args = {}) => ({ name, arguments: args });

describe.concurrent("a server process", () => {
  test("that is stopped, or answers nothing, is named as that, in the view, the inspection and the events", async () => {
    await using stage = await openStage("silent");
    const { manager } = stage;
    await manager.start("ailing", AILING, quiet, soon());
    const view = () => manager.server("ailing");
    using session = await converse(manager, "ailing");
    session.ask(1, "tools/call", call("pid"));
    await until("its pid", () => session.heard.length > 1);
    const pid = Number(/"text":"(\d+)"/.exec(session.heard[1] ?? "")?.[1]);
    process.kill(pid, "SIGSTOP");
    await until("it is seen", () => view().state === "unhealthy");
    expect(view().reason).toBe(`server process ${pid} is stopped (SIGSTOP or a debugger)`);
    process.kill(pid, "SIGCONT");
    await until("it is well again", () => view().state === "ready");
    session.ask(2, "tools/call", call("mute-later"));
    // The first probe that it misses is shown, the second one counts.
    await until("it is suspected", () => view().reason !== undefined);
    const reason = `server process ${pid} runs but does not answer a ping`;
    expect(view().reason).toBe(reason);
    await until("it is unhealthy", () => view().state === "unhealthy");
    expect(await manager.inspect("ailing", soon())).toMatchObject({
      view: { state: "unhealthy", reason },
      health: { status: "unhealthy", trouble: { kind: "silent", message: reason, sessions: 1 } },
    });
    const events = manager.events.recent(50).map(({ kind, message }) => `${kind}: ${message}`);
    expect(events).toContain(`server.trouble: ailing: ${reason}`);
    expect(events).toContain(`server.unhealthy: ailing is unhealthy: ${reason}`);
    // Others are served by processes of their own; it is not ended, since only its client can know what that would cost.
    using other = await converse(manager, "ailing");
    other.ask(1, "tools/call", call("pid"));
    await until("the other's answer", () => other.heard.length > 1);
    expect(process.kill(pid, 0)).toBe(true);
  }, 60_000);

  test("that answers with garbage is named as that", async () => {
    await using stage = await openStage("babble");
    const { manager } = stage;
    await manager.start("ailing", AILING, quiet, soon());
    using session = await converse(manager, "ailing");
    session.ask(1, "tools/call", call("babble"));
    await until("its last answer", () => session.heard.length > 1);
    session.ask(2, "tools/call", call("pid"));
    await until("it is seen", () => manager.server("ailing").state === "unhealthy");
    expect(manager.server("ailing").reason).toMatch(/^server process \d+ answers with what nobody has asked for$/);
    expect(session.heard).toHaveLength(2);
  }, 60_000);

  test("that closes its output is stopped, and that is the reason shown", async () => {
    await using stage = await openStage("closed");
    const { manager } = stage;
    await manager.start("ailing", fixture("ailing-server.ts", [], { health, stopTimeout: "1s" }), quiet, soon());
    using session = await converse(manager, "ailing");
    session.ask(1, "tools/call", call("close-stdout"));
    await until("it is shown", () => manager.server("ailing").reason?.includes("closed its input or output"));
    expect(session.heard[1]).toContain("closed its input or output");
    expect(manager.server("ailing").state).toBe("ready");
  }, 60_000);

  test("that computes for longer than all probes take is neither dead nor restarted", async () => {
    await using stage = await openStage("busy");
    const { manager } = stage;
    await manager.start("ailing", AILING, quiet, soon());
    const { id } = manager.server("ailing");
    using session = await converse(manager, "ailing");
    const seconds = Number(process.env.LINKSPAN_TEST_BUSY_S ?? 7);
    session.ask(1, "tools/call", call("compute", { ms: seconds * 1_000 }));
    await until(
      "the answer",
      async () => {
        expect(manager.server("ailing")).toMatchObject({ state: "ready", id });
        expect(manager.server("ailing").reason).toBeUndefined();
        return session.heard.length > 1;
      },
      (seconds + 20) * 1_000,
    );
    expect(session.heard[1]).toContain("computed");
    const kinds = manager.events.recent(100).map(({ kind }) => kind);
    expect(kinds).not.toContain("server.trouble");
    expect(kinds).not.toContain("process.ended");
  }, 120_000);
});

test("spares are started with the server, known to the manager, and do not keep it from being idle", async () => {
  await using stage = await openStage("spares");
  const { manager } = stage;
  const body = fixture("ailing-server.ts", [], { spare: 2, idleStop: "1s" });
  await manager.start("spare", body, quiet, soon());
  const health = async () => (await manager.inspect("spare", soon())).health;
  await until("the spares", async () => (await health())?.spares === 2);
  expect(await health()).toMatchObject({ status: "ok", processes: 0, sessions: 0, inFlight: 0 });
  using session = await converse(manager, "spare");
  session.ask(1, "tools/call", call("pid"));
  await until("its pid", () => session.heard.length > 1);
  await until("the next spare", async () => (await health())?.spares === 2);
  session[Symbol.dispose]();
  manager.release(session.session);
  await until("it is idle", () => manager.server("spare").state === "stopped", 15_000);
}, 60_000);
