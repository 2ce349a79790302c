/** What lies between a client and its server goes away in the middle of calls: manager, bridge, container. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { removeContainer, signalContainer } from "../../src/docker/containers.ts";
import { engine, engineTest } from "../support/engine.ts";
import { fixtureBody } from "./images.ts";
import { RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

const PLAIN = join(import.meta.dir, "../fixtures/plain-server.ts");
const plain = { image: `exec:${process.execPath}`, args: [PLAIN] };

describe("in the middle of a call", () => {
  test("the manager is killed: the client notices nothing", async () => {
    await using stage = await Stage.open("process");
    await stage.start("plain", plain);
    await using front = new RawFront(stage.front("plain"));
    await front.initialize();
    await stage.kill();
    const { result } = await front.call("echo", { text: "still there" });
    expect(JSON.stringify(result)).toContain("still there");
    front.endInput();
    expect(await front.ended(2_000)).toBe(0);
  }, 60_000);

  test("the bridge is killed: each call gets an error that says what is not known, once", async () => {
    await using stage = await Stage.open("process");
    await stage.start("plain", plain);
    await using front = new RawFront(stage.front("plain"));
    await front.initialize();
    const { result } = await front.call("process");
    const server = Number(/\d{2,}/.exec(JSON.stringify(result))?.[0]);
    const calls = [1, 2, 3].map(() => front.ask("tools/call", { name: "hang" }));
    process.kill(await parentOf(server), "SIGKILL");
    for (const id of calls) {
      const { error } = await front.answered(id, 2_000);
      expect(error?.code).toBe(-32053);
      expect(error?.message).toContain("not known");
    }
    expect(JSON.stringify((await front.call("echo", { text: "again" })).result)).toContain("again");
    expect(front.messages.filter(({ error }) => error)).toHaveLength(3);
  }, 60_000);

  engineTest(
    "the container is killed: the calls of all clients get errors, the next ones a new container",
    async () => {
      await using stage = await Stage.open("docker");
      await stage.start("plain", await fixtureBody("plain-server"));
      await using one = new RawFront(stage.front("plain"));
      await using two = new RawFront(stage.front("plain"));
      await Promise.all([one.initialize(), two.initialize()]);
      const { id = "", sessions } = await stage.view("plain");
      expect(sessions).toBe(2);
      const processes = await Promise.all([one, two].map(async (front) => (await front.call("process")).result));
      expect(processes[0]).not.toEqual(processes[1]);
      const calls = [one, two].map((front) => ({ front, call: front.ask("tools/call", { name: "hang" }) }));
      await Promise.all([one, two].map((front) => front.call("echo")));
      expect(await signalContainer(engine(), id, "SIGKILL", Deadline.in(10_000))).toBe(true);
      for (const { front, call } of calls) {
        expect((await front.answered(call, 5_000)).error?.code).toBe(-32053);
        expect(JSON.stringify((await front.call("echo", { text: "again" })).result)).toContain("again");
      }
    },
    120_000,
  );

  engineTest(
    "the container is removed by hand: one error, then another container, with what the client has set up",
    async () => {
      await using stage = await Stage.open("docker");
      await stage.start("plain", await fixtureBody("plain-server"));
      await using front = new RawFront(stage.front("plain"));
      await front.initialize();
      for (let round = 0; round < 2; round += 1) {
        const { id = "" } = await stage.view("plain");
        const call = front.ask("tools/call", { name: "hang" });
        await front.call("echo");
        await removeContainer(engine(), id, Deadline.in(10_000));
        expect((await front.answered(call, 5_000)).error?.message).toContain("not known");
        expect(JSON.stringify((await front.call("echo", { text: `round ${round}` })).result)).toContain(
          `round ${round}`,
        );
        expect((await stage.view("plain")).id).not.toBe(id);
      }
      front.endInput();
      expect(await front.ended()).toBe(0);
    },
    120_000,
  );

  engineTest(
    "a server in a container crashes: exit code and last words reach the client",
    async () => {
      await using stage = await Stage.open("docker");
      await stage.start("plain", await fixtureBody("plain-server"));
      await using front = new RawFront(stage.front("plain"));
      await front.initialize();
      const { error } = await front.call("crash");
      expect(error?.code).toBe(-32052);
      expect(JSON.stringify(error?.data)).toContain("last words before the crash");
      expect(JSON.stringify((await front.call("echo", { text: "here" })).result)).toContain("here");
      // The container is for everybody: the next client gets a process of its own.
      await using next = new RawFront(stage.front("plain"));
      await next.initialize();
      expect(JSON.stringify((await next.call("echo", { text: "again" })).result)).toContain("again");
    },
    120_000,
  );
});

engineTest(
  "an image that cannot be had: initialize is answered with the reason",
  async () => {
    await using stage = await Stage.open("docker");
    // Refused at once: nobody listens for a registry on this machine's discard port.
    await using front = new RawFront(stage.front("localhost:9/linkspan-test/nothing:1"));
    const { error } = await front.initialize(60_000);
    expect(error?.message).toContain("localhost:9/linkspan-test/nothing:1");
    expect(await front.ended()).toBeGreaterThan(0);
    expect(front.stderr).toContain("linkspan-test/nothing");
  },
  120_000,
);

/** The bridge is the parent of the server's process. */
async function parentOf(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  return Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]);
}
