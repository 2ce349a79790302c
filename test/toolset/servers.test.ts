/** Tools about servers: the built binary with a client, a manager that it starts itself, servers as processes and in containers. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { SERVER_TOOLS } from "../../src/toolset/servers/tools.ts";
import { endAll, endManager, fresh } from "../support/created.ts";
import { engineTest } from "../support/engine.ts";
import { hostileServers } from "../support/hostile-specs.ts";
import { type ToolsetClient, toolsetClient } from "../support/toolset-client.ts";
import { until } from "../support/until.ts";

const CASE_MS = 120_000;
const ALL = {
  LINKSPAN_RUNTIME: "process",
  SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true",
  SAFETY_ALLOW_PRIVILEGED_CONTAINERS: "true",
};
const FIXTURE = {
  image: `exec:${process.execPath}`,
  args: [join(import.meta.dir, "../fixtures/tools-legacy.ts")],
  environment: { GREETING: "hello-from-the-environment" },
  secrets: { API_KEY: "hunter2-hunter2" },
};
const SECRETS = /hello-from-the-environment|hunter2/;

let dataDir = "";
let session: ToolsetClient;
beforeAll(async () => {
  dataDir = await fresh();
  session = await toolsetClient({ toolset: "servers", dataDir, env: ALL });
}, CASE_MS);
afterAll(async () => {
  await session.client.close();
  await endAll();
}, 60_000);

const open = (env: Record<string, string>, folder = dataDir) =>
  toolsetClient({ toolset: "servers", dataDir: folder, env: { LINKSPAN_RUNTIME: "process", ...env } });
/** What a call has done; a failure is shown in full. */
async function done(name: string, args: Record<string, unknown> = {}, by = session) {
  const answer = await by.call(name, args);
  expect([name, answer.isError, answer.text]).toEqual([name, undefined, answer.text]);
  expect(JSON.stringify(answer)).not.toMatch(SECRETS);
  return answer;
}
async function confirmed(name: string, args: Record<string, unknown>, by = session) {
  const asked = await by.call(name, args);
  expect(asked).toMatchObject({ isError: true, structured: { kind: "confirmation-required" } });
  const { confirmation_token } = asked.structured;
  return { asked, answer: await done(name, { ...args, confirmation_token }, by) };
}

test(
  "a server's whole life",
  async () => {
    const made = await done("run_server", { ...FIXTURE, name: "files" });
    expect(made.structured).toMatchObject({ name: "files", state: "ready", runtime: "process", sessions: 0 });
    expect(made.text).toContain("WITHOUT isolation");
    const taken = await session.call("run_server", { ...FIXTURE, name: "files" });
    expect(taken).toMatchObject({ isError: true, structured: { kind: "conflict" } });

    expect((await done("list_servers")).structured).toMatchObject({ total: 1, servers: [{ name: "files" }] });
    const { definition } = (await done("inspect_server", { name: "files" })).structured;
    expect(definition).toMatchObject({ environment: ["GREETING=***"], secrets: ["API_KEY=***"], readOnly: true });
    expect((await done("server_health", { name: "files" })).structured).toMatchObject({ health: { status: "ok" } });

    const tools = await done("list_server_tools", { name: "files", limit: 2 });
    expect(tools.structured).toMatchObject({ total: 11, tools: [{ name: "echo" }, {}], next_cursor: "at-2" });
    const echo = await done("call_server_tool", { name: "files", tool: "echo", arguments: { text: "to and fro" } });
    expect(echo.text).toBe("to and fro");
    const failed = await session.call("call_server_tool", { name: "files", tool: "fail" });
    expect(failed).toMatchObject({ isError: true, text: "no" });
    const unknown = await session.call("call_server_tool", { name: "files", tool: "ecko" });
    expect(unknown).toMatchObject({ isError: true });

    expect((await done("list_sessions", { name: "files" })).structured).toMatchObject({
      total: 1,
      sessions: [{ server: "files", kind: "manager" }],
    });
    expect((await done("server_stats", { name: "files" })).structured.memory_bytes).toBeGreaterThan(0);
    expect((await done("server_logs", { name: "files", tail: 20 })).text).toContain("tools-legacy is up");
    await session.call("call_server_tool", { name: "files", tool: "crash", arguments: { code: 3 } });
    await until("its last words", async () =>
      (await done("server_logs", { name: "files" })).text.includes("about to crash"),
    );
    expect((await done("server_status")).structured).toMatchObject({
      runtime: "process",
      ready: true,
      servers: { ready: 1 },
    });

    expect((await done("stop_server", { name: "files" })).structured).toMatchObject({ state: "stopped" });
    expect((await done("start_server", { name: "files" })).structured).toMatchObject({ state: "ready" });
    expect((await done("restart_server", { name: "files" })).structured).toMatchObject({ state: "ready" });
    const events = await done("server_events", { name: "files" });
    expect(events.text).toContain("server.ready");
  },
  CASE_MS,
);

test(
  "removed after its plan is confirmed; start_server and docker_undo bring it back, unless it was forgotten",
  async () => {
    await done("run_server", { ...FIXTURE, name: "gone" });
    const { asked, answer } = await confirmed("remove_server", { name: "gone" });
    expect(asked.text).toContain("start_server brings it back");
    expect(answer.structured).toMatchObject({ name: "gone", forgotten: false });
    expect(await session.call("server_stats", { name: "gone" })).toMatchObject({ isError: true });
    await done("start_server", { name: "gone" });
    const secret = { name: "gone", tool: "environment", arguments: { name: "API_KEY" } };
    expect((await session.call("call_server_tool", secret)).text).toBe("hunter2-hunter2");

    // Also over a restart of the manager.
    const again = (await confirmed("remove_server", { name: "gone" })).answer;
    await endManager(dataDir);
    await using both = await toolsetClient({ toolset: "docker,servers", dataDir, env: ALL });
    const undone = await done("docker_undo", { id: again.structured.undo }, both);
    expect(undone.structured).toMatchObject({ restored: ["server gone"] });
    expect((await done("list_servers", {}, both)).text).toMatch(/gone {2}ready/);
    expect((await session.call("call_server_tool", secret)).text).toBe("hunter2-hunter2");

    await confirmed("remove_server", { name: "gone", forget: true });
    const lost = await session.call("start_server", { name: "gone" });
    expect(lost).toMatchObject({ isError: true, structured: { kind: "not-found" } });
  },
  CASE_MS,
);

test("a cleanup shows what it would remove; with nothing to remove it is done at once", async () => {
  expect((await done("cleanup")).structured).toMatchObject({ removed: [], failed: [] });
});

const named = { name: "nobody" };
/** Every tool: what it says of what is not there, and an input that it refuses. */
const REFUSALS: Record<string, { missing?: Record<string, unknown>; wrong: Record<string, unknown> }> = {
  list_servers: { wrong: { limit: 0 } },
  inspect_server: { missing: named, wrong: { name: "../x" } },
  server_health: { missing: named, wrong: {} },
  server_logs: { missing: named, wrong: { ...named, tail: 1e9 } },
  server_stats: { missing: named, wrong: { name: 7 } },
  server_events: { missing: named, wrong: { limit: 0 } },
  server_status: { wrong: { verbose: true } },
  list_sessions: { missing: named, wrong: { cursor: 7 } },
  list_server_tools: { missing: named, wrong: { name: "x y" } },
  call_server_tool: { missing: { ...named, tool: "x" }, wrong: { ...named, tool: "" } },
  run_server: { missing: { image: "npm:linkspan-no-such-package-at-all" }, wrong: { image: "--privileged" } },
  start_server: { missing: named, wrong: { ...named, image: "evil" } },
  stop_server: { missing: named, wrong: { name: null } },
  restart_server: { missing: named, wrong: { name: ["a"] } },
  remove_server: { missing: named, wrong: { ...named, forget: "yes" } },
  cleanup: { wrong: { force: "yes" } },
};

test.each(SERVER_TOOLS.map((tool) => [tool.name, tool] as const))(
  "%s: not found, refused by level, refused by list, refused input",
  async (name, tool) => {
    const cases = REFUSALS[name];
    if (!cases) throw new Error(`${name} has no cases`);
    if (cases.missing) {
      const missing = await session.call(name, cases.missing);
      expect(missing).toMatchObject({ isError: true, structured: { kind: "not-found" } });
    }
    const wrong = await session.call(name, cases.wrong);
    expect(wrong).toMatchObject({ isError: true, structured: { kind: "invalid" } });
    const levels = { safe: {}, moderate: { SAFETY_ALLOW_MODERATE_OPERATIONS: "false" }, destructive: {} };
    await using careful = await open({
      ...levels[tool.level],
      ...(tool.level === "safe" ? { SAFETY_DENIED_TOOLS: name } : {}),
    });
    const refused = await careful.call(name, tool.example);
    expect(refused).toMatchObject({ isError: true, structured: { kind: "forbidden" } });
    expect(refused.text).toContain(tool.level === "safe" ? "SAFETY_DENIED_TOOLS" : "SAFETY_ALLOW_");
    expect((await careful.client.listTools()).tools.map((one) => one.name)).not.toContain(name);
  },
);

test("what a tool may not give to a server", async () => {
  const folder = await fresh();
  const allowed = join(folder, "allowed");
  await mkdir(allowed);
  await symlink("/etc", join(allowed, "link"));
  await using plain = await open({}, folder);
  await using listed = await open({ SAFETY_VOLUME_MOUNT_ALLOWLIST: allowed }, folder);
  const cases: [ToolsetClient, Record<string, unknown>, string][] = [
    [plain, { image: "exec:/bin/sh", args: ["-c", "id"] }, "forbidden"],
    [plain, { image: "EXEC:/bin/sh" }, "forbidden"],
    [plain, { image: "code:typescript-0000000000000000000000000000000000000000" }, "forbidden"],
    [plain, { image: "code:../../x" }, "invalid"],
    [plain, { network: "host" }, "forbidden"],
    [plain, { volumes: ["/:/host"] }, "forbidden"],
    [plain, { volumes: ["/etc:/x"] }, "forbidden"],
    [plain, { volumes: ["/var/run/docker.sock:/x"] }, "forbidden"],
    [plain, { volumes: [`${folder}:/x`] }, "forbidden"],
    [plain, { volumes: ["/srv:/x:rw"] }, "forbidden"],
    [listed, { volumes: ["/srv:/x"] }, "forbidden"],
    [listed, { volumes: [`${allowed}/link:/x`] }, "forbidden"],
    [listed, { volumes: [`${allowed}/../..:/x`] }, "forbidden"],
    ...["capAdd", "cap_add", "privileged", "devices", "security_opt", "labels", "lease", "limits", "readOnly"].map(
      (field): [ToolsetClient, Record<string, unknown>, string] => [plain, { [field]: ["ALL"] }, "invalid"],
    ),
    [plain, { environment: { "A B": "x" } }, "invalid"],
    [plain, { secrets: { "A=B": "x" } }, "invalid"],
    [plain, { memory: "1" }, "invalid"],
  ];
  for (const [by, args, kind] of cases) {
    const refused = await by.call("run_server", { image: "npm:some-server", name: "evil", ...args });
    expect([args, refused.structured.kind]).toEqual([args, kind]);
  }
  expect((await done("list_servers", {}, plain)).structured).toMatchObject({ total: 0 });
});

test("nothing hostile reaches the manager, in either form", async () => {
  const folder = await fresh();
  const allowed = join(folder, "allowed");
  await mkdir(allowed);
  await symlink("/etc", join(allowed, "link"));
  await symlink("loop", join(allowed, "loop"));
  await symlink("link", join(allowed, "chain"));
  const data = join(folder, "data");
  const env = { LINKSPAN_RUNTIME: "process", SAFETY_VOLUME_MOUNT_ALLOWLIST: allowed };
  for (const compact of [false, true]) {
    await using by = await toolsetClient({ toolset: "servers", dataDir: data, env, compact });
    await done("server_status", {}, by);
    const specs = hostileServers(allowed, data);
    expect(specs.length).toBeGreaterThan(200);
    const kinds = await Promise.all(
      specs.map(async (args) => [args, (await by.call("run_server", args)).structured.kind]),
    );
    expect(kinds.filter(([, kind]) => kind !== "forbidden" && kind !== "invalid")).toEqual([]);
    expect((await done("list_servers", {}, by)).structured).toMatchObject({ total: 0 });
    expect((await done("server_events", {}, by)).text).not.toContain("server.");
  }
  // Nobody has even asked the manager.
  const audit = await readFile(join(data, "logs", "audit.jsonl"), "utf8");
  expect(audit).not.toContain('"who":"socket');
  await endManager(data);
});

test("a manager that cannot be reached is said so, and the audit log has who, what and no secret", async () => {
  await using lost = await open({ LINKSPAN_URL: "http://127.0.0.1:9", LINKSPAN_TOKEN: "x" });
  for (const name of ["list_servers", "server_status", "cleanup"]) {
    const answer = await lost.call(name, {});
    expect(answer.isError).toBe(true);
  }
  const lines = (await readFile(join(dataDir, "logs", "audit.jsonl"), "utf8")).trimEnd().split("\n");
  const entries = lines.map((line) => JSON.parse(line) as { who: string; tool: string; decision: string });
  const of = (tool: string) => entries.filter((entry) => entry.tool === tool).map(({ decision }) => decision);
  expect(of("remove_server")).toContain("asked");
  expect(of("remove_server")).toContain("confirmed");
  expect(of("run_server").slice(0, 2)).toEqual(["begun", "begun"]);
  // The tool's own lines, and the manager's, which it has asked over REST.
  expect(new Set(entries.filter(({ tool }) => tool === "stop_server").map(({ who }) => who.split(" ")[0]))).toEqual(
    new Set(["linkspan-test", "socket"]),
  );
  expect(lines.join("\n")).not.toMatch(SECRETS);
});

engineTest(
  "each tool does what its example says, in a container",
  async () => {
    const folder = await fresh();
    const env = { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true", LINKSPAN_RUNTIME: "docker" };
    await using own = await toolsetClient({ toolset: "servers", dataDir: folder, env });
    const order = ["run_server", ...SERVER_TOOLS.map(({ name }) => name).filter((name) => name !== "run_server")];
    for (const name of order) {
      const tool = SERVER_TOOLS.find((one) => one.name === name);
      if (name === "server_stats") await done("start_server", { name: "everything" }, own);
      if (name === "remove_server") await confirmed(name, { ...tool?.example }, own);
      // What other tests leave for a moment is there, too, and is left to them.
      else if (name === "cleanup")
        expect(["confirmation-required", undefined]).toContain((await own.call(name)).structured.kind as string);
      else await done(name, { ...tool?.example }, own);
    }
    const { servers } = (await done("list_servers", {}, own)).structured as { servers: Record<string, unknown>[] };
    expect(servers).toMatchObject([{ name: "everything", runtime: "docker" }]);
    expect(servers[0]?.container).toBeUndefined();
    await confirmed("remove_server", { name: "everything", forget: true }, own);
  },
  CASE_MS,
);
