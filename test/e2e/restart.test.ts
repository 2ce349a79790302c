/** The manager is restarted under load: stdio clients notice nothing, and no container is restarted or made. */
import { expect } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { engineTest } from "../support/engine.ts";
import { SEED } from "../support/seed.ts";
import { until } from "../support/until.ts";
import { legacy, Worker } from "./crowd.ts";
import { fixtureBody } from "./images.ts";
import { failuresOf, restarts } from "./restarts.ts";
import { Stage } from "./stage.ts";
import { tempDir } from "../support/cli.ts";

engineTest(
  "killed, ended, upgraded and downgraded under load: no call fails, no container is restarted, none is added",
  async () => {
    process.stderr.write(`restarts of the manager: LINKSPAN_SEED=${SEED}\n`);
    const rounds = 6;
    const outcome = await restarts({ seed: SEED, rounds, lanes: 3 });
    expect(failuresOf(outcome, rounds)).toEqual([]);
    // Both bridges' versions answered: the older one under the newer manager, and the other way round.
    expect(outcome.ends.join()).toMatch(/upgrade.*downgrade/);
  },
  120_000,
);

engineTest(
  "with one server changed in the file: it is replaced and its sessions follow, the other one is not touched",
  async () => {
    await using folder = await tempDir("changed");
    const file = join(folder.path, "linkspan.yaml");
    const body = await fixtureBody("plain-server");
    const declare = (env: object) =>
      writeFile(
        file,
        JSON.stringify({ servers: { changed: { ...body, env: { ...Object(body.env), ...env } }, kept: body } }),
      );
    await declare({});
    await using stage = await Stage.open("docker", { keepServers: true, args: ["--config", file] });
    for (const name of ["changed", "kept"]) await stage.start(name, {});
    const troubles: string[] = [];
    const [changed, kept] = await Promise.all(["changed", "kept"].map((name) => legacy(stage.front(name), troubles)));
    if (!changed || !kept) throw new Error("no clients");
    const workers = [new Worker(changed), new Worker(kept)];
    const scores = Promise.all(workers.map((worker) => worker.run(2)));
    const pid = async () => (await kept.callTool({ name: "process", arguments: {} })).content;
    const before = { changed: await stage.view("changed"), kept: await stage.view("kept"), pid: await pid() };
    await declare({ CHANGED: "yes" });
    await stage.end("SIGTERM");
    await stage.restart();
    const value = async () => {
      const { content } = await changed
        .callTool({ name: "env", arguments: { text: "CHANGED" } })
        .catch(() => ({ content: "" }));
      return JSON.stringify(content).includes("yes");
    };
    await until("the client has the new server", value, 30_000);
    for (const worker of workers) worker.end();
    const [changedScore, keptScore] = await scores;
    const after = { changed: await stage.view("changed"), kept: await stage.view("kept"), pid: await pid() };
    expect(after.changed.id).not.toBe(before.changed.id);
    expect([after.kept.id, after.pid]).toEqual([before.kept.id, before.pid]);
    expect([keptScore?.errors, troubles]).toEqual([[], []]);
    // At most what was under way when it was stopped.
    expect(changedScore?.errors.length).toBeLessThanOrEqual(2);
    for (const client of [changed, kept]) {
      client.onclose = undefined;
      await client.close();
    }
  },
  120_000,
);
