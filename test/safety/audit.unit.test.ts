import { expect, test } from "bun:test";
import { readFile, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { AuditLog } from "../../src/safety/audit.ts";
import { tempDir } from "../support/cli.ts";
import { rejection } from "../support/rejection.ts";

const entry = (tool: string) => ({ who: "somebody", tool, args: {}, decision: "allowed" as const, ms: 1 });

test("lines that come together are all written, in their order, before anybody is told so", async () => {
  await using folder = await tempDir("audit");
  const file = join(folder.path, "logs", "audit.jsonl");
  const log = new AuditLog(file);
  const names = Array.from({ length: 200 }, (_, at) => `tool-${at}`);
  const written = names.map(async (name) => {
    await log.write(entry(name));
    expect(await readFile(file, "utf8")).toContain(`"${name}"`);
  });
  await Promise.all(written);
  const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line).tool)).toEqual(names);
});

test("whoever waits hears that nothing could be written, and the next line is tried again", async () => {
  await using folder = await tempDir("audit");
  const file = join(folder.path, "audit.jsonl");
  await symlink("/dev/null", file);
  const log = new AuditLog(file);
  const both = [rejection(log.write(entry("a"))), rejection(log.write(entry("b")))];
  expect(await Promise.all(both)).toMatchObject([{ kind: "forbidden" }, { kind: "forbidden" }]);
  await rm(file);
  await log.write(entry("c"));
  expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ tool: "c" });
});
