/** The tar codec against other programs' archives, in pieces of any size, and against itself. */
import { describe, expect, test } from "bun:test";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { tarHeader, tarPadding, TAR_END, type TarEntry, type TarHeader } from "../../src/base/tar.ts";
import { readTar } from "../../src/base/tar-read.ts";
import { entry, header, inPieces } from "../support/backups.ts";
import { tempDir } from "../support/cli.ts";
import { rejection } from "../support/rejection.ts";
import { seeded } from "../support/seed.ts";

interface Read extends TarEntry {
  content: Buffer;
}

async function readAll(archive: AsyncIterable<Uint8Array>): Promise<Read[]> {
  const found: Read[] = [];
  for await (const part of readTar(archive)) {
    if (part.kind === "entry") found.push({ ...part, content: Buffer.alloc(0) });
    else {
      const last = found.at(-1);
      if (last) last.content = Buffer.concat([last.content, part.bytes]);
    }
  }
  return found;
}

const plain = Buffer.concat([entry({ name: "a", content: "x".repeat(700) }), entry({ name: "b" }), TAR_END]);

describe("GNU tar", () => {
  const long = `${"d".repeat(120)}/${"f".repeat(140)}`;

  test.each(["pax", "gnu", "ustar", "posix"])("its archives of the form %s are read", async (format) => {
    await using folder = await tempDir("tar");
    const names = format === "ustar" ? ["a", `${"d".repeat(120)}/f`] : ["a", long];
    await mkdir(join(folder.path, "d".repeat(120)));
    for (const name of names) await writeFile(join(folder.path, name), name, { mode: 0o640 });
    await symlink("a", join(folder.path, "link"));
    if (format !== "ustar") await symlink("t".repeat(150), join(folder.path, "far"));
    const links = format === "ustar" ? ["link"] : ["link", "far"];
    const child = Bun.spawn(["tar", `--format=${format}`, "-C", folder.path, "-cf", "-", ...names, ...links]);
    const found = await readAll(child.stdout);
    expect(found.map(({ header: { name, kind, link } }) => [name, kind, link])).toEqual([
      ...names.map((name) => [name, "file", ""]),
      ...links.map((name) => [name, "symlink", name === "far" ? "t".repeat(150) : "a"]),
    ]);
    for (const [at, name] of names.entries()) {
      expect(found[at]?.content.toString()).toBe(name);
      expect(found[at]?.header.mode).toBe(0o640);
      expect(found[at]?.header.uid).toBe(process.getuid?.() ?? 0);
      expect(Math.abs((found[at]?.header.mtime ?? 0) - Date.now() / 1000)).toBeLessThan(60);
    }
  });

  test("reads what is written here: long names, large numbers, names that are no UTF-8", async () => {
    const headers: TarHeader[] = [
      header({ name: `${long}/`, kind: "folder", mode: 0o4755 }),
      header({ name: `${long}/${"x".repeat(99)}`, uid: 4_000_000_000, gid: 3_000_000, mtime: -5 }),
      header({ name: "far", kind: "symlink", link: "t".repeat(300), mtime: 10_000_000_000 }),
      header({ name: "caf\xe9", mode: 0o600 }),
    ];
    const archive = Buffer.concat([...headers.map((one) => tarHeader(one)), TAR_END]);
    const child = Bun.spawn(["tar", "--numeric-owner", "--full-time", "--quoting-style=escape", "-tvf", "-"], {
      stdin: new Blob([archive]),
      env: { ...process.env, TZ: "UTC", LC_ALL: "C" },
    });
    const lines = (await child.stdout.text()).trim().split("\n");
    expect(await child.exited).toBe(0);
    expect(lines[0]).toMatch(/^drwsr-xr-x /);
    expect(lines[1]).toContain("4000000000/3000000");
    expect(lines[1]).toContain("1969-12-31 23:59:55");
    expect(lines[2]).toContain(`far -> ${"t".repeat(300)}`);
    expect(lines[3]).toContain(String.raw`caf\351`);
    expect((await readAll(inPieces(archive))).map((one) => one.header)).toEqual(headers);
  });
});

test("headers and contents come back as they were, in pieces of any size", async () => {
  const bytes = fc.string({
    unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 250,
  });
  const one = fc.record({
    kind: fc.constantFrom("file", "folder", "symlink", "hardlink"),
    name: bytes,
    link: bytes,
    mode: fc.nat(0o7777),
    uid: fc.nat(2 ** 32),
    gid: fc.nat(2 ** 22),
    mtime: fc.integer({ min: -(2 ** 34), max: 2 ** 34 }),
    content: fc.uint8Array({ maxLength: 2000 }),
  });
  const archives = fc.array(one, { maxLength: 6 });
  const parameters = seeded("tar", 100);
  await fc.assert(
    fc.asyncProperty(archives, fc.integer({ min: 1, max: 1500 }), async (entries, size) => {
      const given = entries.map(({ content, ...fields }) => ({
        header: header({
          ...fields,
          name: fields.kind === "folder" ? `${fields.name.replace(/\/$/, "")}/` : fields.name,
          link: fields.kind.endsWith("link") ? fields.link : "",
          size: fields.kind === "file" ? content.length : 0,
        }),
        content: Buffer.from(fields.kind === "file" ? content : []),
      }));
      const blocks = given.flatMap((each) => [tarHeader(each.header), each.content, tarPadding(each.content.length)]);
      const found = await readAll(inPieces(Buffer.concat([...blocks, TAR_END]), size));
      expect(found.map((each) => ({ header: each.header, content: each.content }))).toEqual(given);
    }),
    parameters,
  );
});

describe("a damaged archive is refused", () => {
  const changed = (at: number, value: number) => {
    const copy = Buffer.from(plain);
    copy[at] = value;
    return copy;
  };
  const pax = (body: string) =>
    Buffer.concat([entry({ name: "PaxHeader", content: body }).fill("x", 156, 157), entry({ name: "a" }), TAR_END]);
  const summed = (archive: Buffer) => {
    const sum = archive.subarray(0, 512).reduce((all, byte, at) => all + (at >= 148 && at < 156 ? 32 : byte), 0);
    archive.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return archive;
  };

  test.each([
    ["cut in a header", plain.subarray(0, 300)],
    ["cut in a content", plain.subarray(0, 800)],
    ["cut before its end", plain.subarray(0, plain.length - 1024)],
    ["without a byte", Buffer.alloc(0)],
    ["with a changed header", changed(3, 65)],
    ["with something after its end", Buffer.concat([plain, Buffer.from("x")])],
    ["with a megabyte of zeros and more after its end", Buffer.concat([plain, Buffer.alloc(1024 * 1024)])],
    ["that is text", Buffer.alloc(2048, "no archive\n")],
    ["with an unknown type", summed(Buffer.concat([entry({ name: "a" }).fill("S", 156, 157), TAR_END]))],
    ["with a folder that has content", Buffer.concat([tarHeader(header({ name: "d/", kind: "folder", size: 9 }))])],
    ["with a pax record that lies about its length", summed(pax("99 path=b\n"))],
    ["with a pax record of length 0", summed(pax("0 path=b\n"))],
    ["with a NUL in a name", summed(pax("13 path=a\0bc\n"))],
    ["with a negative size", summed(pax("11 size=-1\n"))],
    ["with GNU's sparse form", summed(pax("22 GNU.sparse.major=1\n"))],
    ["with a size beyond all numbers", summed(Buffer.concat([entry({ name: "a" }).fill(0xff, 124, 136), TAR_END]))],
  ])("%s", async (_, archive) => {
    expect(await rejection(readAll(inPieces(Buffer.from(archive))))).toMatchObject({ kind: "invalid" });
  });

  test("a header that promises a gigabyte of pax is not waited for", async () => {
    const huge = summed(tarHeader(header({ name: "PaxHeader", size: 2 ** 30 })).fill("x", 156, 157));
    const endless = async function* () {
      yield huge;
      throw new Error("it was read on");
    };
    expect(await rejection(readAll(endless()))).toMatchObject({ kind: "invalid" });
  });
});

test("the source is closed when the reader leaves early", async () => {
  let closed = false;
  const source = async function* () {
    try {
      yield plain;
    } finally {
      closed = true;
    }
  };
  for await (const part of readTar(source())) if (part.kind === "entry") break;
  expect(closed).toBeTrue();
});
