/** What may happen between reading a file and writing it, and files that are none. */
import { expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { backupsOf, readFound, replaceFound, restoreFound } from "../../../src/cli/edit/careful.ts";
import { tempDir } from "../../support/cli.ts";
import { rejection } from "../../support/rejection.ts";

async function stand() {
  const dir = await tempDir("careful");
  const file = join(dir.path, "config.json");
  return {
    dir: dir.path,
    file,
    names: () => readdirSync(dir.path).sort(),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

test("a change by somebody else in between is not overwritten, and nothing is left beside it", async () => {
  await using my = await stand();
  writeFileSync(my.file, "one");
  const found = await readFound(my.file);
  writeFileSync(my.file, "two");
  expect(await rejection(replaceFound(found, "ours"))).toMatchObject({ kind: "conflict" });
  expect(readFileSync(my.file, "utf8")).toBe("two");
  expect(my.names()).toEqual(["config.json"]);
});

test("a file that came into being in between is not overwritten either, nor is one that went made again", async () => {
  await using my = await stand();
  const absent = await readFound(my.file);
  writeFileSync(my.file, "theirs");
  expect(await rejection(replaceFound(absent, "ours"))).toMatchObject({ kind: "conflict" });
  expect(readFileSync(my.file, "utf8")).toBe("theirs");
  const there = await readFound(my.file);
  await Bun.file(my.file).delete();
  expect(await rejection(replaceFound(there, "ours"))).toMatchObject({ kind: "conflict" });
  expect(my.names()).toEqual([]);
});

test("mode and owner stay, of the file and of what was there before", async () => {
  await using my = await stand();
  writeFileSync(my.file, "one");
  chmodSync(my.file, 0o604);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(my.file, 1234, 2345);
  const backup = await replaceFound(await readFound(my.file), "two");
  for (const path of [my.file, backup]) {
    const { mode, uid, gid } = statSync(path);
    expect({ mode: mode & 0o777, ...(isRoot ? { uid, gid } : {}) }).toEqual({
      mode: 0o604,
      ...(isRoot ? { uid: 1234, gid: 2345 } : {}),
    });
  }
  expect(readFileSync(backup, "utf8")).toBe("one");
});

test("a file that was made goes when it is undone, and one that was removed comes back", async () => {
  await using my = await stand();
  await replaceFound(await readFound(my.file), "made");
  const [made] = await backupsOf(my.file);
  expect(made).toMatchObject({ absent: true });
  await replaceFound(await readFound(my.file), undefined);
  expect(existsSync(my.file)).toBe(false);
  const [removed, first] = await backupsOf(my.file);
  if (!removed || !first) throw new Error("no backups");
  await restoreFound(await readFound(my.file), removed);
  expect(readFileSync(my.file, "utf8")).toBe("made");
  await restoreFound(await readFound(my.file), first);
  expect(my.names()).toEqual([]);
});

test("what is no file of text is refused at once", async () => {
  await using my = await stand();
  const pipe = join(my.dir, "pipe");
  expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
  expect(await rejection(readFound(pipe))).toMatchObject({ kind: "invalid" });
  expect(await rejection(readFound(my.dir))).toMatchObject({ kind: "invalid" });
  writeFileSync(my.file, "");
  truncateSync(my.file, 33 * 1024 * 1024);
  expect(await rejection(readFound(my.file))).toMatchObject({ kind: "too-large" });
  expect(
    await rejection(replaceFound({ path: "/proc/none/x", text: undefined, mode: 0o600, owner: undefined }, "x")),
  ).toMatchObject({
    kind: "forbidden",
  });
});
