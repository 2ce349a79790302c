/** Managers that fronts start in the background: they make room for one that somebody starts, and take up what is left. */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { connectManager } from "../../src/api/client/connect.ts";
import { RawFront } from "../e2e/raw-front.ts";
import { Stage } from "../e2e/stage.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv, linkspan } from "../support/cli.ts";
import { until } from "../support/until.ts";

const PLAIN = join(import.meta.dir, "../fixtures/plain-server.ts");
const plain = { image: `exec:${process.execPath}`, args: [PLAIN] };

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("after a manager of processes was killed: the one that a front starts serves them; a new one takes its place, and calls go on", async () => {
  await using stage = await Stage.open("process", { keepServers: true });
  await stage.start("plain", plain);
  const before = await stage.view("plain");
  await stage.kill();
  await using front = new RawFront(stage.front("plain"));
  await front.initialize();
  expect(JSON.stringify((await front.call("echo", { text: "as before" })).result)).toContain("as before");
  const between = await stage.view("plain");
  expect([between.id, between.state]).toEqual([before.id, "ready"]);
  const pid = Number(await readFile(join(stage.dataDir, "manager.background"), "utf8"));
  const call = front.ask("tools/call", { name: "later", arguments: { text: "meanwhile", count: 1_000 } });
  await stage.restart();
  // Until then it is the one that goes that answers.
  await until("the end of the one in the background", () => !runs(pid), 15_000);
  await until("the new one", async () => (await stage.api("/health").catch(() => undefined))?.ok, 15_000);
  expect(JSON.stringify((await front.answered(call)).result)).toContain("meanwhile");
  expect((await stage.view("plain")).id).toBe(before.id);
  expect(existsSync(join(stage.dataDir, "manager.background"))).toBe(false);
  // It is there to stay: the next one is refused, and so is one that a front would start.
  const second = await linkspan(["serve", "--port", "0", "--tcp-port", "0"], {
    env: { LINKSPAN_DATA_DIR: stage.dataDir },
  });
  expect([second.code, second.err]).toEqual([1, expect.stringContaining("already runs on the data directory")]);
  expect(await stage.end("SIGTERM")).toBe(0);
}, 60_000);

test("REST tells the manager's version", async () => {
  await using stage = await Stage.open("process");
  const asked = Bun.spawnSync([BINARY, "version"], { env: cleanEnv() });
  const client = await connectManager({ env: { LINKSPAN_DATA_DIR: stage.dataDir }, start: false });
  await until("it is ready", async () => (await client.ready()).ready);
  const { version = "none" } = await client.ready();
  expect(asked.stdout.toString()).toContain(`linkspan ${version} `);
});
