/** Every tool: what it says of what is not there, what it refuses, and that each level has its own. */
import { expect, test } from "bun:test";
import { ALL_TOOLS } from "../../src/toolset/catalogue.ts";
import { nameOf } from "../../src/toolset/compact.ts";
import { engineTest } from "../support/engine.ts";
import { ENGINE_PROOFS, PROOFS, refusals } from "../support/proofs.ts";
import { toolsetClient } from "../support/toolset-client.ts";

engineTest("what is not there, and what is refused", async () => {
  await using session = await toolsetClient({ env: { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true" } });
  await refusals(session, ENGINE_PROOFS);
});

const READING = { SAFETY_ALLOW_MODERATE_OPERATIONS: "false" };
/** By level: a configuration that does not allow it, and a word of what is said then. */
const WITHOUT = [
  ["moderate", READING, "SAFETY_ALLOW_MODERATE_OPERATIONS"],
  ["destructive", READING, "SAFETY_ALLOW_"],
  ["destructive", {}, "SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS"],
  ["safe", { SAFETY_ALLOWED_TOOLS: "none" }, "SAFETY_ALLOWED_TOOLS"],
] as const;

for (const compact of [false, true]) {
  test(`refused by level, whatever the arguments${compact ? ", in the compact form" : ""}`, async () => {
    for (const [level, env, word] of WITHOUT) {
      // No engine is asked: this one does not exist.
      const there = { ...env, DOCKER_HOST: "unix:///nowhere/docker.sock", LINKSPAN_RUNTIME: "process" };
      await using session = await toolsetClient({ toolset: "docker,servers,create", env: there, compact });
      const listed = new Set(await session.names());
      for (const tool of ALL_TOOLS.filter((one) => one.level === level)) {
        const shown = compact ? tool.name.replace(/^docker_/, "") : tool.name;
        expect([tool.name, listed.has(shown)]).toEqual([tool.name, false]);
        const absent = PROOFS[tool.name]?.absent;
        for (const args of [tool.example, {}, typeof absent === "object" ? absent : { confirmation_token: "x" }]) {
          const { isError, structured, text } = await (compact
            ? session.raw(nameOf(tool.category), { action: shown, arguments: args })
            : session.call(tool.name, args));
          expect([tool.name, isError, structured.kind, text]).toEqual([
            tool.name,
            true,
            "forbidden",
            expect.stringContaining(word),
          ]);
        }
      }
    }
  });
}
