/** The official Inspector's command line on the toolset. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect, INSTALL_MS, installInspector } from "../e2e/inspector.ts";
import { BINARY } from "../support/binary.ts";
import { engineTest } from "../support/engine.ts";

let dataDir = "";
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "linkspan-test-inspector-"));
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

const names = (list: unknown) => (list as { name: string }[]).map(({ name }) => name);

engineTest(
  "the Inspector lists and calls tools, and lists prompts and resource templates",
  async () => {
    await installInspector();
    const launch = {
      command: BINARY,
      args: ["mcp", "--toolset", "docker"],
      env: { ...(process.env as Record<string, string>), LINKSPAN_DATA_DIR: dataDir },
    };
    const [tools, called, prompts, templates] = await Promise.all([
      inspect(launch, "tools/list"),
      inspect(launch, "tools/call", "--tool-name", "docker_list_containers", "--tool-arg", "all=true", "limit=1"),
      inspect(launch, "prompts/list"),
      inspect(launch, "resources/templates/list"),
    ]);
    expect(names(tools["tools"])).toContain("docker_diagnose");
    expect(called["structuredContent"]).toMatchObject({ total: expect.any(Number) });
    expect(names(prompts["prompts"])).toContain("security_audit");
    expect(names(templates["resourceTemplates"])).toContain("compose_logs");
  },
  INSTALL_MS + 60_000,
);
