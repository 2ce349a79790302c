/** The exchange of files inside a volume, on a folder of this machine: all of the new ones, or all of the old ones. */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BACKUP_STAGE as STAGE } from "../../../src/model/backup-rules.ts";
import { volumeSwapMain } from "../../../src/runtime/docker/volume-swap.ts";

const stage = `${STAGE}test`;
let root: string;
let said: string;
let stderr: ReturnType<typeof spyOn>;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "linkspan-swap-"));
  said = "";
  stderr = spyOn(process.stderr, "write").mockImplementation((text) => {
    said += String(text);
    return true;
  });
});
afterEach(() => {
  stderr.mockRestore();
  rmSync(root, { recursive: true, force: true });
});

function file(...path: string[]): string {
  const full = join(root, ...path);
  mkdirSync(join(full, ".."), { recursive: true });
  writeFileSync(full, path.join("/"));
  return full;
}

const swap = (action: string, folder = stage) => volumeSwapMain([action, folder, root]);

describe("take", () => {
  test("puts the new files in the place of all old ones, with the folder's own mode and times", async () => {
    file("old");
    file("both/old");
    file(".hidden");
    file(stage, "volume", "new");
    file(stage, "volume", "both");
    chmodSync(join(root, stage, "volume"), 0o2750);
    utimesSync(join(root, stage, "volume"), 1_000_000_000, 1_234_567_890);
    expect([await swap("take"), said]).toEqual([0, ""]);
    expect(readdirSync(root).sort()).toEqual(["both", "new"]);
    const { mode, mtimeMs } = statSync(root);
    expect(mode & 0o7777).toBe(0o2750);
    expect(mtimeMs).toBe(1_234_567_890_000);
  });

  test("keeps names that are no UTF-8", async () => {
    file(stage, "volume", "x");
    const name = Buffer.from([0x63, 0xff, 0xfe]);
    writeFileSync(Buffer.concat([Buffer.from(`${root}/${stage}/volume/`), name]), "bytes");
    expect(await swap("take")).toBe(0);
    expect(readdirSync(root, { encoding: "buffer" }).some((found) => found.equals(name))).toBeTrue();
  });

  test("changes nothing when the new files are not there", async () => {
    file("old");
    mkdirSync(join(root, stage));
    expect(await swap("take")).toBe(1);
    expect(said).toContain("volume-swap");
    expect(readdirSync(root).sort()).toEqual([stage, "old"]);
  });

  test("takes back what it has moved when it cannot go on", async () => {
    file("a");
    file("b/c");
    file(`${STAGE}other`, "volume", "x");
    file(stage, "volume", "new");
    // A folder of this name is in the way, and not empty.
    file(stage, "volume", `${STAGE}other`, "y");
    expect(await swap("take")).toBe(1);
    expect(readdirSync(root).sort()).toEqual([`${STAGE}other`, stage, "a", "b"]);
    expect(existsSync(join(root, "b/c"))).toBeTrue();
    expect(readdirSync(join(root, stage, "volume")).sort()).toEqual([`${STAGE}other`, "new"]);
    // Nothing old is in it: it may go.
    expect(await swap("drop")).toBe(0);
  });
});

describe("drop", () => {
  test("removes the stage and nothing else", async () => {
    file("old");
    file(stage, "volume", "new");
    expect(await swap("drop")).toBe(0);
    expect(readdirSync(root)).toEqual(["old"]);
  });

  test("never removes old files of an exchange that was interrupted", async () => {
    file(stage, "old", "precious");
    expect(await swap("drop")).toBe(1);
    expect(existsSync(join(root, stage, "old", "precious"))).toBeTrue();
  });
});

test("stages of others stay for a day, and those with old files for ever", async () => {
  file(`${STAGE}young`, "volume", "x");
  file(`${STAGE}aged`, "volume", "x");
  file(`${STAGE}cut`, "old", "precious");
  for (const name of ["aged", "cut"]) utimesSync(join(root, STAGE + name), 1_000_000_000, 1_000_000_000);
  file(stage, "volume", "new");
  expect(await swap("take")).toBe(0);
  expect(readdirSync(root).sort()).toEqual([`${STAGE}cut`, `${STAGE}young`, "new"]);
});

test.each([
  ["take", "etc"],
  ["take", `${STAGE}/../../etc`],
  ["drop", ""],
  ["give", stage],
])("%s %p is refused", async (action, folder) => {
  file("old");
  expect(await swap(action, folder)).toBe(1);
  expect(readdirSync(root)).toEqual(["old"]);
});
