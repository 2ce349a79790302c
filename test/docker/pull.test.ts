import { describe, expect } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { registryAuth } from "../../src/docker/credentials.ts";
import type { Entry } from "../../src/docker/archive.ts";
import { inspectImage, pullImage, removeImage } from "../../src/docker/images.ts";
import type { Step } from "../../src/docker/progress.ts";
import { engine, engineTest } from "../support/engine.ts";
import { type RegistryOptions, startImageRegistry } from "../support/image-registry.ts";

const soon = (ms = 30_000) => Deadline.in(ms);
const layer: Entry[] = [{ kind: "bytes", name: "data", bytes: crypto.getRandomValues(new Uint8Array(64 * 1024)) }];

/** A registry with the image `thing`, and the image removed from the engine afterwards. */
async function withRegistry(options: RegistryOptions, body: (ref: string, asked: string[]) => Promise<void>) {
  await using registry = await startImageRegistry({ "linkspan-test/thing": layer }, options);
  const ref = `${registry.host}/linkspan-test/thing:1`;
  try {
    await body(ref, registry.asked);
  } finally {
    await removeImage(engine(), ref, soon());
  }
}

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const thrown = await work.catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(Fault);
  return thrown as Fault;
}

describe("pulling", () => {
  engineTest("brings the image, with progress in bytes", async () => {
    await withRegistry({}, async (ref) => {
      const steps: Step[] = [];
      await pullImage(engine(), ref, undefined, (step) => steps.push(step), soon());
      expect((await inspectImage(engine(), ref, soon()))?.Os).toBe("linux");
      expect(steps.length).toBeGreaterThan(2);
      for (const { current, total } of steps.filter((step) => step.total))
        expect(current).toBeLessThanOrEqual(total ?? 0);
    });
  });

  engineTest("what the registry does not have is not-found", async () => {
    await withRegistry({}, async (ref) => {
      const missing = ref.replace("thing", "nothing");
      const fault = await faultOf(pullImage(engine(), missing, undefined, () => {}, soon()));
      expect(fault).toMatchObject({ kind: "not-found", hint: expect.stringContaining("check the image's name") });
    });
  });

  engineTest(
    "a login that is missing is unauthenticated; the one of docker login is used, and is in no URL",
    async () => {
      await withRegistry({ login: "ann:hunter2" }, async (ref, asked) => {
        const fault = await faultOf(pullImage(engine(), ref, undefined, () => {}, soon()));
        expect(fault).toMatchObject({ kind: "unauthenticated", hint: expect.stringContaining("docker login") });
        const folder = await mkdtemp(join(tmpdir(), "linkspan-test-config-"));
        try {
          const auths = { [ref.split("/")[0] ?? ""]: { auth: btoa("ann:hunter2") } };
          await Bun.write(join(folder, "config.json"), JSON.stringify({ auths }));
          const auth = await registryAuth(ref, { DOCKER_CONFIG: folder }, soon());
          await pullImage(engine(), ref, auth, () => {}, soon());
          expect(await inspectImage(engine(), ref, soon())).toBeDefined();
          const helper = join(folder, "docker-credential-linkspantest");
          await Bun.write(
            helper,
            `#!/bin/sh\nread -r registry\nprintf '{"Username":"ann","Secret":"%s"}' "$registry"\n`,
          );
          await Bun.spawn(["chmod", "755", helper]).exited;
          await Bun.write(join(folder, "config.json"), JSON.stringify({ credsStore: "linkspantest" }));
          const env = { DOCKER_CONFIG: folder, PATH: `${folder}:${process.env.PATH}` };
          const fromHelper = JSON.parse(atob((await registryAuth(ref, env, soon())) ?? ""));
          expect(fromHelper).toMatchObject({ username: "ann", password: ref.split("/")[0] });
          expect(asked.join()).not.toContain("hunter2");
        } finally {
          await rm(folder, { recursive: true, force: true });
        }
      });
    },
  );

  engineTest("a registry that limits pulls says so", async () => {
    await withRegistry({ limited: true }, async (ref) => {
      const fault = await faultOf(pullImage(engine(), ref, undefined, () => {}, soon()));
      expect(fault).toMatchObject({ kind: "exhausted", hint: expect.stringContaining("limits pulls") });
    });
  });

  engineTest("a registry that is not there is unreachable", async () => {
    await using registry = await startImageRegistry({});
    const gone = `${registry.host}/linkspan-test/thing:1`;
    await registry[Symbol.asyncDispose]();
    expect((await faultOf(pullImage(engine(), gone, undefined, () => {}, soon()))).kind).toBe("unreachable");
  });

  engineTest("a layer that stalls ends with the deadline and leaves no image", async () => {
    await withRegistry({ stalls: true }, async (ref) => {
      const fault = await faultOf(pullImage(engine(), ref, undefined, () => {}, soon(1_500)));
      expect(fault.kind).toBe("timeout");
      expect(await inspectImage(engine(), ref, soon())).toBeUndefined();
    });
  });
});
