/** The tool cleanup on a real engine: what was confirmed goes, and nothing else. */
import { afterAll, expect } from "bun:test";
import { randomBytes } from "node:crypto";
import { Deadline } from "../../src/base/deadline.ts";
import { createContainer, inspectContainer, removeContainer } from "../../src/docker/containers.ts";
import { removeImage } from "../../src/docker/images.ts";
import { endAll, fresh } from "../support/created.ts";
import { ENGINE, engine, engineTest } from "../support/engine.ts";
import { scratchImage } from "../support/images.ts";
import { toolsetClient } from "../support/toolset-client.ts";

interface Asked {
  plan: { objects: { id: string }[] };
}

const CASE_MS = 60_000;
const soon = () => Deadline.in(20_000);
const made: string[] = [];
let image = "";
afterAll(async () => {
  await endAll();
  if (!ENGINE) return;
  for (const id of made) await removeContainer(ENGINE, id, soon());
  if (image) await removeImage(ENGINE, image, soon());
}, CASE_MS);

/** Made by other means than Linkspan. */
async function leave(): Promise<string> {
  const name = `linkspan-test-left-${randomBytes(5).toString("hex")}`;
  const id = await createContainer(engine(), name, { Image: image, HostConfig: { NetworkMode: "none" } }, soon());
  made.push(id);
  return id;
}
const there = async (ids: string[]) =>
  Promise.all(ids.map(async (id) => (await inspectContainer(engine(), id, soon())) !== undefined));

engineTest(
  "what was confirmed goes by its id; what has come meanwhile makes a new plan",
  async () => {
    image = await scratchImage(engine(), [`LABEL linkspan.round=${randomBytes(4).toString("hex")}`]);
    const env = { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true", LINKSPAN_RUNTIME: "docker" };
    await using session = await toolsetClient({ toolset: "servers", dataDir: await fresh(), env });
    const first = await leave();
    const args = { force: true, image };
    let asked = await session.call("cleanup", args);
    const planned = () => (asked.structured as unknown as Asked).plan.objects.map(({ id }) => id);
    expect([asked.structured.kind, planned().includes(first)]).toEqual(["confirmation-required", true]);
    const second = await leave();
    const confirm = () => session.call("cleanup", { ...args, confirmation_token: asked.structured.confirmation_token });
    asked = await confirm();
    expect([asked.structured.kind, planned()]).toEqual([
      "confirmation-required",
      expect.arrayContaining([first, second]),
    ]);
    expect(await there([first, second])).toEqual([true, true]);
    // Others leave and take things on this engine, too: each time the plan is another one, and is asked for again.
    let done = await confirm();
    while (done.structured.kind === "confirmation-required") {
      asked = done;
      done = await confirm();
    }
    const { removed } = done.structured as { removed: { id: string }[] };
    expect(removed.map(({ id }) => id)).toEqual(expect.arrayContaining([first, second]));
    expect(await there([first, second])).toEqual([false, false]);
    const wrong = await session.call("cleanup", { image });
    expect(wrong).toMatchObject({ isError: true, structured: { kind: "usage" } });
  },
  CASE_MS,
);
