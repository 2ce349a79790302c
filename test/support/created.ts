/** What the tests of created servers share. Each data directory has a manager that a toolset starts in the background. */
import { expect } from "bun:test";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { inspectContainer, listContainers } from "../../src/docker/containers.ts";
import { engine } from "./engine.ts";
import { type ToolsetClient, toolsetClient, type ToolsetOptions } from "./toolset-client.ts";
import { until } from "./until.ts";

const folders: string[] = [];
export const fresh = async () => {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-test-created-"));
  folders.push(folder);
  return folder;
};

/** A manager that a toolset has started in the background ends when it is asked to. */
export async function endManager(dataDir: string): Promise<void> {
  const pid = Number(await readFile(join(dataDir, "manager.background"), "utf8").catch(() => "0"));
  if (pid === 0) return;
  process.kill(pid, "SIGTERM");
  await until("the end of the manager", async () => !(await stat(`/proc/${pid}`).catch(() => undefined)), 20_000);
}

/** Ends the managers and removes their files. */
export async function endAll(): Promise<void> {
  const end = async (folder: string) => {
    await endManager(folder);
    await rm(folder, { recursive: true, force: true });
  };
  await Promise.all(folders.map(end));
}

export const open = (dataDir: string, options: ToolsetOptions = {}) =>
  toolsetClient({
    toolset: "create",
    dataDir,
    ...options,
    env: { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true", ...options.env },
  });

/** Speaks MCP by hand, and needs no package: `say` is what its one tool answers. */
export const byHand = (say: string) => `
export const reply = (id: number, result: unknown) => console.log(JSON.stringify({ jsonrpc: "2.0", id, result }));
for await (const line of console) {
  const { id, method, params } = JSON.parse(line);
  if (method === "initialize") reply(id, { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "hand", version: "1" } });
  if (method === "tools/list") reply(id, { tools: [{ name: "say", inputSchema: { type: "object", properties: { to: { type: "string" } }, required: ["to"], additionalProperties: false } }] });
  if (method === "tools/call") reply(id, { content: [{ type: "text", text: ${say} }] });
}
`;
export const say = (session: ToolsetClient, serverId: unknown, args: Record<string, unknown> = { to: "you" }) =>
  session.call("execute-tool", { serverId, toolName: "say", args });

export const HAND = { language: "typescript", dependencies: {} };

export async function containersOf(dataDir: string): Promise<string[]> {
  const instance = (await readFile(join(dataDir, "instance"), "utf8")).trim();
  const filter = { label: [`linkspan.instance=${instance}`] };
  return (await listContainers(engine(), filter, Deadline.in(10_000))).map(({ Id }) => Id);
}

/** Folders of process servers, which go with their processes. */
export async function processesOf(dataDir: string): Promise<string[]> {
  return (await readdir(join(dataDir, "process"))).filter((name) => name.startsWith("linkspan-"));
}

/** What every created server's container must be. */
export async function isolated(ids: string[]): Promise<void> {
  expect(ids).toHaveLength(1);
  const info = await inspectContainer(engine(), ids[0] ?? "", Deadline.in(10_000));
  const host: Record<string, unknown> = { ...info?.HostConfig };
  const config: Record<string, unknown> = { ...info?.Config };
  expect(host).toMatchObject({ ReadonlyRootfs: true, CapDrop: ["ALL"], Privileged: false, PidsLimit: 128 });
  expect(host.Memory).toBe(512 * 1024 ** 2);
  expect(host.Binds ?? []).toEqual([]);
  expect(config.User).toBe("65532:65532");
}

/** The same in Python. */
export const PYTHON = `
import json, sys
TOOL = {"name": "say", "inputSchema": {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}}
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "hand", "version": "1"}}
    elif message["method"] == "tools/list":
        result = {"tools": [TOOL]}
    elif message["method"] == "tools/call":
        result = {"content": [{"type": "text", "text": "hello " + message["params"]["arguments"]["to"]}]}
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
`;
