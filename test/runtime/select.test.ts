import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { openRuntime } from "../../src/runtime/select.ts";
import { rejection } from "../support/rejection.ts";

let dataDir: string;
const saved = process.env.DOCKER_HOST;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "linkspan-test-select-"));
  process.env.DOCKER_HOST = `unix://${dataDir}/no.sock`;
});
afterEach(() => {
  if (saved === undefined) delete process.env.DOCKER_HOST;
  else process.env.DOCKER_HOST = saved;
  rmSync(dataDir, { recursive: true });
});

const open = (choice: "auto" | "docker" | "process", dir = dataDir) =>
  openRuntime(choice, { instance: "selected", dataDir: dir });

test("processes are chosen by name, and say that they isolate nothing", async () => {
  await using runtime = await open("process");
  const facts = await runtime.probe(Deadline.in(10_000));
  expect(facts.warnings.join()).toContain("without isolation");
  expect(facts.unenforced).toContain("limits.memory");
});

test("auto never falls back to processes", async () => {
  for (const choice of ["auto", "docker"] as const) {
    await using runtime = await open(choice);
    expect(runtime.kind).toBe("docker");
    expect(await rejection(runtime.probe(Deadline.in(10_000)))).toMatchObject({ kind: "unreachable" });
  }
});

test("a data directory that cannot be written is said so", async () => {
  const file = join(dataDir, "file");
  writeFileSync(file, "");
  await using runtime = await open("process", file);
  expect(await rejection(runtime.probe(Deadline.in(10_000)))).toMatchObject({ kind: "forbidden" });
});
