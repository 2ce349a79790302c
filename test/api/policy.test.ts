/** One policy for REST, the command line and tools: the built binary at each level, and what the audit log has of it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, readFile, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { ManagerClient } from "../../src/api/client/client.ts";
import { managerSocket } from "../../src/base/data-dir.ts";
import { judgeTool } from "../../src/safety/policy.ts";
import { readSafety } from "../../src/safety/settings.ts";
import { ALL_TOOLS } from "../../src/toolset/catalogue.ts";
import { TcpClient } from "../e2e/tcp-client.ts";
import { fixture } from "../support/api.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv, faultLine, linkspan } from "../support/cli.ts";
import { type CliManager, cliManager } from "../support/cli-manager.ts";
import { endAll, fresh } from "../support/created.ts";
import { rejection } from "../support/rejection.ts";
import { toolsetClient } from "../support/toolset-client.ts";
import { until } from "../support/until.ts";

const READ_ONLY = { SAFETY_ALLOW_MODERATE_OPERATIONS: "false" };
const NO_DESTRUCTION = { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "false" };
const servers = { files: { ...fixture("tools-legacy.ts"), secrets: { API_KEY: "hunter2-hunter2" } } };
const INITIALIZE = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "t", version: "1" } },
};
/** Commands that change something, and the tool that does the same. */
const CHANGES: [tool: string, args: string[]][] = [
  ["run_server", ["run", `exec:${process.execPath}`, "--name", "new"]],
  ["start_server", ["start", "files"]],
  ["restart_server", ["restart", "files"]],
  ["list_server_tools", ["tools", "files"]],
  ["call_server_tool", ["call", "files", "count"]],
  ["stop_server", ["stop", "files"]],
  ["remove_server", ["rm", "files"]],
  ["cleanup", ["cleanup"]],
  ["docker_remove_volume", ["volume", "rm", "notes", "--force"]],
];
const levelOf = (tool: string) => ALL_TOOLS.find(({ name }) => name === tool)?.level ?? "safe";

afterAll(endAll, 30_000);

interface Line {
  who: string;
  tool: string;
  decision: string;
  objects: Record<string, string>;
  shape: Record<string, unknown>;
}

const dataOf = ({ env }: CliManager) => env.LINKSPAN_DATA_DIR ?? "";
const clientOf = (manager: CliManager) => new ManagerClient({ kind: "unix", path: managerSocket(dataOf(manager)) });

async function audit(manager: CliManager): Promise<Line[]> {
  const file = join(dataOf(manager), "logs", "audit.jsonl");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const text = await readFile(file, "utf8");
  expect(text).not.toContain("hunter2");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

/** Where it listens, as it says itself. */
async function doorsOf({ dir }: CliManager) {
  const words = await Bun.file(join(dir, "serve.err")).text();
  const [, rest = ""] = /rest="?(http:[^\s"]+)/.exec(words) ?? [];
  const [, port = ""] = /tcp="?[^\s":]+:(\d+)/.exec(words) ?? [];
  return { rest, port: Number(port) };
}

async function post(manager: CliManager, path: string, accept = "application/json"): Promise<Response> {
  const token = (await readFile(join(dataOf(manager), "token"), "utf8")).trim();
  const { rest } = await doorsOf(manager);
  return fetch(`${rest}${path}`, { method: "POST", headers: { authorization: `Bearer ${token}`, accept } });
}

/** What a command must answer: the tools' own judge says it. */
function refusalOf(tool: string, env: Record<string, string>) {
  const verdict = judgeTool({ name: tool, level: levelOf(tool) }, readSafety(env, "owner"));
  if (verdict.allowed) return undefined;
  return { kind: "forbidden", message: verdict.reason, hint: verdict.hint };
}

describe("a manager in read-only mode", () => {
  let manager: CliManager;
  beforeAll(async () => {
    manager = await cliManager("policy-safe", "process", { env: READ_ONLY, servers });
  }, 30_000);
  afterAll(() => manager[Symbol.asyncDispose]());

  test.each(CHANGES)("%s is refused in the words of the tool, with exit code 3", async (tool, args) => {
    const refusal = refusalOf(tool, READ_ONLY);
    expect(refusal?.message).toEndWith("only reading is allowed");
    const ran = await manager.run([...args, "--json"]);
    expect([ran.code, faultLine(ran)]).toEqual([3, refusal as never]);
  });

  test("so is what fronts, the TCP port and programs with the token ask for", async () => {
    const request = { server: "files", pid: process.pid, ppid: process.ppid };
    expect(await rejection(clientOf(manager).acquire(request))).toMatchObject({ kind: "forbidden" });
    const front = Bun.spawn([BINARY, "mcp", "files"], { env: cleanEnv(manager.env), stdin: "pipe", stdout: "pipe" });
    front.stdin.write(`${JSON.stringify(INITIALIZE)}\n`);
    void front.stdin.end();
    expect(await front.stdout.text()).toContain("only reading is allowed");

    const token = (await readFile(join(dataOf(manager), "token"), "utf8")).trim();
    using client = await TcpClient.connect((await doorsOf(manager)).port);
    client.send({ link: "attach", server: "files", token });
    await until("the refusal", () => client.lines[0]?.includes('"kind":"forbidden"'));

    const response = await post(manager, "/servers/files/start", "application/x-ndjson");
    expect([response.status, response.headers.get("content-type")]).toEqual([403, "application/problem+json"]);
    expect(await response.json()).toMatchObject({ kind: "forbidden", hint: expect.stringContaining("SAFETY_ALLOW") });
  });

  test.each(["ps -a", "status", "events", "inspect files", "logs files", "cleanup --dry-run"])(
    "linkspan %s reads, and goes on",
    async (words) => {
      const { code, err } = await manager.run(words.split(" "));
      expect([code, err]).toEqual([0, err]);
    },
  );

  test("a toolset that is allowed more cannot have this manager do it", async () => {
    const env = { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true" };
    await using session = await toolsetClient({ toolset: "servers", dataDir: dataOf(manager), env });
    expect((await session.call("list_servers")).structured).toMatchObject({ total: 1 });
    const refused = await session.call("start_server", { name: "files" });
    expect(refused).toMatchObject({ isError: true, structured: { kind: "forbidden" } });
    expect(refused.text).toContain("only reading is allowed");
  });

  test("every refusal is a line; nothing was begun, and reading is not written", async () => {
    const lines = (await audit(manager)).filter(({ who }) => !who.startsWith("linkspan-test"));
    expect(new Set(lines.map(({ decision }) => decision))).toEqual(new Set(["denied"]));
    expect(new Set(lines.map(({ tool }) => tool))).toEqual(
      new Set([...CHANGES.map(([tool]) => tool), "opening a session"]),
    );
    expect(new Set(lines.map(({ who }) => who.split(/[ /]/)[0]))).toEqual(new Set(["socket", "token", "tcp"]));
  });
});

describe("a manager that destroys nothing", () => {
  let manager: CliManager;
  beforeAll(async () => {
    manager = await cliManager("policy-moderate", "process", { env: NO_DESTRUCTION, servers });
  }, 30_000);
  afterAll(() => manager[Symbol.asyncDispose]());

  test.each(CHANGES.filter(([tool]) => tool !== "run_server"))("%s", async (tool, args) => {
    const refusal = refusalOf(tool, NO_DESTRUCTION);
    expect(refusal !== undefined).toBe(levelOf(tool) === "destructive");
    const ran = await manager.run([...args, "--json"]);
    if (refusal) expect([ran.code, faultLine(ran)]).toEqual([3, refusal as never]);
    else expect([ran.code, ran.err]).toEqual([0, ran.err]);
  });

  test("what was done is two lines, what was refused is one", async () => {
    const lines = await audit(manager);
    const of = (tool: string) => lines.filter((line) => line.tool === tool).map(({ decision }) => decision);
    expect(of("call_server_tool")).toEqual(["begun", "allowed"]);
    expect(of("remove_server")).toEqual(["denied"]);
    const call = lines.find(({ tool }) => tool === "call_server_tool");
    expect(call).toMatchObject({
      objects: { name: "files" },
      shape: { name: "string", tool: "string", arguments: { object: 0 } },
    });
  });
});

describe("the owner, where nothing is said", () => {
  let manager: CliManager;
  beforeAll(async () => {
    manager = await cliManager("policy-owner", "process", { servers });
  }, 30_000);
  afterAll(() => manager[Symbol.asyncDispose]());

  test("may do everything, and it is written down", async () => {
    for (const [tool, args] of CHANGES.filter(([name]) => name !== "run_server" && !name.startsWith("docker"))) {
      const ran = await manager.run(args);
      expect([tool, ran.code, ran.err]).toEqual([tool, 0, ran.err]);
    }
    const lines = await audit(manager);
    for (const [tool] of CHANGES.filter(([name]) => name !== "run_server" && !name.startsWith("docker")))
      expect([tool, lines.filter((line) => line.tool === tool).map(({ decision }) => decision)]).toEqual([
        tool,
        ["begun", "allowed"],
      ]);
    expect(await rejection(clientOf(manager).stop("nobody"))).toMatchObject({ kind: "not-found" });
    expect((await audit(manager)).at(-1)).toMatchObject({ tool: "stop_server", decision: "failed" });
  });

  test("keeps a definition where that is asked for, with its secrets", async () => {
    const client = clientOf(manager);
    await client.start("kept", { ...fixture("tools-legacy.ts"), secrets: { API_KEY: "hunter2-hunter2" } });
    await client.remove("kept", { keep: true });
    expect(await client.server("kept")).toMatchObject({ name: "kept", sessions: 0 });
    expect((await client.server("kept")).container).toBeUndefined();
    await client.start("kept", undefined);
    const asked = { tool: "environment", arguments: { name: "API_KEY" } };
    expect(JSON.stringify(await client.call("kept", asked))).toContain("hunter2");
    await client.remove("kept");
    expect(await rejection(client.start("kept", undefined))).toMatchObject({ kind: "not-found" });
  });
});

test("lists of tools, of folders, and what is privileged hold for REST and the command line", async () => {
  const env = {
    SAFETY_DENIED_TOOLS: "call_server_tool",
    SAFETY_VOLUME_MOUNT_ALLOWLIST: "/srv/linkspan-test-allowed",
    SAFETY_ALLOW_PRIVILEGED_CONTAINERS: "false",
  };
  await using manager = await cliManager("policy-lists", "process", { env, servers });
  await mkdir(join(manager.dir, "inside"));
  await symlink("/etc", join(manager.dir, "inside", "link"));
  const denied = await manager.run(["call", "files", "count", "--json"]);
  expect([denied.code, faultLine(denied)]).toEqual([3, refusalOf("call_server_tool", env) as never]);
  const client = clientOf(manager);
  const bodies = [
    { image: "exec:/bin/true" },
    { image: "npm:x", capAdd: ["SYS_ADMIN"] },
    { image: "npm:x", volumes: ["/etc:/x"] },
    { image: "npm:x", volumes: [`${manager.dir}/inside/link:/x`] },
  ];
  for (const body of bodies) {
    expect(await rejection(client.start("new", body))).toMatchObject({ kind: "forbidden" });
    const { image, ...definition } = body;
    expect(
      await rejection(client.acquire({ server: image, definition, pid: process.pid, ppid: process.ppid })),
    ).toMatchObject({
      kind: "forbidden",
    });
  }
  // The lists are about tools: a client of a server that is declared needs none.
  await using session = await toolsetClient({ toolset: "servers", dataDir: dataOf(manager) });
  expect((await session.call("list_server_tools", { name: "files" })).structured).toMatchObject({ total: 11 });
});

test("a manager that a toolset starts in the background has none of the toolset's limits", async () => {
  const dataDir = await fresh();
  const env = { ...READ_ONLY, SAFETY_ALLOWED_TOOLS: "list_servers", LINKSPAN_RUNTIME: "process" };
  await using session = await toolsetClient({ toolset: "servers", dataDir, env });
  expect((await session.call("list_servers")).structured).toMatchObject({ total: 0 });
  const client = new ManagerClient({ kind: "unix", path: managerSocket(dataDir) });
  expect(await client.start("plain", fixture("tools-legacy.ts"))).toMatchObject({ state: "ready" });
  await client.remove("plain");
});

test("what asks no manager is judged by its own environment", async () => {
  const env = { ...READ_ONLY, LINKSPAN_DATA_DIR: await fresh() };
  const ran = await linkspan(["wrap", "nothing:1", "-t", "nothing:2", "--json"], { env });
  expect([ran.code, faultLine(ran)]).toEqual([3, refusalOf("docker_build_image", READ_ONLY) as never]);
});
