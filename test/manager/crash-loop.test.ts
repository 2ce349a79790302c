/** Servers that do not stay up: those that are always wanted come back, a loop is broken, and no containers pile up. */
import { expect, test } from "bun:test";
import { listContainers } from "../../src/docker/containers.ts";
import type { DataDir } from "../../src/manager/data-dir.ts";
import { LABEL } from "../../src/runtime/labels.ts";
import { open } from "../support/docker-subject.ts";
import { engine, engineTest } from "../support/engine.ts";
import { busyboxImage } from "../support/images.ts";
import { until } from "../support/until.ts";
import { parseBody, parseSpec } from "./specs.ts";
import { faultOf, fixture, openStage, quiet, soon } from "./stage.ts";

/** For one step where much else runs. */
const BUSY_MS = 60_000;

const docker = (dir: DataDir) => open({ instance: dir.instance, dataDir: dir.path });

test("a server that is always wanted is started again when it fails, and not when somebody stops it", async () => {
  const spec = parseSpec({ name: "kept", ...fixture("plain-server.ts", [], { start: "always" }) });
  await using stage = await openStage("kept", { servers: [spec] });
  const { manager } = stage;
  const bridge = async () => {
    const { raw } = await manager.inspect("kept", soon());
    return (raw as { run: { bridge: { pid: number } } }).run.bridge.pid;
  };
  await until("it runs", () => manager.server("kept").state === "ready", BUSY_MS);
  const before = await bridge();
  process.kill(before, "SIGKILL");
  await until("it is seen", () => manager.events.recent(20).some(({ kind }) => kind === "server.failed"), BUSY_MS);
  await until("it runs again", () => manager.server("kept").state === "ready", BUSY_MS);
  expect(await bridge()).not.toBe(before);
  await manager.stop("kept", soon(BUSY_MS));
  const started = manager.events.recent(100).filter(({ kind }) => kind === "server.creating").length;
  await Bun.sleep(2_500);
  expect(manager.server("kept").state).toBe("stopped");
  expect(manager.events.recent(100).filter(({ kind }) => kind === "server.creating")).toHaveLength(started);
}, 200_000);

engineTest(
  "a container that cannot start is tried five times, then sessions are told why at once",
  async () => {
    await using stage = await openStage("loop", { allowWeaker: false }, docker);
    const { manager } = stage;
    const definition = parseBody({ image: await busyboxImage(engine()), user: "nobody-knows-him" });
    const failed: number[] = [];
    const note = async (work: Promise<unknown>) => {
      const fault = await faultOf(work);
      expect(fault.kind).toBe("server-failed");
      expect(fault.message).toContain("nobody-knows-him");
      if (!fault.message.includes("ends whenever it is started")) failed.push(performance.now());
      return fault;
    };
    await note(manager.start("loop", definition, quiet, soon(BUSY_MS)));
    const request = { server: "loop", pid: process.pid, ppid: process.ppid };
    const acquire = () => note(manager.acquire(request, "front", quiet, soon(BUSY_MS)));
    // Five within ten seconds; where a start takes longer than two, that is not at once.
    const refused = await until(
      "a refusal",
      async () => {
        const { message, hint } = await acquire();
        return message.includes("ends whenever it is started") && { message, hint };
      },
      BUSY_MS,
    );
    expect(refused).toEqual({
      message: expect.stringContaining("the next try is in"),
      hint: "To try it now: linkspan start loop",
    });
    expect(failed.length).toBeGreaterThanOrEqual(5);
    // What was tried oftener than that in half the time was not refused when it should have been.
    const spans = failed.slice(5).map((at, index) => at - (failed[index] ?? 0));
    expect(spans.filter((ms) => ms < 5_000)).toEqual([]);
    expect(manager.server("loop")).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("nobody-knows-him"),
    });
    const mine = { label: [`${LABEL.instance}=${manager.dataDir.instance}`] };
    expect((await listContainers(engine(), mine, soon(BUSY_MS))).length).toBeLessThanOrEqual(1);
    // By name it is tried at once, and with a definition that works it is well.
    const mended = parseBody({ image: await busyboxImage(engine()) });
    expect(await manager.start("loop", mended, quiet, soon(BUSY_MS))).toMatchObject({ state: "ready" });
    await manager.release(
      (await manager.acquire({ server: "loop", pid: process.pid, ppid: 1 }, "front", quiet, soon(BUSY_MS))).session,
    );
  },
  200_000,
);
