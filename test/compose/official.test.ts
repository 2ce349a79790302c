/** Where the official plugin is installed, both read a file alike. */
import { expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configOf } from "../../src/compose/config.ts";
import { loadProject } from "../../src/compose/load.ts";

function plugin(...args: string[]) {
  return Bun.spawnSync(["docker", "compose", ...args], { stdout: "pipe", stderr: "pipe" });
}

const there = Bun.which("docker") !== null && plugin("version").success;
if (!there)
  process.on("exit", () => process.stderr.write("\n!! 1 test was SKIPPED: docker has no compose plugin here\n"));

const FILE = `
name: agreed
services:
  web:
    image: web:\${TAG:-1}
    command: serve --name 'a b'
    environment: [A=1, B=x=y]
    ports: ["127.0.0.1:8080:80", "53:53/udp"]
    volumes: [data:/data:ro]
    depends_on: { db: { condition: service_healthy } }
    networks: { default: , back: { aliases: [www] } }
    labels: { note: "$$5" }
    restart: on-failure:3
  db:
    image: db
    healthcheck: { test: exit 0, interval: 90s, retries: 3 }
    stop_grace_period: 1m30s
    mem_limit: 64m
    extends: { service: base }
  base:
    image: base
    environment: { FROM: base }
networks: { back: { internal: true } }
volumes: { data: }
`;

/** Without what versions of the plugin write differently: defaults, and what is empty. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value)
    .filter(([name]) => !["mode", "ipam", "bind", "profiles"].includes(name))
    .map(([name, inner]): [string, unknown] => [name, plain(inner)])
    .filter(([, inner]) => inner !== null && JSON.stringify(inner) !== "{}");
  return Object.fromEntries(entries);
}

test.skipIf(!there)("config is what docker compose config says", async () => {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-test-official-"));
  try {
    const path = join(folder, "compose.yaml");
    await writeFile(path, FILE);
    const official = plugin("-f", path, "config", "--format", "json");
    const read = () => Promise.reject(new Error("no other files"));
    const request = { files: [{ text: FILE }], env: {}, profiles: [], allowPrivileged: false, read };
    const loaded = await loadProject(request);
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.findings));
    expect(plain(configOf(loaded.project))).toEqual(plain(JSON.parse(official.stdout.toString())));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
