/** The SDK 1.x client holds what is structured against the tool's output schema, once it has listed the tools. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { expect } from "bun:test";
import { BINARY } from "../support/binary.ts";
import { cleanEnv, tempDir } from "../support/cli.ts";
import { engineTest } from "../support/engine.ts";

engineTest(
  "a client that checks output schemas is told why a call failed, and what a destructive one would do",
  async () => {
    await using folder = await tempDir("refusals");
    const client = new Client({ name: "linkspan-test", version: "1" });
    const env = cleanEnv({ LINKSPAN_DATA_DIR: folder.path, SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true" });
    await client.connect(
      new StdioClientTransport({
        command: BINARY,
        args: ["mcp", "--toolset", "docker"],
        env: Object.fromEntries(
          Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
        ),
      }),
    );
    try {
      await client.listTools();
      const call = (name: string, args: Record<string, unknown>) => client.callTool({ name, arguments: args });
      const missing = await call("docker_inspect_container", { container_id: "linkspan-test-nobody" });
      expect(missing).toMatchObject({ isError: true, _meta: { "linkspan/refusal": { kind: "not-found" } } });
      expect(JSON.stringify(missing.content)).toContain("linkspan-test-nobody");
      const asked = await call("docker_prune_containers", { filters: { label: ["linkspan-test-nobody"] } });
      expect(JSON.stringify(asked)).not.toContain("output schema");
    } finally {
      await client.close();
    }
  },
);
