/** What a killed manager leaves is removed although no other one comes, and left alone if one does. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { DATA_FILE } from "../../src/base/data-dir.ts";
import { inspectContainer, listContainers, removeContainer } from "../../src/docker/containers.ts";
import { listNetworks } from "../../src/docker/networks.ts";
import { LABEL } from "../../src/runtime/labels.ts";
import { tempDir } from "../support/cli.ts";
import { engine, engineTest } from "../support/engine.ts";
import { scratchImage } from "../support/images.ts";
import { Lone } from "../support/lone-manager.ts";
import { until } from "../support/until.ts";
import { soon } from "./stage.ts";

const LEASE_MS = 2_000;
/** A lease, a stop of 2 s and the removal take five seconds, and on a machine with twenty times too much to do a minute. */
const GONE_MS = 60_000;
const TEST_MS = 150_000;

async function onEngine(instance: string): Promise<{ containers: string[]; networks: string[] }> {
  const ours = { label: [`${LABEL.instance}=${instance}`] };
  const [containers, networks] = await Promise.all([
    listContainers(engine(), ours, soon()),
    listNetworks(engine(), ours, soon()),
  ]);
  return { containers: containers.map(({ Id }) => Id), networks: networks.map(({ Name }) => Name) };
}

describe("a manager that is killed and not followed", () => {
  test.concurrent(
    "leaves nothing of its processes: not the server, not its folder, not the caretaker",
    async () => {
      await using manager = await Lone.open("process");
      await manager.run("obstinate", manager.obstinate({ lease: LEASE_MS }));
      await manager.attach("obstinate");
      await until("caretaker, bridge, server and its child", () => manager.processes().length > 3, GONE_MS);
      await manager.kill();
      await until("the end of every process", () => manager.processes().length === 0, GONE_MS);
      expect(readdirSync(join(manager.dir, "process"))).toEqual([]);
      expect(existsSync(join(manager.dir, "manager.sock"))).toBe(false);
      expect(readFileSync(join(manager.dir, "logs", "lifecycle.log"), "utf8")).toContain("[CLEANUP]");
    },
    TEST_MS,
  );

  test.concurrent(
    "is waited for by its servers: another one takes over what runs and what was stopped",
    async () => {
      await using manager = await Lone.open("process");
      for (const name of ["runs", "stopped"]) await manager.run(name, manager.obstinate({ lease: 60_000 }));
      await manager.post("/servers/stopped/stop");
      await manager.kill();
      // Who has looked whether another manager runs has removed the number of the one that is gone.
      const number = join(manager.dir, DATA_FILE.pid);
      await until("the caretaker at work", () => !existsSync(number), GONE_MS);
      const [caretaker = 0] = manager.caretakers();
      expect(caretaker).toBeGreaterThan(0);
      await manager.open();
      await until("the end of the first caretaker", () => !manager.caretakers().includes(caretaker), GONE_MS);
      const states = async () => (await manager.servers()).map(({ name, state }) => `${name} ${state}`).toSorted();
      const both = ["runs ready", "stopped stopped"].join();
      await until("both as they were", async () => (await states()).join() === both, GONE_MS);
    },
    TEST_MS,
  );

  test.concurrent(
    "ends properly on SIGTERM: no caretaker stays, and what runs, runs on",
    async () => {
      await using manager = await Lone.open("process");
      await manager.run("runs", manager.obstinate({ lease: 60_000 }));
      expect(manager.caretakers()).toHaveLength(1);
      expect(await manager.end()).toBe(0);
      // The signal that ends it was sent before the manager's own end, but who dies first is the system's business.
      await until("the end of the caretaker", () => manager.caretakers().length === 0);
      expect(manager.processes().length).toBeGreaterThan(0);
    },
    TEST_MS,
  );

  test.concurrent(
    "leaves no installation that is under way, nor its files",
    async () => {
      // Says what there is, and never sends it.
      using registry = Bun.serve({
        hostname: "127.0.0.1",
        port: 0,
        idleTimeout: 0,
        fetch(request) {
          const { origin, pathname } = new URL(request.url);
          if (pathname.startsWith("/-/")) return new Promise<Response>(() => {});
          const dist = { tarball: `${origin}/-/stalls.tgz`, integrity: `sha512-${"A".repeat(86)}==` };
          const manifest = { name: "stalls", version: "1.0.0", bin: "index.js", dist };
          return Response.json({ name: "stalls", "dist-tags": { latest: "1.0.0" }, versions: { "1.0.0": manifest } });
        },
      });
      await using temporary = await tempDir("install");
      const env = {
        BUN_CONFIG_REGISTRY: registry.url.origin,
        TMPDIR: temporary.path,
        BUN_INSTALL_CACHE_DIR: temporary.path,
      };
      await using manager = await Lone.open("process", { env });
      void manager.run("stalls", { image: "npm:stalls@1.0.0" }).catch(() => {});
      const drafts = () => entriesOf(join(manager.dir, "npm")).filter((name) => name.startsWith(".draft-"));
      await until("the installation", () => drafts().length > 0 && manager.processes().length > 1, GONE_MS);
      await manager.kill();
      await until("the end of every process", () => manager.processes().length === 0, GONE_MS);
      expect(drafts()).toEqual([]);
      expect(entriesOf(temporary.path).filter((name) => name.startsWith("linkspan-"))).toEqual([]);
    },
    TEST_MS,
  );

  test.concurrent(
    "in a directory that is gone, too",
    async () => {
      await using manager = await Lone.open("process");
      await manager.run("lost", manager.obstinate({ lease: LEASE_MS }));
      await manager.kill();
      await rm(manager.dir, { recursive: true, force: true });
      await until("the end of every process", () => manager.processes().length === 0, GONE_MS);
    },
    TEST_MS,
  );
});

function entriesOf(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

engineTest(
  "containers and networks of a killed manager go, those without a lease, of others and of its next start stay",
  async () => {
    await using manager = await Lone.open("docker");
    await using other = await Lone.open("docker");
    const image = await scratchImage(engine());
    const limits = { memory: "32m" };
    await other.run("other", { image, limits, lease: 60_000 });
    for (const name of ["one", "two", "stopped"]) await manager.run(name, { image, limits, lease: LEASE_MS });
    await manager.post("/servers/stopped/stop");
    // Held by a network of its own, it would keep that.
    await manager.run("for-ever", { image, limits, lease: "none", network: "egress" });
    const [kept] = (await manager.servers()).filter(({ name }) => name === "for-ever");
    await manager.kill();
    await until(
      "all but that one are gone",
      async () => (await onEngine(manager.instance)).containers.length === 1,
      GONE_MS,
    );
    await until("the end of the caretaker", () => manager.caretakers().length === 0, GONE_MS);
    expect((await onEngine(manager.instance)).containers).toEqual([kept?.id ?? ""]);
    expect((await inspectContainer(engine(), kept?.id ?? "", soon()))?.State.Status).toBe("running");
    expect(await onEngine(other.instance)).toMatchObject({
      containers: [expect.any(String)],
      networks: [expect.any(String)],
    });

    await manager.open();
    await until("it is taken over", async () => (await manager.servers())[0]?.state === "ready", GONE_MS);
    await removeContainer(engine(), kept?.id ?? "", soon());
    await manager.run("last", { image, limits, lease: LEASE_MS });
    await manager.kill();
    await until(
      "nothing is left",
      async () => {
        const { containers, networks } = await onEngine(manager.instance);
        return containers.length + networks.length + manager.caretakers().length === 0;
      },
      GONE_MS,
    );
  },
  2 * TEST_MS,
);
