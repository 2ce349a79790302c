/** Servers that are particular about how they are spoken to first; what is remembered of them, and when it is not. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { Verdicts } from "../../../src/gateway/servers/verdicts.ts";
import { tempDir } from "../../support/cli.ts";
import { rejection } from "../../support/rejection.ts";
import { fixture, Person, Stage, textOf } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("openings");
});
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

const openings = (processes: string[][]) =>
  processes.map((lines) => lines.map((line) => JSON.parse(line).method).filter((method) => method !== "tools/call"));
/** So that a test need not wait for as long as people would. */
const QUICK = { silentMs: 300 };
const LEGACY = ["initialize", "notifications/initialized"];

test("a server that ends at `server/discover` is served by another process", async () => {
  const { upstream, processes } = await stage.start("exits", fixture("odd-openings.ts", "exits-on-discover"));
  const person = new Person(upstream, "modern");
  expect(textOf(await person.call("era"))).toStartWith("legacy");
  expect(openings(processes)).toEqual([["server/discover"], LEGACY]);
  // It is remembered: others are not made to wait, and the server is not killed again.
  expect((await new Person(upstream, "modern").describe()).era).toBe("legacy");
  expect(processes).toHaveLength(2);
});

test("a server that ignores what comes before `initialize` is not taken for a slow one", async () => {
  const { upstream, processes } = await stage.start(
    "ignores",
    fixture("odd-openings.ts", "silent-before-initialize"),
    QUICK,
  );
  expect(textOf(await new Person(upstream, "modern").call("era"))).toStartWith("legacy");
  expect(openings(processes)).toEqual([["server/discover", "initialize"], LEGACY]);
});

test("a slow server is not taken for one that ignores, and the process that was asked twice is not used", async () => {
  const { upstream, processes } = await stage.start("slow", fixture("odd-openings.ts", "slow"), QUICK);
  expect(textOf(await new Person(upstream, "modern").call("era"))).toStartWith("modern");
  expect(openings(processes)).toEqual([["server/discover", "initialize"], ["server/discover"]]);
});

test("a server whose first message decides is never asked in two eras", async () => {
  const { upstream, processes } = await stage.start("pins", fixture("odd-openings.ts", "pins-on-discover"));
  const [young, old] = [new Person(upstream, "modern"), new Person(upstream, "legacy")];
  expect(textOf(await young.call("era"))).toStartWith("modern");
  expect(textOf(await old.call("era"))).toStartWith("legacy");
  expect(openings(processes)).toEqual([["server/discover"], LEGACY]);
  await old.attachment.close();
});

test("clients that come together find out together", async () => {
  const subject = stage.subject("exits");
  const people = ["a", "b", "c", "d"].map((principal) => new Person(subject.upstream, "modern", { principal }));
  await Promise.all(people.map((person) => person.call("era")));
  expect(openings(subject.processes).filter(([first]) => first === "server/discover")).toHaveLength(1);
  expect(subject.processes).toHaveLength(5);
});

test("a server of another era under the same name is noticed, and nothing is lost", async () => {
  const file = join(tmpdir(), `linkspan-era-${process.pid}`);
  await Bun.write(file, "modern");
  const verdicts = new Verdicts();
  const { upstream, processes } = await stage.start("changes", fixture("odd-openings.ts", "file", file), { verdicts });
  const old = new Person(upstream, "legacy");
  expect(textOf(await old.call("era"))).toStartWith("modern");
  await Bun.write(file, "legacy");
  await stage.api.client.restart("changes");
  const next = stage.subject("changes", { verdicts });
  expect(textOf(await new Person(next.upstream, "modern").call("era"))).toStartWith("legacy");
  // As it was known, then as it is found out: its own first.
  expect(openings(next.processes)).toEqual([["server/discover"], ["server/discover"], LEGACY]);
  expect(processes).toHaveLength(2);
  await rm(file);
});

test("what was found out outlives the manager; too old, or damaged, it is found out anew", async () => {
  await using folder = await tempDir("verdicts");
  const file = join(folder.path, "eras.json");
  const first = async () => {
    const options = { verdicts: new Verdicts(file), identity: () => "exits" };
    const { upstream, processes } = stage.subject("exits", options);
    const person = new Person(upstream, "modern");
    // It is a process of now that says what it is.
    expect((await person.describe()).serverInfo).toMatchObject({ name: expect.any(String) });
    expect(textOf(await person.call("era"))).toStartWith("legacy");
    return openings(processes);
  };
  expect(await first()).toEqual([["server/discover"], LEGACY]);
  expect(await first()).toEqual([LEGACY]);
  const kept = JSON.parse(await readFile(file, "utf8"));
  expect(kept.verdicts).toMatchObject([{ identity: "exits", legacy: "yes", modern: "no" }]);
  kept.verdicts[0].at -= 25 * 3_600_000;
  await writeFile(file, JSON.stringify(kept));
  expect(await first()).toEqual([["server/discover"], LEGACY]);
  await writeFile(file, '{"version":1,"verdicts":');
  expect(await first()).toEqual([["server/discover"], LEGACY]);
});

test("a server that takes neither era is said to, once for all who ask within a moment", async () => {
  const { upstream, processes } = await stage.start("neither", fixture("odd-handshake.ts", "neither"));
  const fault = await rejection(new Person(upstream, "modern").describe());
  expect(fault).toMatchObject({ kind: "server-failed" });
  expect(String(fault)).toContain("modern era");
  expect(String(fault)).toContain("legacy era");
  expect(await rejection(new Person(upstream, "legacy").call("era"))).toBe(fault);
  expect(processes).toHaveLength(2);
});

test("a server that exits at once is reported with its exit code and last words", async () => {
  const { upstream } = await stage.start("exit", fixture("odd-handshake.ts", "exit"));
  const fault = await rejection(new Person(upstream, "legacy").call("x"));
  expect(fault).toBeInstanceOf(Fault);
  expect(JSON.stringify((fault as Fault).data)).toContain("odd-handshake exit");
  expect(JSON.stringify((fault as Fault).data)).toContain("9");
});

test("a server that never answers holds up who asks it, for as long as they like, and nobody else", async () => {
  const mute = await stage.start("mute", fixture("odd-openings.ts", "mute"));
  const person = new Person(mute.upstream, "legacy");
  const abort = new AbortController();
  const waiting = rejection(person.call("era", {}, { signal: abort.signal }));
  expect(await rejection(person.attachment.describe(Deadline.in(300)))).toMatchObject({ kind: "timeout" });
  expect(textOf(await new Person(stage.subject("pins").upstream, "legacy").call("era"))).toStartWith("legacy");
  abort.abort();
  expect(await waiting).toMatchObject({ kind: "cancelled" });
  await person.attachment.close();
});
