/** Volumes on a real engine: backups and restores, what is refused, and that a failure changes nothing. */
import { describe, expect } from "bun:test";
import { gunzipSync } from "node:zlib";
import { Deadline } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { tarHeader } from "../../src/base/tar.ts";
import { inspectVolume } from "../../src/docker/volumes.ts";
import { BACKUP_STAGE as STAGE } from "../../src/model/backup-rules.ts";
import { type Forged, forge, header, ROOT } from "../support/backups.ts";
import { engine, engineTest } from "../support/engine.ts";
import { scratchImage } from "../support/images.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";
import { FORCED, inHalves, never, PLAIN, Stand } from "./volume-stand.ts";

const soon = () => Deadline.in(60_000);

const MIB = 1024 ** 2;
/** A large file of zeros with something at its end, without holding it: only its last bytes are not zero. */
const SPARSE = Buffer.concat([
  tarHeader(header({ name: "volume/sparse", size: 80 * MIB, mode: 0o600 })),
  Buffer.alloc(80 * MIB).fill("the end", 80 * MIB - 7),
]);
const TREE: (Forged | Uint8Array)[] = [
  { ...ROOT, mode: 0o1750, uid: 1000, gid: 1001, mtime: 981_173_045 },
  { name: "volume/-rf", content: "a name like an option" },
  {
    name: "volume/Grüße 😀".replaceAll(/[^\x20-\x7e]+/gu, (text) => Buffer.from(text).toString("latin1")),
    content: "Grüße",
  },
  { name: "volume/caf\xe9\xff", content: "no UTF-8" },
  { name: "volume/deep/", kind: "folder", mode: 0o2775, uid: 65_532, gid: 65_532, mtime: 1_000_000_000 },
  { name: "volume/deep/empty/", kind: "folder", mode: 0o700, mtime: 1_000_000_001 },
  { name: `volume/deep/${"n".repeat(255)}`, content: "x".repeat(5000), mode: 0o400, uid: 4_000_000_000 },
  { name: "volume/deep/up", kind: "symlink", link: "../first", mode: 0o777 },
  { name: "volume/first", content: "first", mode: 0o4755, mtime: 1_234_567_890 },
  { name: "volume/hard", kind: "hardlink", link: "volume/first", mode: 0o4755, mtime: 1_234_567_890 },
  { name: "volume/new\nline", content: "" },
  SPARSE,
];
const SMALL: Forged[] = [ROOT, { name: "volume/old", content: "what was there" }];

describe("a backup and its restore", () => {
  engineTest("give every file back: names, content, modes, owners, times, links", async () => {
    await using stand = await Stand.open();
    const from = await stand.shelf.make(TREE);
    const before = await stand.shelf.look(from);
    expect(before.length).toBe(TREE.length);
    const archive = await stand.backup(from);
    const to = stand.shelf.name();
    const done = await stand.restore(to, archive);
    expect(done).toMatchObject({
      name: to,
      created: true,
      backup: { volume: from, entries: TREE.length, outwardLinks: 0 },
    });
    expect(await stand.shelf.look(to)).toEqual(before);
    expect(await stand.shelf.tools(to)).toEqual([]);
    expect(await stand.volumes.inspect(to, false, soon())).toMatchObject({ managed: true, usedBy: [] });
    expect(gunzipSync(await stand.backup(to)).length).toBe(gunzipSync(archive).length);
    expect(stand.events.recent(10).map(({ kind }) => kind)).toEqual([
      "volume.backed-up",
      "volume.restored",
      "volume.backed-up",
    ]);
  });

  engineTest("put nothing beside the files of the backup, with force", async () => {
    await using stand = await Stand.open();
    const name = await stand.shelf.make([
      ...SMALL,
      { name: "volume/first/", kind: "folder", mode: 0o555 },
      { name: "volume/first/inside", content: "x", uid: 1000 },
    ]);
    const source = await stand.shelf.make(TREE.slice(0, -1));
    const archive = await stand.backup(source);
    expect(await rejection(stand.restore(name, archive))).toMatchObject({ kind: "conflict" });
    await stand.restore(name, archive, FORCED);
    expect(await stand.shelf.look(name)).toEqual(await stand.shelf.look(source));
    // And once more, over itself.
    await stand.restore(name, archive, FORCED);
    expect(await stand.shelf.look(name)).toEqual(await stand.shelf.look(source));
  });

  engineTest("say what they leave out, and ask about links that lead out", async () => {
    await using stand = await Stand.open();
    const name = await stand.shelf.make([
      ...SMALL,
      { name: "volume/outward", kind: "symlink", link: "/etc/passwd", mode: 0o777 },
      { name: "volume/pipe", kind: "pipe" },
    ]);
    const archive = await stand.backup(name);
    const to = stand.shelf.name();
    expect(await rejection(stand.restore(to, archive))).toMatchObject({
      kind: "invalid",
      hint: expect.stringContaining("--outward-links"),
    });
    expect(await inspectVolume(engine(), to, soon())).toBeUndefined();
    const { backup } = await stand.restore(to, archive, { ...PLAIN, outwardLinks: true });
    expect(backup).toMatchObject({ outwardLinks: 1, leftOut: { pipes: 1 } });
    expect((await stand.shelf.look(to)).map((line) => / (volume\/\S*)/.exec(line)?.[1])).toEqual([
      "volume/",
      "volume/old",
      "volume/outward",
    ]);
  });

  engineTest("do not see what an interrupted restore has left", async () => {
    await using stand = await Stand.open();
    const name = await stand.shelf.make([
      { name: `volume/${STAGE}dead/`, kind: "folder", mtime: 1_000_000_000 },
      { name: `volume/${STAGE}dead/volume/`, kind: "folder" },
      { name: `volume/${STAGE}dead/volume/half`, content: "half" },
    ]);
    const archive = await stand.backup(name);
    expect(gunzipSync(archive).includes("half")).toBeFalse();
    // It counts as empty, and what is a day old is removed.
    await stand.restore(name, forge(SMALL));
    expect((await stand.shelf.look(name)).length).toBe(2);
  });
});

describe("what is refused leaves the volume as it was", () => {
  const good = forge([ROOT, { name: "volume/new", content: "x".repeat(300_000) }]);
  const bad: [string, Uint8Array][] = [
    ["a file of another kind", Buffer.from("no archive at all")],
    [
      "an archive with a wrong checksum",
      forge([ROOT, { name: "volume/new", content: "x" }], { sha256: "0".repeat(64) }),
    ],
    ["an archive that is cut off", good.subarray(0, good.length - 40)],
    ["an archive with a changed byte", Buffer.from(good).fill(0x55, good.length >> 1, (good.length >> 1) + 1)],
    [
      "an absolute name at its end",
      forge([ROOT, { name: "volume/new", content: "x".repeat(300_000) }, { name: "/etc/x" }]),
    ],
    ["a climb", forge([ROOT, { name: "volume/new" }, { name: "volume/../../x", content: "evil" }])],
    ["a device", forge([ROOT, { name: "volume/sda", kind: "device" }])],
    ["a file behind a link", forge([ROOT, { name: "volume/l", kind: "symlink", link: "x" }, { name: "volume/l/x" }])],
  ];

  engineTest("with force, over files", async () => {
    await using stand = await Stand.open();
    const name = await stand.shelf.make(SMALL);
    const before = await stand.shelf.look(name);
    for (const [what, archive] of bad) {
      const outcome = await stand.restore(name, archive, FORCED).catch((error: unknown) => Fault.from(error).kind);
      expect([what, outcome]).toEqual([what, "invalid"]);
      // The folder's own time tells of the stage that came and went.
      expect([what, (await stand.shelf.look(name)).slice(1)]).toEqual([what, before.slice(1)]);
      expect([what, await stand.shelf.tools(name)]).toEqual([what, []]);
    }
  });

  engineTest("a volume that was made for it is gone again", async () => {
    await using stand = await Stand.open();
    for (const [what, archive] of bad) {
      const name = stand.shelf.name();
      expect(await rejection(stand.restore(name, archive))).toMatchObject({ kind: "invalid" });
      expect([what, await inspectVolume(engine(), name, soon())]).toEqual([what, undefined]);
    }
  });

  engineTest("a backup that stops coming, or whose reader goes away", async () => {
    await using stand = await Stand.open();
    const name = await stand.shelf.make(SMALL);
    const before = await stand.shelf.look(name);
    const breaking = async function* () {
      yield good.subarray(0, 200);
      throw new Fault("cancelled", "the connection ended before the body did");
    };
    expect(await rejection(stand.restore(name, breaking(), FORCED))).toMatchObject({ kind: "cancelled" });
    for (const wait of [true, false]) {
      const leaving = new AbortController();
      const endless = inHalves(good, async () => {
        // Once in the middle of the way into the volume, once before it has begun.
        if (wait) await until("files on their way", async () => (await stand.shelf.tools(name)).length > 0);
        leaving.abort();
        await new Promise(() => {});
      });
      expect(await rejection(stand.restore(name, endless, FORCED, leaving.signal))).toMatchObject({
        kind: "cancelled",
      });
    }
    expect((await stand.shelf.look(name)).slice(1)).toEqual(before.slice(1));
    expect(await stand.shelf.tools(name)).toEqual([]);
  });

  engineTest("a reader that leaves a backup leaves nothing behind", async () => {
    await using stand = await Stand.open();
    const name = await stand.shelf.make(TREE);
    const archive = await stand.volumes.backup(name, false, never());
    expect((await archive.next()).done).toBeFalse();
    await archive.return(undefined);
    await until("an engine without our containers", async () => (await stand.shelf.tools(name)).length === 0);
  });
});

describe("volumes of others, and volumes in use", () => {
  engineTest("what Linkspan has not made is listed on request, and touched only with force", async () => {
    await using stand = await Stand.open();
    const name = await stand.shelf.make(SMALL, false);
    const listed = async (all: boolean) =>
      (await stand.volumes.list(all, soon())).some((volume) => volume.name === name);
    expect([await listed(false), await listed(true)]).toEqual([false, true]);
    const kind = "forbidden";
    expect(await rejection(stand.volumes.inspect(name, false, soon()))).toMatchObject({ kind });
    expect(await rejection(stand.backup(name))).toMatchObject({ kind });
    expect(await rejection(stand.restore(name, forge(SMALL)))).toMatchObject({ kind });
    expect(await rejection(stand.volumes.remove(name, false, soon()))).toMatchObject({ kind });
    expect(await stand.volumes.inspect(name, true, soon())).toMatchObject({ managed: false });
    await stand.restore(name, await stand.backup(name, true), FORCED);
    await stand.volumes.remove(name, true, soon());
    expect(await rejection(stand.volumes.inspect(name, true, soon()))).toMatchObject({ kind: "not-found" });
  });

  engineTest("a server that may write holds off backup and restore; one that only reads, the restore", async () => {
    await using stand = await Stand.open();
    const name = await stand.shelf.make(SMALL);
    const reader = await stand.running(name, "ro");
    const archive = await stand.backup(name);
    expect(await rejection(stand.restore(name, archive))).toMatchObject({
      kind: "conflict",
      message: expect.stringContaining(reader.spec.name),
    });
    await stand.bench.runtime.stop(reader.instance.id, 1000, soon());
    await stand.bench.runtime.remove(reader.instance.id, soon());
    const writer = await stand.running(name);
    const refusal = { kind: "conflict", message: expect.stringContaining(`the server ${writer.spec.name}`) };
    expect(await rejection(stand.backup(name))).toMatchObject(refusal);
    expect(await rejection(stand.restore(name, archive))).toMatchObject(refusal);
    expect((await stand.backup(name, true)).length).toBeGreaterThan(100);
    await stand.bench.runtime.stop(writer.instance.id, 1000, soon());
    expect(await rejection(stand.volumes.remove(name, true, soon()))).toMatchObject({
      kind: "conflict",
      hint: expect.stringContaining(`linkspan rm ${writer.spec.name}`),
    });
    expect((await stand.backup(name)).length).toBeGreaterThan(100);
  });

  engineTest("a server that starts in the middle makes the backup fail", async () => {
    await using stand = await Stand.open();
    const name = await stand.shelf.make(TREE);
    const archive = await stand.volumes.backup(name, false, never());
    await archive.next();
    await stand.running(name);
    const rest = async () => {
      for await (const chunk of archive) void chunk;
    };
    expect(await rejection(rest())).toMatchObject({
      kind: "conflict",
      message: expect.stringContaining("was started"),
    });
    expect(stand.events.recent(1)[0]).toMatchObject({ kind: "volume.failed" });
  });

  engineTest("during a restore no server starts with the volume, and no second restore begins", async () => {
    await using stand = await Stand.open();
    const name = await stand.shelf.make();
    const body = { image: await scratchImage(engine()), volumes: [`${name}:/data:rw`] };
    const { instance } = await stand.bench.created(body);
    const archive = forge([ROOT, { name: "volume/new", content: "x".repeat(1000) }]);
    const go = Promise.withResolvers<void>();
    // Forced, so that nothing else of ours looks into the volume before.
    const restore = stand.restore(
      name,
      inHalves(archive, () => go.promise),
      FORCED,
    );
    await until("files on their way into the volume", async () => (await stand.shelf.tools(name)).length > 0);
    const conflict = { kind: "conflict", message: expect.stringContaining("restored") };
    expect(await rejection(stand.bench.runtime.start(instance.id, soon()))).toMatchObject(conflict);
    expect(await rejection(stand.restore(name, archive, FORCED))).toMatchObject(conflict);
    go.resolve();
    expect(await restore).toMatchObject({ created: false });
    expect((await stand.shelf.look(name)).length).toBe(2);
    await stand.bench.runtime.start(instance.id, soon());
  });
});
