/** Memory runs out in a container: what the clients get whose calls are in flight. */
import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BRIDGE, processes } from "../support/container-processes.ts";
import { engine, engineTest } from "../support/engine.ts";
import { busyboxImage } from "../support/images.ts";
import { until } from "../support/until.ts";
import { RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

const SCRIPT = readFileSync(join(import.meta.dir, "../fixtures/ailing-server.sh"), "utf8");
/** The server itself takes the memory, and not a child of it. */
const EATER = SCRIPT.replace("tail /dev/zero", "exec tail /dev/zero");
const SERVER = /^(\/bin\/sh -c # An MCP|tail \/dev\/zero)/;
const MEMORY = 48;
/** A second is the aim, and machines that run tests are slow. */
const ANSWER_MS = 10_000;

async function open(stage: Stage): Promise<string> {
  const image = await busyboxImage(engine());
  await stage.start("eater", { image, command: ["/bin/sh", "-c", EATER], limits: { memory: `${MEMORY}m` } });
  return (await stage.view("eater")).id ?? "";
}

/** Three calls, the first of which takes all memory: their answers. */
async function eat(front: RawFront) {
  const calls = ["eat", "after", "later"].map((name) => front.ask("tools/call", { name }));
  return await Promise.all(calls.map((id) => front.answered(id, ANSWER_MS)));
}

engineTest(
  "of the server alone: each call gets an error with the limit, its neighbour none, and the next call works",
  async () => {
    await using stage = await Stage.open("docker");
    const id = await open(stage);
    await using neighbour = new RawFront(stage.front("eater"));
    await neighbour.initialize();
    await using front = new RawFront(stage.front("eater"));
    await front.initialize();
    for (const { error } of await eat(front)) {
      expect(error).toMatchObject({ code: -32052, data: { kind: "server-failed", oom: true } });
      expect(error?.message).toContain(`ran out of memory`);
      expect(error?.message).toContain(`the limit is ${MEMORY} MiB`);
    }
    expect((await front.call("pid")).error).toBeUndefined();
    expect((await neighbour.call("pid")).error).toBeUndefined();
    expect((await stage.view("eater")).id).toBe(id);
  },
  90_000,
);

engineTest(
  "of the whole container: each call gets an error with the limit, and the next call works",
  async () => {
    await using stage = await Stage.open("docker");
    const id = await open(stage);
    await using front = new RawFront(stage.front("eater"));
    await front.initialize();
    const [bridge = 0] = processes(id, BRIDGE);
    const [server = 0] = await until("the server", () => {
      const found = processes(id, SERVER);
      return found.length > 0 && found;
    });
    // What the bridge does for itself, turned around: now it is the first to go.
    writeFileSync(`/proc/${server}/oom_score_adj`, "0");
    writeFileSync(`/proc/${bridge}/oom_score_adj`, "1000");
    for (const { error } of await eat(front)) {
      expect(error?.message).toContain(`killed for memory: the container's limit is ${MEMORY * 1024 * 1024} bytes`);
      expect(error?.message).toContain("not known");
    }
    expect((await front.call("pid")).error).toBeUndefined();
    front.endInput();
    expect(await front.ended()).toBe(0);
  },
  90_000,
);
