/** The toolset through its real door: the built binary, SDK clients of both eras. */
import { expect, test } from "bun:test";
import { engineTest } from "../support/engine.ts";
import { toolsetClient } from "../support/toolset-client.ts";

const ERAS = ["legacy", "modern"] as const;

test.each(ERAS)("a %s client lists the tools that are allowed, with annotations", async (era) => {
  await using session = await toolsetClient({ era });
  const { tools } = await session.client.listTools();
  const list = tools.find(({ name }) => name === "docker_list_containers");
  expect(list?.annotations).toMatchObject({ readOnlyHint: true, destructiveHint: false, idempotentHint: true });
  expect(list?.outputSchema?.required).toContain("containers");
  expect(tools.every(({ annotations }) => annotations?.destructiveHint === false)).toBe(true);
});

test("prompts and resources are about containers: only the Docker toolset has them", async () => {
  for (const toolset of ["servers", "create", "docker,servers"]) {
    await using session = await toolsetClient({ toolset });
    const { prompts, resources } = session.client.getServerCapabilities() ?? {};
    expect([toolset, prompts !== undefined, resources !== undefined]).toEqual([
      toolset,
      toolset.includes("docker"),
      toolset.includes("docker"),
    ]);
  }
});

test("errors are results that say what to do", async () => {
  await using session = await toolsetClient({ env: { DOCKER_HOST: "unix:///nowhere/docker.sock" } });
  const missing = await session.call("docker_version");
  expect(missing).toMatchObject({ isError: true, structured: { kind: "unreachable" } });
  expect(missing.text).toContain("Start Docker");
  const wrong = await session.call("docker_list_containers", { everything: true });
  expect(wrong).toMatchObject({ isError: true, structured: { kind: "invalid" } });
});

for (const era of ERAS) {
  engineTest(`a ${era} client asks the engine`, async () => {
    await using session = await toolsetClient({ era });
    const { structured, text } = await session.call("docker_version");
    expect(structured.version).toMatch(/^\d+\./);
    expect(text).toContain(String(structured.version));
  });
}

test("a modern client is told which of many resources are watched", async () => {
  await using session = await toolsetClient({ era: "modern", env: { SAFETY_ALLOWED_RESOURCES: "container_logs" } });
  const logs = Array.from({ length: 70 }, (_, index) => `container://logs/linkspan-test-nobody-${index}`);
  const listening = await session.client.listen({
    resourceSubscriptions: ["container://stats/x", "nonsense://x", ...logs, ...logs],
  });
  expect(listening.honoredFilter.resourceSubscriptions).toEqual(logs.slice(0, 64));
  await listening.close();
});
