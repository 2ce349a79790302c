/** Backups of volumes as files: what is written is read again, what was damaged or forged is refused. */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { TAR_END, tarHeader, type TarPart } from "../../src/base/tar.ts";
import { gzip } from "../../src/base/gzip.ts";
import { tarOf, writeBackup } from "../../src/model/backup.ts";
import { BackupReader, checkBackup } from "../../src/model/backup-read.ts";
import { BACKUP_LIMITS, leadsOut } from "../../src/model/backup-rules.ts";
import { FACTS, type Forged, forge, forgeTar, header, inPieces, note, ROOT } from "../support/backups.ts";
import { rejection } from "../support/rejection.ts";

async function* partsOf(entries: Forged[]): AsyncGenerator<TarPart> {
  for (const { content, ...given } of entries) {
    const { size, ...rest } = header({ ...given, content: content ?? "" });
    yield { kind: "entry", header: { ...rest, size }, attributes: false };
    if (content) yield { kind: "content", bytes: Buffer.from(content) };
  }
}

async function written(entries: Forged[]): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of gzip(writeBackup(FACTS, partsOf(entries)))) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const check = (archive: Uint8Array, reading?: Parameters<typeof checkBackup>[1]) =>
  checkBackup(inPieces(archive), reading);

const TREE: Forged[] = [
  { ...ROOT, mode: 0o1777, uid: 1000 },
  { name: "volume/a", content: "first", mode: 0o600, uid: 1000 },
  { name: "volume/caf\xe9", content: "x".repeat(100_000) },
  { name: "volume/deep/", kind: "folder", mode: 0o755 },
  { name: "volume/deep/empty/", kind: "folder", mode: 0o700 },
  { name: `volume/deep/${"n".repeat(255)}`, mode: 0o4755 },
  { name: "volume/deep.txt", kind: "symlink", link: "deep/../a" },
  { name: "volume/hard", kind: "hardlink", link: "volume/a" },
  { name: "volume/link", kind: "symlink", link: "./a" },
];

describe("a backup", () => {
  test("has everything that was put in, in the same order, and says how much that is", async () => {
    const reader = new BackupReader(inPieces(await written(TREE), 1000), { outwardLinks: true });
    const found: string[] = [];
    let content = 0;
    for await (const part of reader.parts()) {
      if (part.kind === "entry") found.push(part.header.name);
      else content += part.bytes.length;
    }
    expect(found).toEqual(TREE.map(({ name }) => name));
    expect(content).toBe(100_005);
    expect(reader.content).toMatchObject({
      volume: "notes",
      entries: TREE.length,
      bytes: 100_005,
      outwardLinks: 1,
      leftOut: { devices: 0, pipes: 0, attributes: 0 },
    });
  });

  test("can be checked by hand, as its documentation says", async () => {
    const archive = await written(TREE);
    const { sha256, tarBytes } = await check(archive, { outwardLinks: true });
    expect(createHash("sha256").update(gunzipSync(archive).subarray(0, tarBytes)).digest("hex")).toBe(sha256);
    const child = Bun.spawn(["tar", "-xzO", "linkspan-checksum.json"], { stdin: new Blob([archive]) });
    expect(JSON.parse(await child.stdout.text()).sha256).toBe(sha256);
  });

  test("leaves devices and pipes out, hard links to them as well, and counts them", async () => {
    const archive = await written([
      ROOT,
      { name: "volume/device", kind: "device" },
      { name: "volume/device-2", kind: "hardlink", link: "volume/device" },
      { name: "volume/kept", content: "x" },
      { name: "volume/pipe", kind: "pipe" },
    ]);
    expect(await check(archive)).toMatchObject({ entries: 2, leftOut: { devices: 2, pipes: 1 } });
  });

  test("is the same archive when it is unpacked for the engine", async () => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of tarOf(partsOf(TREE))) chunks.push(chunk);
    const whole = gunzipSync(await written(TREE));
    const tree = Buffer.concat(chunks);
    expect(whole.indexOf(tree.subarray(0, -TAR_END.length))).toBeGreaterThan(0);
  });
});

/** Whether the packed bytes unpack to exactly these. */
function unpacks(packed: Buffer, whole: Buffer): boolean {
  try {
    return gunzipSync(packed).equals(whole);
  } catch {
    return false;
  }
}

describe("what was changed is refused", () => {
  test("every bit of the packed file counts", async () => {
    const archive = await written([ROOT, { name: "volume/a", content: "some content that matters" }]);
    const whole = gunzipSync(archive);
    // The header's time and system (RFC 1952: bytes 4 to 9) are not content.
    const places = [...archive.keys()].filter((at) => at < 4 || at > 9);
    for (const at of places) {
      const changed = Buffer.from(archive);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      // The last byte of the packed data has bits that mean nothing.
      if (unpacks(changed, whole)) continue;
      expect(await rejection(check(changed))).toMatchObject({ kind: "invalid" });
    }
  });

  test("every bit of the unpacked archive counts", async () => {
    const tar = gunzipSync(await written([ROOT, { name: "volume/a", content: "some content that matters" }]));
    const end = tar.indexOf("linkspan-checksum.json");
    for (let at = 0; at < end; at += 3) {
      const changed = Buffer.from(tar);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      expect(await rejection(check(gzipSync(changed, { level: 1 })))).toMatchObject({ kind: "invalid" });
    }
  });

  test("cut at any place", async () => {
    const archive = await written(TREE.slice(0, 2));
    for (let length = 0; length < archive.length; length += 7) {
      expect(await rejection(check(archive.subarray(0, length)))).toMatchObject({ kind: "invalid" });
    }
  });

  test.each([
    ["a file of another kind", Buffer.from("PK\x03\x04 no archive")],
    ["a tar of another program", gzipSync(Buffer.concat([forgeTar([ROOT]).subarray(1024), TAR_END]))],
    ["a checksum of something else", forge([ROOT], { sha256: "0".repeat(64) })],
    ["a checksum over less", forge([ROOT], { tarBytes: 512 })],
    [
      "a format of the future",
      gzipSync(Buffer.concat([note("linkspan-backup.json", { ...FACTS, format: 2 }), TAR_END])),
    ],
    ["more after the checksum", gzipSync(Buffer.concat([forgeTar([ROOT]).subarray(0, -1024), forgeTar([ROOT])]))],
    ["no files at all", forge([])],
  ])("%s", async (_, archive) => {
    expect(await rejection(check(archive))).toMatchObject({ kind: "invalid" });
  });
});

describe("what was forged is refused, though its checksum fits", () => {
  const file = (name: string): Forged => ({ name, content: "evil" });
  const link = (name: string, target: string): Forged => ({ name, kind: "symlink", link: target });

  test("the forger can make one that is taken", async () => {
    expect(await check(forge([ROOT, file("volume/good"), link("volume/link", "good")]))).toMatchObject({ entries: 3 });
  });

  test.each<[string, Forged[]]>([
    ["an absolute name", [file("/etc/passwd")]],
    ["a name beside the volume", [file("other")]],
    ["a name that climbs", [file("volume/../../etc/passwd")]],
    ["a name that is a climb", [{ name: "volume/../", kind: "folder" }]],
    ["a name with an empty part", [file("volume//a")]],
    ["a name that stays", [file("volume/./a")]],
    ["a file that is named as a folder", [file("volume/a/")]],
    ["a name in a folder that is not there", [file("volume/missing/a")]],
    ["a name behind a link", [link("volume/a", "."), file("volume/a/b")]],
    ["a name behind a file", [file("volume/a"), file("volume/a/b")]],
    ["a name twice", [file("volume/a"), file("volume/a")]],
    ["a link, then a file in its place", [link("volume/a", "b"), file("volume/a")]],
    [
      "a folder twice",
      [
        { name: "volume/d/", kind: "folder" },
        { name: "volume/d/", kind: "folder" },
      ],
    ],
    [
      "a name that comes after its folder was left",
      [{ name: "volume/d/", kind: "folder" }, file("volume/e"), file("volume/d/x")],
    ],
    ["the volume's folder twice", [ROOT]],
    ["a device", [{ name: "volume/sda", kind: "device" }]],
    ["a pipe", [{ name: "volume/pipe", kind: "pipe" }]],
    ["an absolute link", [link("volume/a", "/etc/passwd")]],
    ["a link that climbs out", [link("volume/a", "../x")]],
    ["a link that climbs out behind a name", [link("volume/a", "b/../../x")]],
    ["a link to nothing", [link("volume/a", "")]],
    ["a hard link outward", [{ name: "volume/a", kind: "hardlink", link: "/etc/passwd" }]],
    ["a hard link that climbs", [{ name: "volume/a", kind: "hardlink", link: "volume/../../etc/passwd" }]],
    ["a hard link to what comes later", [{ name: "volume/a", kind: "hardlink", link: "volume/b" }, file("volume/b")]],
    ["a hard link to a link", [link("volume/a", "b"), { name: "volume/b", kind: "hardlink", link: "volume/a" }]],
    ["a hard link to itself", [{ name: "volume/a", kind: "hardlink", link: "volume/a" }]],
    ["a name of 256 bytes", [file(`volume/${"x".repeat(256)}`)]],
    ["the owner -1", [{ ...file("volume/a"), uid: 2 ** 32 - 1 }]],
    ["a name of Linkspan's own", [{ name: "volume/.linkspan-restore-x/", kind: "folder" }]],
    ["a note in the wrong place", [file("linkspan-backup.json")]],
  ])("%s", async (_, entries) => {
    expect(await rejection(check(forge([ROOT, ...entries])))).toMatchObject({ kind: "invalid" });
  });

  test("a path of more than 4096 bytes", async () => {
    const deep: Forged[] = [ROOT];
    for (let name = "volume/"; name.length < 4200;) {
      name += `${"d".repeat(200)}/`;
      deep.push({ name, kind: "folder" });
    }
    expect(await rejection(check(forge(deep)))).toMatchObject({ kind: "invalid" });
  });

  test("links that lead out are taken when that is asked for, and counted", async () => {
    const archive = forge([ROOT, link("volume/a", "/etc/passwd"), link("volume/b", "../../x"), link("volume/c", "a")]);
    expect(await check(archive, { outwardLinks: true })).toMatchObject({ outwardLinks: 2 });
    expect(
      await rejection(check(forge([ROOT, link("volume/a", "/"), file("volume/a/b")]), { outwardLinks: true })),
    ).toMatchObject({ kind: "invalid" });
  });
});

describe("limits", () => {
  const many = forge([ROOT, ...Array.from({ length: 20 }, (_, at): Forged => ({ name: `volume/${at + 100}` }))]);

  test("of the number of files", async () => {
    expect(await check(many, { limits: { ...BACKUP_LIMITS, entries: 21 } })).toMatchObject({ entries: 21 });
    expect(await rejection(check(many, { limits: { ...BACKUP_LIMITS, entries: 20 } }))).toMatchObject({
      kind: "too-large",
    });
  });

  test("of the content", async () => {
    const archive = await written([ROOT, { name: "volume/a", content: "x".repeat(5000) }]);
    expect(await check(archive, { limits: { ...BACKUP_LIMITS, bytes: 5000 } })).toMatchObject({ bytes: 5000 });
    expect(await rejection(check(archive, { limits: { ...BACKUP_LIMITS, bytes: 4999 } }))).toMatchObject({
      kind: "too-large",
    });
  });

  test("a bomb is given up long before its end, and costs no memory", async () => {
    const zeros = gzipSync(Buffer.alloc(64 * 1024 * 1024), { level: 9 });
    const head = forgeTar([ROOT]);
    const big = tarHeader(header({ name: "volume/zeros", size: 50 * 1024 ** 3 }));
    const start = Buffer.concat([head.subarray(0, head.indexOf("linkspan-checksum.json")), big]);
    let members = 0;
    const bomb = async function* () {
      yield gzipSync(start);
      for (; members < 1000; members++) yield zeros;
    };
    const before = process.memoryUsage.rss();
    expect(await rejection(checkBackup(bomb()))).toMatchObject({ kind: "too-large" });
    // A gigabyte is free; what follows it is 1,000 times its size.
    expect(members).toBeLessThan(40);
    expect(process.memoryUsage.rss() - before).toBeLessThan(150 * 1024 * 1024);
  });
});

test.each([
  ["volume/a", "b", false],
  ["volume/a", "./b/c", false],
  ["volume/d/a", "..", false],
  ["volume/d/a", "../b", false],
  ["volume/d/a", "../../b", true],
  ["volume/a", "..", true],
  ["volume/a", "/volume/b", true],
  ["volume/a", "b/..", true],
  ["volume/a", "", false],
])("%s → %p leads out: %p", (name, target, out) => {
  expect(leadsOut(name, target)).toBe(out);
});
