/** The matrix's conversation without Linkspan: what its cells ask for has to hold directly first. */
import { StdioClientTransport as StdioModern } from "@modelcontextprotocol/client/stdio";
import { StdioClientTransport as StdioLegacy } from "@modelcontextprotocol/sdk/client/stdio.js";
import { test } from "bun:test";
import { join } from "node:path";
import { converse } from "./conversation.ts";
import { CLIENTS } from "./peers.ts";

const PROGRAM = join(import.meta.dir, "../conformance/stdio.ts");

for (const client of CLIENTS) {
  test(`${client.name} talks to a server of its own era`, async () => {
    const launch = { command: process.execPath, args: [PROGRAM, client.era], stderr: "inherit" as const };
    const transport = client.sdk === 1 ? new StdioLegacy(launch) : new StdioModern(launch);
    await using peer = await client.connect(transport);
    await converse(peer, "");
  }, 20_000);
}
