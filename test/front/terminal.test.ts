/** `linkspan mcp` where a person sits instead of a client. */
import { expect, test } from "bun:test";
import { inTerminal } from "../support/cli.ts";
import { cliManager } from "../support/cli-manager.ts";

test("somebody who starts it by hand is told what it waits for, and can still talk to it", async () => {
  await using manager = await cliManager("terminal");
  let asked = false;
  let left = false;
  const { code, bytes } = await inTerminal(["mcp"], {
    env: manager.env,
    onOutput(seen, type) {
      if (!asked && seen.includes("linkspan client setup")) {
        asked = true;
        type('{"jsonrpc":"2.0","id":1,"method":"ping"}\n');
      }
      if (asked && !left && seen.includes('"id":1,"result"')) {
        left = true;
        type("\u0003");
      }
    },
  });
  expect(code).toBe(0);
  expect(bytes.match(/for an MCP client to launch/g)).toHaveLength(1);
}, 60_000);
