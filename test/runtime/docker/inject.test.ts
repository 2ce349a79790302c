import { describe, expect } from "bun:test";
import { Deadline } from "../../../src/base/deadline.ts";
import { archiveOf } from "../../../src/docker/archive.ts";
import {
  createContainer,
  listContainers,
  putArchive,
  readPath,
  removeContainer,
} from "../../../src/docker/containers.ts";
import { createVolume, inspectVolume, removeVolume } from "../../../src/docker/volumes.ts";
import type { BridgeFiles } from "../../../src/runtime/docker/bridge-files.ts";
import { withCarrier } from "../../../src/runtime/docker/carrier.ts";
import { BRIDGE_HOME, ensureBridgeVolume } from "../../../src/runtime/docker/inject.ts";
import type { Progress } from "../../../src/runtime/runtime.ts";
import { engine, engineTest } from "../../support/engine.ts";
import { until } from "../../support/until.ts";
import { scratchImage } from "../../support/images.ts";
import { rejection } from "../../support/rejection.ts";

const soon = () => Deadline.in(30_000);

/** A bridge of its own for each test: small, because what is in the files does not matter here. */
async function smallBridge(): Promise<BridgeFiles> {
  const loader = Buffer.concat(
    await Array.fromAsync(archiveOf([{ kind: "bytes", name: "ld.so", bytes: Buffer.from("loader"), mode: 0o755 }])),
  );
  const hash = crypto.getRandomValues(Buffer.alloc(32)).toString("hex");
  return { executable: import.meta.path, loader, version: "test", hash };
}

async function withBridge(body: (files: BridgeFiles, name: string) => Promise<void>): Promise<void> {
  const files = await smallBridge();
  const name = `linkspan-bridge-test-${files.hash.slice(0, 12)}`;
  try {
    await body(files, name);
    const left = await listContainers(engine(), { name: [name] }, soon());
    expect(left).toEqual([]);
  } finally {
    // A carrier that was given up while the engine made it is removed as soon as the engine has made it.
    await until("the volume is free", () =>
      removeVolume(engine(), name, soon()).then(
        () => true,
        () => false,
      ),
    );
  }
}

const modeOf = (volume: string, path: string) =>
  withCarrier(engine(), { volume, target: BRIDGE_HOME, readOnly: true }, soon(), async (id) => {
    const entry = await readPath(engine(), id, `${BRIDGE_HOME}/${path}`, 16, soon());
    return entry && { mode: entry.mode & 0o777, uid: entry.uid, size: entry.size };
  });

describe("the bridge's volume", () => {
  engineTest("is filled once by however many managers at once, and is complete for all of them", async () => {
    await withBridge(async (files, name) => {
      const steps: Progress[] = [];
      const all = await Promise.all(
        Array.from({ length: 6 }, () => ensureBridgeVolume(engine(), files, (step) => steps.push(step), soon())),
      );
      expect(new Set(all.map(({ Name }) => Name))).toEqual(new Set([name]));
      expect(steps.filter(({ detail }) => detail?.startsWith("copying")).length).toBe(1);
      expect(await modeOf(name, "ld.so")).toEqual({ mode: 0o755, uid: 0, size: 6 });
      expect(await modeOf(name, "linkspan")).toMatchObject({ mode: 0o755, uid: 0 });
      steps.length = 0;
      await ensureBridgeVolume(engine(), files, (step) => steps.push(step), soon());
      expect(steps).toEqual([]);
    });
  });

  engineTest("that was left half-filled is filled anew", async () => {
    await withBridge(async (files, name) => {
      await createVolume(engine(), name, {}, soon());
      await withCarrier(engine(), { volume: name, target: BRIDGE_HOME, readOnly: false }, soon(), (id) =>
        putArchive(
          engine(),
          id,
          BRIDGE_HOME,
          archiveOf([{ kind: "bytes", name: "linkspan", bytes: Buffer.from("half"), mode: 0o600 }]),
          soon(),
        ),
      );
      await ensureBridgeVolume(engine(), files, () => {}, soon());
      expect(await modeOf(name, "linkspan")).toMatchObject({ mode: 0o755, size: Bun.file(files.executable).size });
      expect((await inspectVolume(engine(), name, soon()))?.Name).toBe(name);
    });
  });

  engineTest("that another manager is filling is waited for, until the deadline", async () => {
    await withBridge(async (files, name) => {
      const holder = await createContainer(engine(), `${name}-fill`, { Image: await scratchImage(engine()) }, soon());
      const steps: Progress[] = [];
      const early = ensureBridgeVolume(engine(), files, (step) => steps.push(step), Deadline.in(700));
      expect(await rejection(early)).toMatchObject({ kind: expect.stringMatching(/timeout|cancelled/) });
      expect(steps.at(-1)?.detail).toContain("another manager");
      const waiting = ensureBridgeVolume(engine(), files, () => {}, soon());
      await removeContainer(engine(), holder, soon());
      expect((await waiting).Name).toBe(name);
    });
  });

  engineTest("files that cannot be read leave nothing that counts as complete", async () => {
    await withBridge(async (files, name) => {
      const broken = { ...files, executable: "/nowhere/linkspan" };
      expect(String(await rejection(ensureBridgeVolume(engine(), broken, () => {}, soon())))).toContain("ENOENT");
      expect(await modeOf(name, "complete")).toBeUndefined();
      await ensureBridgeVolume(engine(), files, () => {}, soon());
      expect(await modeOf(name, "complete")).toBeDefined();
    });
  });
});
