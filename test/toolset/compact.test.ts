/** The form for small context windows, of every combination of toolsets: the built binary, clients of both eras. */
import { afterAll, expect, test } from "bun:test";
import { ALL_TOOLS, toolsOf } from "../../src/toolset/catalogue.ts";
import { actionOf } from "../../src/toolset/compact.ts";
import { byHand, endAll, fresh, HAND, processesOf } from "../support/created.ts";
import { type ToolsetClient, toolsetClient, type ToolsetOptions } from "../support/toolset-client.ts";
import { until } from "../support/until.ts";

const CASE_MS = 60_000;
const ENV = {
  LINKSPAN_RUNTIME: "process",
  SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true",
  SAFETY_ALLOW_PRIVILEGED_CONTAINERS: "true",
};
afterAll(endAll, CASE_MS);

const open = async (toolset: string, options: ToolsetOptions = {}) =>
  toolsetClient({ toolset, compact: true, env: ENV, dataDir: await fresh(), ...options });

test.each(["docker", "servers", "create", "docker,servers", "docker,servers,create"])(
  "%s,compact offers every action of its tools once, and tells about each",
  async (toolset) => {
    await using session = await open(toolset);
    const tools = toolsOf(toolset.split(","));
    const { tools: listed } = await session.client.listTools();
    expect(listed.map(({ name }) => name)).toContain("action_help");
    // What `create` has of Docker's tools is the way back.
    const ofDocker = listed.filter(({ name }) => name.startsWith("docker_") && name !== "docker_undo");
    expect(ofDocker.length > 0).toBe(toolset.includes("docker"));
    expect((await session.names()).sort()).toEqual(tools.map(actionOf).sort());
    for (let from = 0; from < tools.length; from += 10) {
      const actions = tools.slice(from, from + 10).map(actionOf);
      const { structured } = await session.raw("action_help", { actions });
      expect((structured.actions as { action: string }[]).map(({ action }) => action)).toEqual(actions);
    }
    const other = ALL_TOOLS.find((tool) => !tools.includes(tool));
    if (!other) return;
    const foreign = await session.raw("action_help", { actions: [actionOf(other)] });
    expect(foreign).toMatchObject({ isError: true, structured: { kind: "not-found" } });
  },
);

test("levels hold in it, a wrong action is told from a right one", async () => {
  await using session = await open("docker,servers,create", { env: { SAFETY_ALLOW_MODERATE_OPERATIONS: "false" } });
  expect((await session.names()).sort()).toEqual(
    ALL_TOOLS.filter(({ level }) => level === "safe")
      .map(actionOf)
      .sort(),
  );
  const refused = await session.raw("mcp_servers", { action: "run_server", arguments: { image: "x" } });
  expect(refused).toMatchObject({ isError: true, structured: { kind: "forbidden" } });
  expect(refused.text).toContain("SAFETY_ALLOW_MODERATE_OPERATIONS");
  const typo = await session.raw("mcp_servers", { action: "list_server" });
  expect(typo.text).toContain("Did you mean list_servers");
  const said = async (name: string, args: Record<string, unknown>) => (await session.raw(name, args)).text;
  expect(await said("docker_containers", { action: "diagnose" })).toContain('{"action": "diagnose"} of docker_system');
  expect(await said("docker_diagnose", { container_id: "x" })).toContain('{"action": "diagnose"} of docker_system');
  expect(await said("docker_system", { action: "diagnose", container_id: "x" })).toContain('an object in "arguments"');
  expect(await said("docker_system", { action: "diagnose", arguments: {} })).toContain(
    "action_help tells the arguments",
  );
  expect(await said("docker_system", { action: "abracadabra" })).toContain("Each tool lists its actions");
});

/** The same story of a server of its own, by their actions. */
async function create(session: ToolsetClient) {
  const code = byHand('"hello " + params.arguments.to');
  const made = await session.raw("created_servers", {
    action: "create-server-from-template",
    arguments: { ...HAND, code },
  });
  const { serverId } = made.structured;
  const args = { serverId, toolName: "say", args: { to: "you" } };
  expect((await session.raw("created_servers", { action: "execute-tool", arguments: args })).text).toBe("hello you");
  return serverId;
}

test.each(["legacy", "modern"] as const)(
  "create,compact and docker,servers,create,compact: a %s client makes, calls, confirms and deletes",
  async (era) => {
    for (const toolset of ["create", "docker,servers,create"]) {
      const asked: string[] = [];
      const elicit = (message: string) => asked.push(message) > 0;
      const dataDir = await fresh();
      await using session = await open(toolset, { era, dataDir, ...(era === "modern" ? { elicit } : {}) });
      const serverId = await create(session);
      if (toolset !== "create") {
        const servers = await session.raw("mcp_servers", { action: "list_servers" });
        expect(servers.structured).toMatchObject({ total: 1 });
        const wrong = await session.raw("docker_containers", { action: "list_containers", arguments: { limit: 0 } });
        expect(wrong).toMatchObject({ isError: true, structured: { kind: "invalid" } });
      }
      const call = (token: object) =>
        session.raw("created_servers", { action: "delete-server", arguments: { serverId, ...token } });
      const first = await call({});
      if (era === "modern") expect(asked).toEqual([expect.stringContaining(`End the created server ${serverId}`)]);
      else {
        expect(first).toMatchObject({ isError: true, structured: { kind: "confirmation-required" } });
        const { confirmation_token } = first.structured;
        expect((await call({ confirmation_token })).isError).toBeUndefined();
      }
      await until("its end", async () => (await processesOf(dataDir)).length === 0);
    }
  },
  CASE_MS,
);
