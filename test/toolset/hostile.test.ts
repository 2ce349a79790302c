/**
 * What reaches the engine when somebody hostile holds the tools: the built binary in front of an engine that says yes to
 * everything and writes down what it was asked; the judge knows the engine's API and nothing of the product.
 */
import { expect, test } from "bun:test";
import { mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DOCKER_TOOLS } from "../../src/toolset/catalogue.ts";
import { actionOf, HELP } from "../../src/toolset/compact.ts";
import type { Tool } from "../../src/toolset/tool.ts";
import { engine, engineTest } from "../support/engine.ts";
import { type Ground, unlawful } from "../support/engine-oracle.ts";
import { ENGINE_RULES, type EngineLevel, LEVELS, rulesText } from "../support/engine-rules.ts";
import { type FakeEngine, fakeEngine } from "../support/fake-engine.ts";
import { composeCalls } from "../support/hostile-compose.ts";
import { hostileCalls, type HostileCall, NAUGHTY } from "../support/hostile-specs.ts";
import type { SentRequest } from "../support/http-requests.ts";
import { startRecordingProxy } from "../support/recording-proxy.ts";
import { toolsetClient, type ToolsetClient } from "../support/toolset-client.ts";

const AT_ONCE = 16;
const CANARY = "canary-of-the-machine";
const SETTINGS: Record<EngineLevel, Record<string, string>> = {
  safe: { SAFETY_ALLOW_MODERATE_OPERATIONS: "false" },
  moderate: {},
  destructive: { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true", SAFETY_REQUIRE_CONFIRMATION_FOR_DESTRUCTIVE: "false" },
};

/** A folder that is allowed, with everything in it that leads out. */
async function traps(): Promise<{ root: string; folder: string; dataDir: string }> {
  const root = await realpath(await mkdtemp(join(tmpdir(), "linkspan-test-hostile-")));
  const folder = join(root, "allowed");
  for (const name of ["context/sub", "ignore"]) await mkdir(join(folder, name), { recursive: true });
  await mkdir(join(root, "allowed-secret"));
  await mkdir(join(root, "data"), { mode: 0o700 });
  await writeFile(join(root, "allowed-secret", "Dockerfile"), `FROM web\n# ${CANARY}`);
  await writeFile(join(root, "data", "undo.key"), CANARY.padEnd(32, "!").slice(0, 32));
  await writeFile(join(folder, "context", "Dockerfile"), "FROM web");
  await writeFile(join(folder, "context", ".dockerignore"), "!link/**\n!../**\n/../allowed-secret\n*\u0000\n!*");
  await symlink("../../allowed-secret", join(folder, "context", "folder"));
  await symlink("../../../allowed-secret/Dockerfile", join(folder, "context", "sub", "file"));
  await writeFile(join(folder, "ignore", "Dockerfile"), "FROM web");
  await symlink("/dev/zero", join(folder, "ignore", ".dockerignore"));
  await symlink("/etc", join(folder, "link"));
  await symlink("loop", join(folder, "loop"));
  await symlink("link", join(folder, "chain"));
  return { root, folder, dataDir: join(root, "data") };
}

/** Each tool as its example shows it, with fields that it has not, and with naughty values in each field that it has. */
function everyTool({ name, example, input }: Tool, offset: number): HostileCall[] {
  const entries = "entries" in input && typeof input.entries === "object" ? Object.keys(input.entries ?? {}) : [];
  const fields = [...new Set([...entries, ...Object.keys(example)])];
  const naughty = fields.flatMap((field, index) =>
    Array.from({ length: 4 }, (_, step): HostileCall => {
      const value = NAUGHTY[(offset * 7 + index * 4 + step * 11) % NAUGHTY.length];
      return [name, { ...example, [field]: value }];
    }),
  );
  return [[name, example], [name, {}], [name, { ...example, privileged: true, HostConfig: {} }], ...naughty];
}

/** The same call of the compact form, also where the level does not list the action. */
function compactCall([name, args]: HostileCall, index: number): HostileCall {
  const tool = DOCKER_TOOLS.find((one) => one.name === name);
  // Half of them by the tool's full name, which is taken for its action, too.
  const action = tool && index % 2 === 0 ? actionOf(tool) : name;
  return [`docker_${tool?.category}`, { action, arguments: args }];
}

/** What only the compact form can be asked. */
const CROOKED: readonly HostileCall[] = [
  ["docker_images", { action: "remove_container", arguments: { container_id: "web", force: true } }],
  ["docker_system", { action: "docker_prune_volumes", arguments: {} }],
  ["docker_undo", { action: "undo", arguments: { id: "../undo" }, name: "docker_remove_volume" }],
  ["docker_containers", { action: "run_container", image: "web", privileged: true }],
  ["docker_containers", { action: ["run_container"], arguments: { image: "web" } }],
  ["docker_containers", { action: "run_container", arguments: [{ image: "web", privileged: true }] }],
  ["docker_containers", { action: "__proto__", arguments: {} }],
  ["docker_containers/../docker_volumes", { action: "remove_volume", arguments: { volume_name: "data" } }],
  ["docker_remove_container", { container_id: "web", force: true }],
  [HELP, { actions: ["remove_container"], arguments: { container_id: "web" } }],
  [HELP, { actions: NAUGHTY.slice(0, 10) }],
];

async function callAll(session: ToolsetClient, calls: readonly HostileCall[]): Promise<string[]> {
  const answers: string[] = [];
  const waiting = [...calls];
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [name, args] = next;
      const { text, structured } = await session.call(name, args);
      answers.push(`${name} ${text} ${JSON.stringify(structured)}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return answers;
}

async function judged(requests: readonly SentRequest[], ground: Ground): Promise<string[]> {
  const verdicts = await Promise.all(
    requests.map(async (request) => {
      const reason = await unlawful(request, ground);
      return (
        reason && `${request.method} ${request.target}: ${reason}: ${request.body.toString("latin1").slice(0, 300)}`
      );
    }),
  );
  return [...new Set(verdicts.filter((verdict) => verdict !== undefined))];
}

const FORMS = LEVELS.flatMap((level) => [[level, "full"] as const, [level, "compact"] as const]);

test.each(FORMS)(
  "level %s, %s form: nothing unlawful arrives, whatever is called with whatever",
  async (level, form) => {
    const compact = form === "compact";
    const { root, folder, dataDir } = await traps();
    try {
      await using fake: FakeEngine = await fakeEngine();
      const auth = Buffer.from("me:hunter2").toString("base64");
      await writeFile(join(root, "config.json"), JSON.stringify({ auths: { "registry.example.com": { auth } } }));
      const env = {
        ...SETTINGS[level],
        DOCKER_HOST: `unix://${fake.path}`,
        DOCKER_CONFIG: root,
        HOME: join(root, "home"),
        SAFETY_VOLUME_MOUNT_ALLOWLIST: folder,
        SAFETY_MAX_CONCURRENT_OPERATIONS: String(AT_ONCE),
      };
      await using session = await toolsetClient({ env, dataDir, compact });
      const all = [
        ...DOCKER_TOOLS.flatMap((tool, index) => everyTool(tool, index + LEVELS.indexOf(level))),
        ...hostileCalls(folder, dataDir),
        ...composeCalls(folder),
      ];
      const calls = compact ? [...all.map(compactCall), ...CROOKED] : all;
      const answers = await callAll({ ...session, call: session.raw }, calls);
      expect(answers).toHaveLength(calls.length);

      const ground = { level, allowed: [folder], canaries: [CANARY], registries: ["registry.example.com"] };
      expect(await judged(fake.requests, ground)).toEqual([]);
      // What is not listed has not worked either, and no answer has told a secret.
      const levels = new Map(
        DOCKER_TOOLS.map((tool) => [compact ? actionOf(tool) : tool.name, LEVELS.indexOf(tool.level)]),
      );
      const listed = await session.names();
      expect(listed.every((name) => (levels.get(name) ?? 9) <= LEVELS.indexOf(level))).toBe(true);
      expect(answers.filter((answer) => answer.includes("hunter2") || answer.includes(auth))).toEqual([]);
      const audit = await readFile(join(dataDir, "logs", "audit.jsonl"), "utf8");
      expect(audit.includes("hunter2") || audit.includes(auth)).toBe(false);
      // The judge had something to judge.
      expect(fake.requests.some(({ target }) => target.endsWith("/services/create?"))).toBe(level !== "safe");
      expect(fake.requests.some(({ target }) => target.includes("name=good"))).toBe(level !== "safe");
      const creations = fake.requests.filter(({ target }) => target.includes("/containers/create"));
      expect(creations.length > 3).toBe(level !== "safe");
      expect(fake.requests.some(({ method }) => method === "DELETE")).toBe(level === "destructive");
      expect(fake.requests.some(({ headers }) => headers["x-registry-auth"])).toBe(level !== "safe");
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  },
  60_000,
);

engineTest("at level safe a real engine is only asked, by every tool", async () => {
  await using proxy = await startRecordingProxy(engine());
  const env = { ...SETTINGS.safe, DOCKER_HOST: `unix://${proxy.path}` };
  await using session = await toolsetClient({ env });
  await callAll(
    session,
    DOCKER_TOOLS.filter(({ openWorld }) => openWorld !== true).map(({ name, example }) => [name, example]),
  );
  const requests = proxy.requests();
  expect(requests.length).toBeGreaterThan(10);
  expect(requests.filter(({ method }) => method !== "GET" && method !== "HEAD")).toEqual([]);
  const ground: Ground = { level: "safe", allowed: [], canaries: [], registries: [] };
  expect(await judged(requests, ground)).toEqual([]);
});

const post = (target: string, body: unknown): SentRequest => ({
  method: "POST",
  target,
  headers: {},
  body: Buffer.from(JSON.stringify(body)),
});
const create = (HostConfig: object, more: object = {}) =>
  post("/v1.41/containers/create?name=x", { Image: "web", HostConfig, ...more });

test.each([
  create({ Privileged: true }),
  create({ CapAdd: ["ALL"] }),
  create({ Binds: ["/:/x"] }),
  create({ NetworkMode: "host" }),
  create({ NetworkMode: "container:x" }),
  create({
    Mounts: [{ Type: "bind", Source: "/etc", Target: "/x", ReadOnly: true, BindOptions: { Propagation: "rprivate" } }],
  }),
  create({ Mounts: [{ Type: "volume", Source: "trap-etc", Target: "/x", ReadOnly: true }] }),
  create({
    Mounts: [{ Type: "volume", Source: "v", Target: "/x", ReadOnly: true, VolumeOptions: { DriverConfig: {} } }],
  }),
  create({}, { Labels: { "linkspan.nonce": "x" } }),
  create({}, { Image: "a/../b" }),
  post("/v1.41/containers/x/exec", { Cmd: ["id"], Privileged: true }),
  post("/v1.41/volumes/create", { Driver: "local", DriverOpts: { type: "none", o: "bind", device: "/" } }),
  post("/v1.41/networks/create", { Name: "n", Driver: "macvlan" }),
  post("/v1.41/networks/x/connect", { Container: "x", EndpointConfig: { DriverOpts: {} } }),
  post("/v1.41/containers/x/update", { Devices: [] }),
  post("/v1.41/containers/prune", {}),
  post("/v1.41/images/create?fromSrc=http://x", {}),
  post("/v1.41/build?networkmode=host", {}),
  post("/v1.41/plugins/pull", {}),
  { ...post("/v1.41/images/x/../../containers/y/json", {}), method: "GET" },
  { ...post("/v1.41/images/create?fromImage=evil/x", {}), headers: { "x-registry-auth": btoa('{"username":"me"}') } },
])("the judge condemns %j", async (request) => {
  const ground: Ground = { level: "destructive", allowed: [], canaries: [], registries: ["registry.example.com"] };
  expect(await unlawful(request, ground)).toBeString();
});

test("the list for a socket's proxy: reading below changing below destroying, and as it is in docs/safety.md", async () => {
  const of = (level: EngineLevel) => ENGINE_RULES.filter((rule) => rule.level === level).map(({ method }) => method);
  expect([...new Set(of("safe"))]).toEqual(["GET", "HEAD"]);
  expect(of("moderate")).not.toContain("DELETE");
  const destroying = /prune|kill|leave/;
  expect(ENGINE_RULES.filter(({ level, pattern }) => level !== "destructive" && destroying.test(pattern))).toEqual([]);
  expect(await readFile("docs/safety.md", "utf8")).toContain(`\n\`\`\`text\n${rulesText()}\n\`\`\`\n`);
});
