import { expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { linkspan, tempDir } from "../support/cli.ts";

interface Finding {
  check: string;
  status: string;
  detail: string;
  fix?: string;
}

async function findings(
  env: Record<string, string>,
): Promise<{ code: number; all: Finding[]; of(check: string): Finding }> {
  const ran = await linkspan(["doctor", "--json"], { env });
  expect(ran.err).toBe("");
  const all: Finding[] = JSON.parse(ran.out);
  const of = (check: string) => {
    const found = all.find((finding) => finding.check === check);
    if (!found) throw new Error(`no finding for ${check}`);
    return found;
  };
  return { code: ran.code, all, of };
}

test("each check has its finding, and to look installs nothing", async () => {
  await using dir = await tempDir("doctor");
  const env = { LINKSPAN_DATA_DIR: join(dir.path, "data"), HOME: dir.path, XDG_CONFIG_HOME: dir.path };
  const { all, of } = await findings(env);
  const checks = [...new Set(all.map((finding) => finding.check))];
  expect(checks).toEqual(["linkspan", "engine", "data", "disk", "manager", "port 8080", "port 8081", "configuration"]);
  expect(of("data")).toMatchObject({ status: "ok", detail: env.LINKSPAN_DATA_DIR });
  expect(of("manager").status).toBe("ok");
  expect(existsSync(env.LINKSPAN_DATA_DIR)).toBe(false);
  for (const finding of all) if (finding.status === "failed") expect(finding.fix).toBeTruthy();
});

test("no engine: exit code 4 and what to do, unless servers are to run as processes", async () => {
  await using dir = await tempDir("doctor");
  const missing = join(dir.path, "docker.sock");
  const env = { LINKSPAN_DATA_DIR: join(dir.path, "data"), HOME: dir.path, XDG_CONFIG_HOME: dir.path };
  const { code, of } = await findings({ ...env, DOCKER_HOST: `unix://${missing}` });
  expect(code).toBe(4);
  expect(of("engine")).toMatchObject({ status: "failed", detail: `no container engine answers at ${missing}` });
  expect(of("engine").fix).toContain("start Docker");
  expect(of("engine").fix).toContain("LINKSPAN_RUNTIME=process");
  const without = await findings({ ...env, DOCKER_HOST: `unix://${missing}`, LINKSPAN_RUNTIME: "process" });
  expect(without.of("engine")).toMatchObject({ status: "ok" });
});

test("a data directory open to others, one that cannot be written, a faulty configuration: exit code 4, a fix each", async () => {
  await using dir = await tempDir("doctor");
  const open = join(dir.path, "open");
  mkdirSync(open);
  chmodSync(open, 0o755);
  writeFileSync(join(dir.path, "file"), "");
  mkdirSync(join(dir.path, "linkspan"));
  writeFileSync(join(dir.path, "linkspan", "linkspan.yaml"), "servers:\n  x: {}\n");
  const base = { HOME: dir.path, XDG_CONFIG_HOME: dir.path };
  const first = await findings({ ...base, LINKSPAN_DATA_DIR: open });
  expect(first.code).toBe(4);
  expect(first.of("data")).toMatchObject({ status: "failed", fix: `chmod 700 ${open}` });
  const file = join(dir.path, "linkspan", "linkspan.yaml");
  expect(first.of("configuration")).toMatchObject({ status: "failed", fix: `linkspan config validate ${file}` });
  const second = await findings({ ...base, LINKSPAN_DATA_DIR: join(dir.path, "file", "data") });
  expect(second.of("data")).toMatchObject({ status: "failed" });
  expect(second.of("data").fix).toContain("LINKSPAN_DATA_DIR");
  const words = await linkspan(["doctor"], { env: { ...base, LINKSPAN_DATA_DIR: open } });
  expect(words.code).toBe(4);
  expect(words.out).toContain(`fix: chmod 700 ${open}`);
  expect(words.err).toMatch(/^[23] broken, /);
});
