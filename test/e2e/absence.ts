/** A server that a client has used, and whose image has gone from the engine since. */
import { expect } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { removeContainer } from "../../src/docker/containers.ts";
import { inspectImage, removeImage } from "../../src/docker/images.ts";
import { engine } from "../support/engine.ts";
import { type ImageRegistry, type RegistryOptions, startImageRegistry } from "../support/image-registry.ts";
import { FIXTURE_COMMAND, fixtureEntries } from "./images.ts";
import { RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

export const ABSENT = "linkspan-test/absent";
const soon = () => Deadline.in(30_000);

/** The server is called `absent`; its image comes from the registry, which reads its options at each request. */
export async function withAbsent(
  body: (stage: Stage, registry: ImageRegistry, options: RegistryOptions) => Promise<void>,
) {
  const options: RegistryOptions = {};
  // An engine that has a layer already, of whatever image, does not ask for it.
  const salt = { kind: "bytes", name: "salt", bytes: crypto.getRandomValues(new Uint8Array(8192)) } as const;
  const entries = [...(await fixtureEntries("plain-server")), salt];
  await using registry = await startImageRegistry({ [ABSENT]: entries }, options);
  const image = `${registry.host}/${ABSENT}:1`;
  try {
    await using stage = await Stage.open("docker");
    await stage.start("absent", { image, ...FIXTURE_COMMAND });
    await begin(stage, async (front) => {
      front.endInput();
      expect(await front.ended()).toBe(0);
    });
    const { id = "" } = await stage.view("absent");
    await stage.api("/servers/absent/stop", { method: "POST" });
    await removeContainer(engine(), id, soon());
    await removeImage(engine(), image, soon());
    expect(await inspectImage(engine(), image, soon())).toBeUndefined();
    await body(stage, registry, options);
  } finally {
    await removeImage(engine(), image, soon()).catch(() => {});
  }
}

/** A client that sees what every client looks at first. */
export async function begin(stage: Stage, body: (front: RawFront) => Promise<void>): Promise<void> {
  await using front = new RawFront(stage.front("absent"));
  expect((await front.initialize()).result).toMatchObject({ protocolVersion: "2025-11-25" });
  expect(JSON.stringify((await front.request("tools/list")).result)).toContain("echo");
  await body(front);
}
