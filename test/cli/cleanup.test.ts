/** `cleanup` and `status` as users meet them, over real managers and processes. */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { linkspan, faultLine, tempDir } from "../support/cli.ts";
import { cliManager, fixture } from "../support/cli-manager.ts";
import { until } from "../support/until.ts";

test("status: without a manager it starts none; with one it shows the whole", async () => {
  await using temp = await tempDir("status");
  const env = { LINKSPAN_DATA_DIR: join(temp.path, "data"), HOME: temp.path };
  const none = await linkspan(["status"], { env });
  expect(none).toMatchObject({ code: 0, err: "" });
  expect(none.out).toContain("does not run");
  expect(JSON.parse((await linkspan(["status", "--json"], { env })).out)).toMatchObject({ manager: null });

  await using manager = await cliManager("status");
  const [image = "", ...rest] = fixture("plain-server.ts");
  expect((await manager.run(["run", image, "--name", "plain", ...rest])).code).toBe(0);
  const view = JSON.parse((await manager.run(["status", "--json"])).out);
  expect(view).toMatchObject({
    manager: { runtime: "process", ready: true, dataDir: join(manager.dir, "data") },
    servers: { ready: 1 },
    containers: { running: 1, ended: 0 },
    sessions: 0,
    cleanup: { intervalMs: 300_000, maxAgeMs: 3_600_000 },
    orphans: [],
  });
  expect(view.manager.memoryBytes).toBeLessThan(128 * 1024 ** 2);
  const { out } = await manager.run(["status"]);
  for (const text of ["1 ready", "1 running, 0 ended", "every 5 min, idle for 60 min is aged", "orphans     none"]) {
    expect(out).toContain(text);
  }
});

test("a manager that was killed: its server is shown, then removed", async () => {
  await using manager = await cliManager("orphans");
  // Another manager in a folder of its own, over the processes of the first one: what two of them on one engine are.
  const folder = join(manager.dir, "other");
  mkdirSync(folder, { mode: 0o700 });
  symlinkSync(join(manager.dir, "data", "process"), join(folder, "process"));
  const other = { ...manager.env, LINKSPAN_DATA_DIR: folder };
  const [image = "", ...rest] = fixture("plain-server.ts");
  expect((await linkspan(["run", image, "--name", "lost", ...rest], { env: other })).code).toBe(0);
  const pid = Number(readFileSync(join(folder, "manager.pid"), "utf8"));
  process.kill(pid, "SIGKILL");
  await until("it has ended", () => !isAlive(pid));
  const status = await manager.run(["status"]);
  expect(status.out).toContain("orphans     1: linkspan cleanup removes them");
  const doctor = await manager.run(["doctor"]);
  expect(doctor.out).toMatch(/orphans.*1/);
  expect(doctor.out).toContain("linkspan cleanup");
  const dry = await manager.run(["cleanup", "--dry-run"]);
  expect(dry).toMatchObject({ code: 0 });
  expect(dry.out).toMatch(/^linkspan-[a-z0-9]{8}-lost-\S+ \(container\): its manager is gone, and nobody uses it\n$/);
  expect(dry.err).toMatch(/^1 would be removed, 0 kept, in /);
  const done = JSON.parse((await manager.run(["cleanup", "--json"])).out);
  expect(done).toMatchObject({ dryRun: false, removed: [{ server: "lost", reason: "orphaned" }], failed: [], kept: 0 });
  expect((await manager.run(["cleanup"])).err).toStartWith("0 removed, 0 kept");
  const events = await manager.run(["events", "--json"]);
  expect(events.out).toContain('"cleanup.removed"');
});

test("--once leaves no manager behind; without it the manager goes on", async () => {
  await using temp = await tempDir("once");
  const env = {
    LINKSPAN_DATA_DIR: join(temp.path, "data"),
    HOME: temp.path,
    XDG_CONFIG_HOME: temp.path,
    LINKSPAN_RUNTIME: "process",
  };
  const pid = () => Number(readFileSync(join(temp.path, "data", "manager.pid"), "utf8"));
  const gone = () => {
    try {
      pid();
      return false;
    } catch {
      return true;
    }
  };
  expect(await linkspan(["cleanup", "--once"], { env })).toMatchObject({ code: 0, out: "" });
  await until("the manager has ended", gone);
  expect(await linkspan(["cleanup"], { env })).toMatchObject({ code: 0 });
  const running = pid();
  expect(await linkspan(["cleanup", "--once"], { env })).toMatchObject({ code: 0 });
  expect(pid()).toBe(running);
  process.kill(running, "SIGTERM");
  await until("the manager has ended", gone);
});

test("what cannot be asked for is refused", async () => {
  await using manager = await cliManager("refused");
  const unforced = await manager.run(["cleanup", "--image", "some/image", "--json"]);
  expect(unforced.code).toBe(1);
  expect(faultLine(unforced)).toMatchObject({ kind: "usage", message: "--image needs --force" });
  const images = await manager.run(["cleanup", "--force", "--image", "some/image", "--json"]);
  expect(faultLine(images)).toMatchObject({ kind: "unsupported" });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
