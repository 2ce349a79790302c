/** The toolsets of Linkspan itself beside a server, in the manager's process, for clients of both eras. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { fixture } from "../../support/api.ts";
import { until } from "../../support/until.ts";
import { type House, openHouse } from "./house.ts";

let house: House;

beforeAll(async () => {
  const section = { toolsets: ["docker", "create"] as ("docker" | "create")[], groups: { plain: {} } };
  // Nobody answers there: the tools say so.
  const env = { DOCKER_HOST: "unix:///nowhere/docker.sock", SAFETY_DENIED_TOOLS: "docker_exec_command" };
  house = await openHouse("hosted", { legacy: fixture("tools-legacy.ts") }, section, env);
});
afterAll(() => house[Symbol.asyncDispose](), 30_000);

for (const era of ["legacy", "modern"] as const) {
  test(`a ${era} client has them under their own names, with prompts and templates, and calls them`, async () => {
    const { client } = await house[era]();
    const names = await until(
      "the server's tools, too",
      async () => {
        const all = (await client.listTools()).tools.map(({ name }) => name);
        return all.some((name) => name.startsWith("legacy__")) && all;
      },
      40_000,
    );
    expect(names).toContain("docker_list_containers");
    expect(names).toContain("create-server-from-template");
    expect(names).not.toContain("docker_exec_command");
    expect(names.filter((name) => name.includes("__")).every((name) => name.startsWith("legacy__"))).toBe(true);
    expect((await client.listPrompts()).prompts.map(({ name }) => name)).toContain("troubleshoot_container");
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toContain("container://logs/{container_id}");
    const failed = await client.callTool({ name: "docker_version", arguments: {} });
    expect(JSON.stringify(failed.content)).toContain("/nowhere/docker.sock");
    const saved = await client.callTool({ name: "list-saved-servers", arguments: {} });
    expect(saved.isError ?? false).toBe(false);
    const echoed = await client.callTool({ name: "legacy__echo", arguments: { text: "hi" } });
    expect(echoed.content).toMatchObject([{ text: "hi" }]);
    await client.close();
  }, 60_000);
}

test("a group has no toolsets unless it names some", async () => {
  const { client } = await house.legacy({ selection: { group: "plain" } });
  const { tools } = await client.listTools();
  expect(tools.filter(({ name }) => !name.startsWith("legacy__"))).toEqual([]);
  await client.close();
});
