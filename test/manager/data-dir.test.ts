import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { managerSocket } from "../../src/base/data-dir.ts";
import { Fault } from "../../src/base/fault.ts";
import { type Log, SILENT } from "../../src/base/log.ts";
import { openDataDir } from "../../src/manager/data-dir.ts";
import { State } from "../../src/manager/state.ts";
import { parseSpec } from "./specs.ts";

let folder: string;
let warnings: string[];
const log: Log = { ...SILENT, warn: (message) => warnings.push(message), error: (message) => warnings.push(message) };
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "linkspan-data-dir-"));
  warnings = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const mode = (path: string) => statSync(path).mode & 0o777;

function faultOf(work: () => unknown): Fault {
  try {
    work();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

/** Holds what it is told to hold until it is killed; resolves when it does. */
async function holder(script: string): Promise<Bun.Subprocess> {
  const child = Bun.spawn([process.execPath, "-e", script], {
    stdout: "pipe",
    stderr: "inherit",
    cwd: import.meta.dir,
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  expect(new TextDecoder().decode(value)).toContain("held");
  return child;
}

async function endOf(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGKILL");
  await child.exited;
}

describe("the data directory", () => {
  test("is private, and stays the same from one manager to the next", () => {
    const path = join(folder, "a/b");
    const first = openDataDir(path, log);
    State.open(first.statePath, log).close();
    expect(first.key).toHaveLength(32);
    expect(first.token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(first.instance).toMatch(/^[a-z0-9]{8}$/);
    expect(mode(path)).toBe(0o700);
    for (const name of readdirSync(path))
      expect([name, mode(join(path, name))]).toEqual([name, name === "logs" ? 0o700 : 0o600]);
    first.close();
    first.close();
    const second = openDataDir(path, log);
    expect([second.key, second.token, second.instance]).toEqual([first.key, first.token, first.instance]);
    second.close();
    expect(existsSync(join(path, "manager.pid"))).toBe(false);
    expect(readdirSync(path).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    expect(warnings).toEqual([]);
  });

  test("that others may read is closed to them", () => {
    openDataDir(folder, log).close();
    for (const name of ["key", "token"]) chmodSync(join(folder, name), 0o644);
    chmodSync(folder, 0o755);
    openDataDir(folder, log).close();
    expect([mode(folder), mode(join(folder, "key")), mode(join(folder, "token"))]).toEqual([0o700, 0o600, 0o600]);
  });

  test.each(["key", "token", "instance"])("with a damaged %s starts, and keeps the damaged one", (name) => {
    const before = openDataDir(folder, log);
    before.close();
    truncateSync(join(folder, name), 5);
    const after = openDataDir(folder, log);
    expect(after[name as "key"]).not.toEqual(before[name as "key"]);
    expect(readdirSync(folder).filter((found) => found.startsWith(`${name}.bad-`))).toHaveLength(1);
    expect(warnings).toHaveLength(1);
    after.close();
    expect(openDataDir(folder, log).close()).toBeUndefined();
    expect(warnings).toHaveLength(1);
  });

  test("a path too long for a socket gets one elsewhere, and everybody finds it", () => {
    const path = join(folder, "x".repeat(100));
    const dir = openDataDir(path, log);
    expect(Buffer.byteLength(dir.socketPath)).toBeLessThanOrEqual(100);
    expect(managerSocket(path)).toBe(dir.socketPath);
    expect(mode(join(dir.socketPath, ".."))).toBe(0o700);
    dir.close();
    expect(existsSync(join(dir.socketPath, ".."))).toBe(false);
    expect(managerSocket(path)).toBe(join(path, "manager.sock"));
  });

  test("that cannot be made is a clear fault", () => {
    writeFileSync(join(folder, "file"), "");
    const fault = faultOf(() => openDataDir(join(folder, "file/below"), log));
    expect([fault.kind, fault.hint]).toEqual(["forbidden", "Set LINKSPAN_DATA_DIR to a directory of your own."]);
  });
});

describe("one manager per data directory", () => {
  test("a second one in this process", () => {
    const first = openDataDir(folder, log);
    const fault = faultOf(() => openDataDir(folder, log));
    expect(fault.kind).toBe("conflict");
    expect(fault.message).toContain(`process ${process.pid}`);
    first.close();
    openDataDir(folder, log).close();
  });

  test("another process: it is named, and its end by SIGKILL frees the directory", async () => {
    const child = await holder(`
      const { openDataDir } = await import("../../src/manager/data-dir.ts");
      const { SILENT } = await import("../../src/base/log.ts");
      globalThis.dir = openDataDir(${JSON.stringify(folder)}, SILENT);
      console.log("held"); setInterval(() => {}, 1000);`);
    const fault = faultOf(() => openDataDir(folder, log));
    expect(fault.kind).toBe("conflict");
    expect(fault.message).toContain(`process ${child.pid}`);
    expect(fault.data).toEqual({ dataDir: folder, pid: child.pid });
    await endOf(child);
    openDataDir(folder, log).close();
  });

  test("garbage in the lock is no lock; damage to the state opens no second door", () => {
    writeFileSync(join(folder, "manager.lock"), "x".repeat(5_000));
    const first = openDataDir(folder, log);
    writeFileSync(first.statePath, "garbage");
    State.open(first.statePath, log).close();
    expect(faultOf(() => openDataDir(folder, log)).kind).toBe("conflict");
    first.close();
  });
});

describe("the state", () => {
  const file = () => join(folder, "state.db");
  const one = parseSpec({ name: "one", image: "a:1", secrets: { KEY: "s" }, env: { A: "1" } });
  const two = parseSpec({ name: "two", image: "b:1" });
  const names = (state: State) => state.specs().map(({ name }) => name);

  test("keeps specs over a restart, replaced and deleted ones too", () => {
    const state = State.open(file(), log);
    state.put(one);
    state.put(two);
    state.put({ ...two, image: "b:2" });
    state.delete("nobody");
    state.close();
    const again = State.open(file(), log);
    expect(again.specs()).toEqual([one, { ...two, image: "b:2" }]);
    again.delete("one");
    again.close();
    const third = State.open(file(), log);
    expect(names(third)).toEqual(["two"]);
    third.close();
    expect(mode(file())).toBe(0o600);
    expect(warnings).toEqual([]);
  });

  test("cut at any length, or overwritten anywhere: the manager starts, and can write", () => {
    const state = State.open(file(), log);
    for (let index = 0; index < 50; index += 1) state.put({ ...one, name: `n${index}`, env: { A: "x".repeat(500) } });
    state.close();
    const whole = readFileSync(file());
    for (let part = 0; part < 24; part += 1) {
      const at = Math.floor((whole.byteLength * part) / 24) + 3;
      for (const damaged of [whole.subarray(0, at), Buffer.from(whole).fill(0xff, at, at + 600)]) {
        writeFileSync(file(), damaged);
        const opened = State.open(file(), log);
        expect(opened.degraded).toBeUndefined();
        opened.specs();
        opened.put(two);
        expect(names(opened)).toContain("two");
        opened.close();
      }
    }
    expect(readdirSync(folder).filter((name) => /^state\.db\.bad-\d+$/.test(name)).length).toBeLessThanOrEqual(3);
  });

  test("a spec that is not valid any more is dropped alone", async () => {
    const { Database } = await import("bun:sqlite");
    const state = State.open(file(), log);
    state.put(one);
    state.close();
    const database = new Database(file());
    database.run("INSERT INTO specs VALUES ('bad', '{\"name\":\"bad\"}'), ('worse', 'no json')");
    database.close();
    const again = State.open(file(), log);
    expect(names(again)).toEqual(["one"]);
    expect(warnings).toHaveLength(2);
    again.close();
  });

  test("of a newer version is kept beside, not touched", async () => {
    const { Database } = await import("bun:sqlite");
    const database = new Database(file());
    database.run("PRAGMA user_version = 99");
    database.close();
    const state = State.open(file(), log);
    state.put(one);
    expect(names(state)).toEqual(["one"]);
    state.close();
    expect(readdirSync(folder).filter((name) => name.startsWith("state.db.bad-"))).toHaveLength(1);
  });

  test("a folder in its place is moved aside", () => {
    mkdirSync(file());
    const state = State.open(file(), log);
    expect(state.degraded).toBeUndefined();
    state.put(one);
    expect(names(state)).toEqual(["one"]);
    state.close();
    expect(warnings).toHaveLength(1);
  });

  test("locked by another program: in memory, and the file is left alone", async () => {
    State.open(file(), log).close();
    const child = await holder(`
      const { Database } = require("bun:sqlite");
      globalThis.database = new Database(${JSON.stringify(file())});
      database.run("BEGIN EXCLUSIVE");
      console.log("held"); setInterval(() => {}, 1000);`);
    const state = State.open(file(), log);
    expect(state.degraded).toContain("locked");
    state.put(one);
    expect(names(state)).toEqual(["one"]);
    state.close();
    await endOf(child);
    expect(readdirSync(folder).filter((name) => name.includes(".bad-"))).toEqual([]);
    const again = State.open(file(), log);
    expect([again.degraded, names(again)]).toEqual([undefined, []]);
    again.close();
  });

  test("no room to write: what is there is read, what comes is kept in memory or refused with a word", async () => {
    const state = State.open(file(), log);
    state.put(one);
    state.close();
    const script = `
      const { State } = await import("../../src/manager/state.ts");
      const { SILENT } = await import("../../src/base/log.ts");
      const errors = [];
      const state = State.open(${JSON.stringify(file())}, { ...SILENT, error: (m) => errors.push(m) });
      const [first] = state.specs();
      for (let i = 0; i < 40; i++) state.put({ ...first, name: "n" + i, env: { A: "x".repeat(1000) } });
      console.log(JSON.stringify({ first: first?.name, count: state.specs().length, errors: errors.length }));
      state.close();`;
    // A file may grow to 16 KiB: the same errors to SQLite as from a full disk.
    const limited = `trap '' XFSZ; ulimit -f 32; exec "$@"`;
    const child = Bun.spawn(["sh", "-c", limited, "sh", process.execPath, "-e", script], {
      cwd: import.meta.dir,
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect([await child.exited, err]).toEqual([0, ""]);
    const seen: { first: string; count: number; errors: number } = JSON.parse(out);
    expect(seen.first).toBe("one");
    expect(seen.errors).toBeGreaterThan(0);
    expect(seen.count + seen.errors).toBe(41);
    const after = State.open(file(), log);
    expect(names(after)).toContain("one");
    after.close();
  });
});
