/** What one client of a toolset over HTTP has, and no other: servers that it has created, logins, confirmations. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { BINARY } from "../support/binary.ts";
import { byHand, endAll, fresh, HAND, processesOf } from "../support/created.ts";
import { until } from "../support/until.ts";
import { Owners } from "../../src/toolset/belongings.ts";
import type { Workshop } from "../../src/create/workshop.ts";

const CASE_MS = 60_000;
let served: { url: URL; dataDir: string; end(): Promise<void> };
beforeAll(async () => {
  const dataDir = await fresh();
  const child = Bun.spawn([BINARY, "mcp", "--toolset", "create", "--port", "0", "--transport", "http"], {
    env: {
      ...process.env,
      LINKSPAN_DATA_DIR: dataDir,
      LINKSPAN_RUNTIME: "process",
      MCP_JSON_LOGGING: "true",
      SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true",
    },
    stdio: ["ignore", "ignore", Bun.file(join(dataDir, "said"))],
  });
  const said = () => Bun.file(join(dataDir, "said")).text();
  const url = await until("the address", async () => /"url":"([^"]+)"/.exec(await said())?.[1]);
  const end = async () => {
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
  };
  served = { url: new URL(url), dataDir, end };
}, CASE_MS);
afterAll(async () => {
  await served.end();
  await endAll();
}, CASE_MS);

async function connect(era: "legacy" | "modern", name: string) {
  const token = (await Bun.file(join(served.dataDir, "token")).text()).trim();
  const transport = new StreamableHTTPClientTransport(served.url, {
    requestInit: { headers: { authorization: `Bearer ${token}` } },
  });
  const client = new Client(
    { name, version: "1" },
    { versionNegotiation: era === "modern" ? { mode: { pin: "2026-07-28" } } : { mode: "legacy" } },
  );
  await client.connect(transport);
  const call = async (tool: string, args: Record<string, unknown> = {}) => {
    const { structuredContent, _meta } = await client.callTool({ name: tool, arguments: args });
    return (structuredContent ?? _meta?.["linkspan/refusal"]) as Record<string, unknown>;
  };
  return { client, transport, call };
}

test.each(["legacy", "modern"] as const)(
  "a %s client does not see what another one has created, cannot use or end it",
  async (era) => {
    const [mine, other] = [await connect(era, `${era}-mine`), await connect(era, `${era}-other`)];
    const made = await mine.call("create-server-from-template", { ...HAND, code: byHand('"hello"') });
    const { serverId } = made;
    expect(await mine.call("list-servers")).toMatchObject({ total: 1 });
    expect(await other.call("list-servers")).toMatchObject({ total: 0 });
    const say = { serverId, toolName: "say", args: { to: "you" } };
    expect(await other.call("execute-tool", say)).toMatchObject({ kind: "not-found" });
    const { confirmation_token } = await mine.call("delete-server", { serverId });
    expect(confirmation_token).toBeString();
    expect(await other.call("delete-server", { serverId, confirmation_token })).toMatchObject({ kind: "not-found" });
    expect(await mine.call("execute-tool", say)).toMatchObject({ content: [{ text: "hello" }] });
    // A session that ends takes its servers with it; a client without one has to say so.
    if (era === "legacy") await mine.transport.terminateSession();
    else {
      const again = await mine.call("delete-server", { serverId });
      await mine.call("delete-server", { serverId, confirmation_token: again.confirmation_token });
    }
    await until("its end", async () => (await processesOf(served.dataDir)).length === 0, 20_000);
    await Promise.all([mine.client.close(), other.client.close()]);
  },
  CASE_MS,
);

test("logins are one client's, and whoever was here longest ago loses what it had", async () => {
  const closed: number[] = [];
  let made = 0;
  const owners = new Owners(async () => {
    const number = (made += 1);
    return { close: async () => void closed.push(number) } as Partial<Workshop> as Workshop;
  });
  owners.of("a").logins.set("registry.example.com", "secret");
  await owners.of("a").created();
  expect(owners.of("a").logins.forImage("registry.example.com/x")).toBe("secret");
  expect(owners.of("b").logins.forImage("registry.example.com/x")).toBeUndefined();
  for (let index = 0; index < 63; index += 1) owners.of(`c${index}`);
  await until("its end", () => closed.length === 1);
  expect(owners.of("a").logins.forImage("registry.example.com/x")).toBeUndefined();
  await owners.of("b").created();
  await owners.leave("b");
  await owners.close();
  expect(closed).toEqual([1, 2]);
});
