import { describe, expect, test } from "bun:test";
import { Readable } from "node:stream";
import fc from "fast-check";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { archiveOf, entriesOf, firstEntry } from "../../src/docker/archive.ts";
import { demultiplex } from "../../src/docker/logs.ts";
import { readProgress } from "../../src/docker/progress.ts";
import { rejection } from "../support/rejection.ts";
import { seeded } from "../support/seed.ts";

/** Cuts into chunks of these sizes, again and again, so that no reader can rely on where chunks end. */
function sliced(bytes: Buffer, sizes: number[]): Readable {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + (sizes[chunks.length % sizes.length] ?? 1);
    chunks.push(bytes.subarray(at, end));
    at = end;
  }
  return Readable.from(chunks);
}

const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 });

function frame(type: 1 | 2, text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = type;
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

const TIME = "2026-11-21T09:00:00.123456789Z";

describe("a container's log", () => {
  test("frames become lines, wherever the chunks end; long lines come in pieces, both outputs at once", async () => {
    const long = "x".repeat(16_384);
    const bytes = Buffer.concat([
      frame(1, `${TIME} first ä line\n`),
      frame(2, `${TIME} ${long}`),
      frame(1, `${TIME} between\r\n`),
      frame(2, `${TIME} and its end\n`),
      frame(2, `${TIME} \n`),
      frame(1, `${TIME} without an end`),
    ]);
    const property = fc.asyncProperty(sizes, async (cuts) => {
      const lines = await Array.fromAsync(demultiplex(sliced(bytes, cuts)));
      expect(lines.map(({ source, text }) => [source, text])).toEqual([
        ["stdout", "first ä line"],
        ["stdout", "between"],
        ["stderr", `${long}and its end`],
        ["stderr", ""],
        ["stdout", "without an end"],
      ]);
      expect(lines[0]?.at).toBe(Date.parse("2026-11-21T09:00:00.123Z"));
    });
    await fc.assert(property, seeded("log frames", 20));
  });

  test("an endless line is kept in part only", async () => {
    const frames = Array.from({ length: 64 }, () => frame(1, `${TIME} ${"y".repeat(16_384)}`));
    const [line] = await Array.fromAsync(demultiplex(Readable.from([Buffer.concat(frames)])));
    expect(line?.text.length).toBe(64 * 1024);
  });
});

describe("progress of a pull", () => {
  test("layers are summed up, split lines put together", async () => {
    const lines = [
      { status: "Pulling from x", id: "1" },
      { status: "Downloading", id: "a", progressDetail: { current: 10, total: 100 } },
      { status: "Downloading", id: "b", progressDetail: { current: 1, total: 50 } },
      { status: "Downloading", id: "a", progressDetail: { current: 100, total: 100 } },
      { aux: { ID: "sha256:abc" } },
    ];
    const bytes = Buffer.from(lines.map((line) => JSON.stringify(line)).join("\r\n"));
    const property = fc.asyncProperty(sizes, async (cuts) => {
      const steps: unknown[] = [];
      expect(await readProgress(sliced(bytes, cuts), "x", (step) => steps.push(step))).toBe("sha256:abc");
      expect(steps).toEqual([
        { text: "Pulling from x" },
        { text: "Downloading", current: 10, total: 100 },
        { text: "Downloading", current: 11, total: 150 },
        { text: "Downloading", current: 101, total: 150 },
      ]);
    });
    await fc.assert(property, seeded("progress lines", 20));
  });

  test("an error inside the stream is a fault", async () => {
    const stream = Readable.from([
      Buffer.from('{"errorDetail":{"message":"no space left on device"},"error":"short"}\n'),
    ]);
    expect(await rejection(readProgress(stream, "pulling x", () => {}))).toMatchObject({ kind: "exhausted" });
  });
});

describe("archives", () => {
  test("modes, owners, links and folders survive", async () => {
    const folder = await mkdtemp(join(tmpdir(), "linkspan-test-archive-"));
    try {
      await writeFile(join(folder, "run"), "#!", { mode: 0o755 });
      await writeFile(join(folder, "data"), Buffer.alloc(300_000, 7));
      await symlink("run", join(folder, "link"));
      const archive = archiveOf([
        { kind: "tree", name: "app", path: folder },
        { kind: "bytes", name: "mark", bytes: Buffer.from("hello"), uid: 5, gid: 6, mode: 0o600 },
      ]);
      const bytes = Buffer.concat(await Array.fromAsync(archive));
      const all = await Bun.spawn(["tar", "-tvf", "-"], { stdin: bytes }).stdout.text();
      expect(
        all
          .split("\n")
          .map((line) => line.replace(/ +/g, " "))
          .filter(Boolean),
      ).toEqual([
        expect.stringMatching(/^drwxr-xr-x 0\/0 0 .* app\/?$/),
        expect.stringMatching(/^-rw-r--r-- 0\/0 300000 .* app\/data$/),
        expect.stringMatching(/^lrwxrwxrwx 0\/0 0 .* app\/link -> run$/),
        expect.stringMatching(/^-rwxr-xr-x 0\/0 2 .* app\/run$/),
        expect.stringMatching(/^-rw------- 5\/6 5 .* mark$/),
      ]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("the first entry is read without the rest", async () => {
    const archive = archiveOf([
      { kind: "bytes", name: "a", bytes: Buffer.from("hello"), uid: 5 },
      { kind: "bytes", name: "b", bytes: Buffer.alloc(10_000_000) },
    ]);
    const first = await firstEntry(archive, 4);
    expect(first).toMatchObject({ name: "a", uid: 5, size: 5, type: "file" });
    expect(first?.content.toString()).toBe("hell");
    expect(archive.destroyed).toBe(true);
  });

  test("entries of one archive go into another", async () => {
    const inner = Buffer.concat(
      await Array.fromAsync(archiveOf([{ kind: "bytes", name: "x", bytes: Buffer.from("1"), mode: 0o755 }])),
    );
    const [entry] = await entriesOf(inner);
    expect(entry).toMatchObject({ kind: "bytes", name: "x", mode: 0o755 });
  });

  test("a file that is not there fails the archive", async () => {
    const archive = archiveOf([{ kind: "file", name: "x", path: "/nowhere/file" }]);
    expect(String(await rejection(Array.fromAsync(archive)))).toContain("ENOENT");
  });
});
