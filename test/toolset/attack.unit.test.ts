/** Confirmation, recovery bundles, audit log and redaction, by somebody who wants to get around them. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { CONFIRM_MS, Confirmations } from "../../src/toolset/confirm.ts";
import { output } from "../../src/toolset/output.ts";
import { Recovery } from "../../src/toolset/recovery.ts";
import { Redaction } from "../../src/safety/redact.ts";
import { readSettings } from "../../src/toolset/settings.ts";
import { tool } from "../../src/toolset/tool.ts";
import { Toolset } from "../../src/toolset/toolset.ts";
import { rejection } from "../support/rejection.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "linkspan-test-attack-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const plan = { summary: "Remove a.", objects: [{ kind: "volume" as const, id: "1", name: "a" }] };
const wish = { who: " client 1", tool: "docker_remove_volume", args: { volume_name: "a", force: false }, plan };

test("a token is good once, for its caller, tool, arguments and plan, until its time is over", () => {
  let now = 0;
  const confirmations = new Confirmations(() => now);
  const others = [
    { ...wish, who: "session2 client 1" },
    { ...wish, who: " client 2" },
    { ...wish, tool: "docker_remove_network" },
    { ...wish, args: { volume_name: "a", force: true } },
    { ...wish, args: { volume_name: ["a"], force: false } },
    { ...wish, plan: { ...plan, objects: [{ kind: "volume" as const, id: "2", name: "a" }] } },
    { ...wish, plan: { ...plan, objects: [...plan.objects, ...plan.objects] } },
  ];
  for (const other of others) {
    const token = confirmations.mint(wish);
    expect(confirmations.redeem(token, other)).toBe(false);
    // Whoever has tried it has used it up.
    expect(confirmations.redeem(token, wish)).toBe(false);
  }
  const good = confirmations.mint(wish);
  // The order of arguments is none of their meaning.
  expect(confirmations.redeem(good, { ...wish, args: { force: false, volume_name: "a" } })).toBe(true);
  expect(confirmations.redeem(good, wish)).toBe(false);
  const late = confirmations.mint(wish);
  now += CONFIRM_MS;
  expect(confirmations.redeem(late, wish)).toBe(false);
  const declined = confirmations.mint(wish);
  confirmations.forget(declined);
  expect(confirmations.redeem(declined, wish)).toBe(false);
  for (const junk of ["", "x", "__proto__", "constructor", good.slice(1)])
    expect(confirmations.redeem(junk, wish)).toBe(false);
});

async function bundle(): Promise<{ recovery: Recovery; root: string; id: string }> {
  const root = join(await mkdtemp(join(folder, "undo-")), "undo");
  const recovery = new Recovery(root);
  const draft = await recovery.begin("docker_remove_container");
  await writeFile(join(draft.folder, "1.tar.gz"), "files");
  await draft.seal("Remove a.", [{ kind: "container", name: "a", config: { HostConfig: { Privileged: false } } }]);
  return { recovery, root, id: draft.id };
}

test("a bundle that somebody has edited, copied or made is not acted on", async () => {
  const { recovery, root, id } = await bundle();
  expect(await recovery.open(id)).toMatchObject({ id, steps: [{ kind: "container" }] });
  expect((await stat(`${root}.key`)).mode & 0o777).toBe(0o600);
  const file = join(root, id, "bundle.json");
  const text = await readFile(file, "utf8");

  const edits = [
    text.replace('Privileged\\":false', 'Privileged\\":true'),
    JSON.stringify({ ...JSON.parse(text), seal: "" }),
    JSON.stringify({ bundle: JSON.parse(text).bundle }),
    JSON.parse(text).bundle,
    "{}",
    "",
  ];
  for (const edited of edits) {
    expect(edited).not.toBe(text);
    await writeFile(file, edited);
    expect(await rejection(recovery.open(id))).toMatchObject({ kind: "invalid" });
    expect(await recovery.list()).toEqual([]);
  }
  await writeFile(file, text);
  expect(await recovery.list()).toHaveLength(1);

  // Another's archive, or another's place.
  await writeFile(join(root, id, "1.tar.gz"), "other files");
  expect(await rejection(recovery.open(id))).toMatchObject({ kind: "invalid" });
  const copy = id.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
  await cp(join(root, id), join(root, copy), { recursive: true });
  expect(await rejection(recovery.open(copy))).toMatchObject({ kind: "invalid" });
  const strangers = await bundle();
  await cp(join(strangers.root, strangers.id), join(root, strangers.id), { recursive: true });
  expect(await rejection(recovery.open(strangers.id))).toMatchObject({ kind: "invalid" });
});

test.each(["..", "../undo", "undo-1/../../x", "", ".", "__proto__", "undo-0000000000000-zzzzzzzz", "/etc", "a\0b"])(
  "%p is no bundle",
  async (id) => {
    const { recovery, root } = await bundle();
    expect(await rejection(recovery.open(id))).toMatchObject({ kind: "not-found" });
    await recovery.remove(id);
    expect(await readdir(root)).toHaveLength(1);
  },
);

const done: string[] = [];
const facts = {
  category: "system",
  title: "t",
  description: "d",
  time: "quick",
  input: v.strictObject({ name: v.string() }),
  output: output({ log: v.array(v.string()) }),
  example: { name: "a" },
  text: ({ log }: { log: string[] }) => log.join("\n"),
} as const;
const handle = async ({ name }: { name: string }) => {
  done.push(name);
  return { log: [`PASSWORD=hunter2 ${name}`] };
};
const look = tool({ ...facts, name: "docker_look", level: "safe", handle });
const change = tool({ ...facts, name: "docker_change", level: "moderate", handle });
const destroy = tool({
  ...facts,
  name: "docker_destroy",
  level: "destructive",
  plan: async () => plan,
  handle,
});

function toolset(dataDir: string): Toolset {
  const env = { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true", SAFETY_REQUIRE_CONFIRMATION_FOR_DESTRUCTIVE: "false" };
  return new Toolset([look, change, destroy], { ...readSettings(env), dataDir }, {});
}

const caller = { who: `${"x".repeat(1_000_000)}\n{"forged":true}`, signal: new AbortController().signal, report() {} };

test("what cannot be written down is not done; reading goes on", async () => {
  const breaks = [
    // A full disk, a folder that is no folder, a log that is a window to nowhere.
    (dir: string) => mkdir(join(dir, "logs", "audit.jsonl"), { recursive: true }),
    (dir: string) => writeFile(join(dir, "logs"), ""),
    async (dir: string) => {
      await mkdir(join(dir, "logs"));
      await symlink("/dev/null", join(dir, "logs", "audit.jsonl"));
    },
  ];
  for (const damage of breaks) {
    const dir = await mkdtemp(join(folder, "audit-"));
    await damage(dir);
    const set = toolset(dir);
    done.length = 0;
    for (const name of ["docker_change", "docker_destroy"])
      expect(await rejection(set.call(name, { name: "a" }, caller))).toMatchObject({ kind: "exhausted" });
    await set.call("docker_look", { name: "b" }, caller);
    expect(done).toEqual(["b"]);
  }
});

test("a change is written down before and after; nobody fills the log, forges a line or leaves a secret in it", async () => {
  const dir = await mkdtemp(join(folder, "audit-"));
  const set = toolset(dir);
  await set.call("docker_change", { name: "https://me:hunter2@example.com" }, caller);
  await set.call("x".repeat(1_000_000), { ["k".repeat(100_000)]: "hunter2" }, caller).catch(() => {});
  const text = await readFile(join(dir, "logs", "audit.jsonl"), "utf8");
  const lines = text.trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line).decision)).toEqual(["begun", "allowed", "failed"]);
  expect(text.length).toBeLessThan(2_000);
  expect(text).not.toContain("hunter2");
});

test("answers, faults and progress hide what reads like a credential", async () => {
  const set = toolset(await mkdtemp(join(folder, "redact-")));
  const answer = await set.call("docker_look", { name: "a" }, caller);
  expect(JSON.stringify(answer)).not.toContain("hunter2");
  expect(answer).toMatchObject({ outcome: { text: "PASSWORD=*** a", structured: { log: ["PASSWORD=*** a"] } } });
});

const SECRETS = [
  "DB_PASSWORD=hunter2hunter2",
  "api-key: hunter2hunter2",
  '{"splunk-token":"hunter2hunter2"}',
  "addr=10.0.0.1,username=me,password=hunter2hunter2,rw",
  "https://me:hunter2hunter2@registry.example.com/v2/",
  "Authorization: Bearer hunter2hunter2",
  "ghp_hunter2hunter2hunter2hunter2hunter2",
  "SWMTKN-1-hunter2hunter2-hunter2",
  "eyJhunter2hunter2.eyJhunter2hunter2.hunter2",
  "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
  "-----BEGIN PRIVATE KEY-----\nhunter2 cut off",
  "internal hunter2",
];
test.each(SECRETS)("%p is hidden", (text) => {
  const redaction = new Redaction([/internal \w+/g]);
  expect(redaction.text(text)).not.toContain("hunter2");
  const { structured } = redaction.outcome({ structured: { deep: [{ list: [text] }] }, text });
  expect(JSON.stringify(structured)).not.toContain("hunter2");
});

test("values under a secret's name are hidden, other words stay; no input makes it slow", () => {
  const redaction = new Redaction([]);
  const structured = { LogConfig: { Config: { "splunk-token": "hunter2" } }, DB_PASSWORD: "hunter2", secret: "" };
  const text = "The token is written down; sha256:0123456789abcdef is an image. PATH=/bin key=value";
  const shown = redaction.outcome({ structured, text });
  expect(JSON.stringify(shown)).not.toContain("hunter2");
  expect(shown.text).toBe(text);
  for (const piece of ["=", "a:", "token", "-----BEGIN PRIVATE KEY-----", "https://", "eyJaaaaaaaa."]) {
    const from = performance.now();
    redaction.text(piece.repeat(Math.ceil((1024 * 1024) / piece.length)));
    expect(performance.now() - from).toBeLessThan(5_000);
  }
});

test("patterns are regular expressions that fit something", () => {
  const set = (SAFETY_LOG_REDACT_PATTERNS: string) => readSettings({ SAFETY_LOG_REDACT_PATTERNS }).redactPatterns;
  expect(set('["hunter\\\\d", "x{2,3}"]').map(({ source }) => source)).toEqual(["hunter\\d", "x{2,3}"]);
  expect(() => set("(")).toThrow("SAFETY_LOG_REDACT_PATTERNS");
  expect(() => set("x*")).toThrow("empty text");
});
