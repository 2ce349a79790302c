/**
 * The tool cleanup on a real engine: what was confirmed goes, and nothing else. The engine is the test's own: confirmed is
 * whatever nobody uses there, and on a shared one that could be another test's.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { Deadline } from "../../src/base/deadline.ts";
import { createContainer, inspectContainer } from "../../src/docker/containers.ts";
import { cageProblem } from "../support/caged-engine.ts";
import { endAll, fresh } from "../support/created.ts";
import { scratchImage } from "../support/images.ts";
import { startSwarmEngine, type SwarmEngine } from "../support/swarm-engine.ts";
import { toolsetClient } from "../support/toolset-client.ts";

const CASE_MS = 120_000;
const soon = () => Deadline.in(20_000);
const problem = cageProblem();
if (problem !== undefined) process.stderr.write(`!! the test of the tool cleanup is SKIPPED: ${problem}\n`);
let own: SwarmEngine;
let image = "";
beforeAll(async () => {
  if (problem === undefined) own = await startSwarmEngine();
}, CASE_MS);
afterAll(async () => {
  await endAll();
  await own?.[Symbol.asyncDispose]();
}, CASE_MS);

/** Made by other means than Linkspan. */
async function leave(): Promise<string> {
  const name = `linkspan-test-left-${randomBytes(5).toString("hex")}`;
  return createContainer(own.engine, name, { Image: image, HostConfig: { NetworkMode: "none" } }, soon());
}
const there = async (ids: string[]) =>
  Promise.all(ids.map(async (id) => (await inspectContainer(own.engine, id, soon())) !== undefined));

test.skipIf(problem !== undefined)(
  "what was confirmed goes by its id; what has come meanwhile makes a new plan",
  async () => {
    image = await scratchImage(own.engine);
    const env = { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true", LINKSPAN_RUNTIME: "docker", DOCKER_HOST: own.host };
    await using session = await toolsetClient({ toolset: "servers", dataDir: await fresh(), env });
    const first = await leave();
    const args = { force: true, image };
    const asked = await session.call("cleanup", args);
    expect(asked).toMatchObject({
      structured: { kind: "confirmation-required", plan: { objects: [{ kind: "container", id: first }] } },
    });
    const second = await leave();
    const { confirmation_token } = asked.structured;
    const again = await session.call("cleanup", { ...args, confirmation_token });
    expect(again.structured).toMatchObject({ kind: "confirmation-required" });
    expect(await there([first, second])).toEqual([true, true]);
    const done = await session.call("cleanup", { ...args, confirmation_token: again.structured.confirmation_token });
    const { removed } = done.structured as { removed: { id: string }[] };
    expect(removed.map(({ id }) => id).sort()).toEqual([first, second].sort());
    expect(await there([first, second])).toEqual([false, false]);
    const wrong = await session.call("cleanup", { image });
    expect(wrong).toMatchObject({ isError: true, structured: { kind: "usage" } });
  },
  CASE_MS,
);
