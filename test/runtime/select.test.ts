import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { selectRuntime } from "../../src/runtime/select.ts";

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

const select = (choice: "auto" | "docker" | "process", dir = dataDir) =>
  selectRuntime(choice, { instance: "selected", dataDir: dir }, Deadline.in(10_000));

test("processes are chosen by name, and say that they isolate nothing", async () => {
  const { runtime, facts } = await select("process");
  expect(runtime.kind).toBe("process");
  expect(facts.warnings.join()).toContain("without isolation");
});

test("without an engine, auto never falls back to processes, but says how to ask for them", async () => {
  const auto = select("auto");
  await expect(auto).rejects.toMatchObject({ kind: "unreachable", hint: expect.stringContaining("--runtime process") });
  await expect(select("docker")).rejects.toMatchObject({
    kind: "unreachable",
    hint: expect.not.stringContaining("--runtime process"),
  });
});

test("a data directory that cannot be written is said so", async () => {
  const file = join(dataDir, "file");
  writeFileSync(file, "");
  await expect(select("process", file)).rejects.toMatchObject({ kind: "forbidden" });
});
