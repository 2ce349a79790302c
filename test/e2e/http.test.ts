/** The compiled program over HTTP: real servers behind it, real SDK clients before it, a real issuer, tokens by command. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { join } from "node:path";
import { fixture } from "../support/api.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv } from "../support/cli.ts";
import { type CliManager, cliManager } from "../support/cli-manager.ts";
import { type Issuer, startIssuer } from "../support/issuer.ts";
import { INSTALL_MS, inspectUrl, installInspector } from "./inspector.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";

const audience = "https://mcp.example.org";
let issuer: Issuer;
let manager: CliManager;
let token: string;

beforeAll(async () => {
  issuer = await startIssuer({ audience });
  manager = await cliManager("http", "process", {
    servers: { old: fixture("tools-legacy.ts"), new: fixture("tools-modern.ts") },
    manager: { oauth: { issuer: issuer.url, audience } },
  });
  token = (await manager.run(["token"])).out.trim();
});
afterAll(async () => {
  await manager[Symbol.asyncDispose]();
  issuer[Symbol.dispose]();
});

const headersOf = (bearer: string) => ({ requestInit: { headers: { authorization: `Bearer ${bearer}` } } });
const at = (path: string, base = manager.url) => new URL(path, base);
const wordsOf = (result: unknown) => (result as { content: { text: string }[] }).content[0]?.text;

async function legacy(path: string, bearer = token, base = manager.url) {
  const client = new Client({ name: "old", version: "1" }, { capabilities: { elicitation: {} } });
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: { yes: true } }));
  await client.connect(new StreamableHTTPClientTransport(at(path, base), headersOf(bearer)));
  return client;
}

async function modern(path: string, bearer = token) {
  const options = { capabilities: { elicitation: {} }, versionNegotiation: { mode: "auto" as const } };
  const client = new ModernClient({ name: "new", version: "1" }, options);
  client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: { yes: true } }));
  await client.connect(new ModernTransport(at(path), headersOf(bearer)));
  return client;
}

test.each([
  ["/servers/old/mcp", "echo"],
  ["/servers/new/mcp", "echo"],
  ["/mcp", "old__echo"],
  ["/mcp", "new__echo"],
])("clients of both eras on %s call %s", async (path, tool) => {
  for (const open of [legacy, modern]) {
    const client = await open(path);
    await until("the tool", async () => (await client.listTools()).tools.some(({ name }) => name === tool), 20_000);
    expect(wordsOf(await client.callTool({ name: tool, arguments: { text: "hello" } }))).toBe("hello");
    await client.close();
  }
});

test("a server asks its client during a call, in both eras", async () => {
  for (const open of [legacy, modern]) {
    const client = await open("/servers/old/mcp");
    expect(wordsOf(await client.callTool({ name: "ask", arguments: {} }))).toContain('"action":"accept"');
    await client.close();
  }
});

test("HTTP+SSE", async () => {
  const client = new Client({ name: "oldest", version: "1" });
  await client.connect(new SSEClientTransport(at("/servers/old/sse"), headersOf(token)));
  expect(wordsOf(await client.callTool({ name: "echo", arguments: { text: "hello" } }))).toBe("hello");
  await client.close();
});

test("a connection that breaks in the middle of a call: the SDK's client goes on, nothing lost, nothing twice", async () => {
  const cables = new Set<{ end(): void }>();
  const far = new URL(manager.url);
  // Between client and manager: bytes both ways, until somebody cuts.
  using proxy = Bun.listen<{ far?: Bun.Socket; waiting: Buffer[] }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      async open(near) {
        near.data = { waiting: [] };
        const other = await Bun.connect({
          hostname: far.hostname,
          port: Number(far.port),
          socket: { data: (_, chunk) => void near.write(chunk), close: () => void near.end() },
        });
        near.data.far = other;
        for (const chunk of near.data.waiting) other.write(chunk);
        cables.add({ end: () => (near.terminate(), other.terminate()) });
      },
      data: (near, chunk) => void (near.data.far ? near.data.far.write(chunk) : near.data.waiting.push(chunk)),
      close: (near) => void near.data.far?.end(),
    },
  });
  const client = await legacy("/servers/old/mcp", token, `http://127.0.0.1:${proxy.port}`);
  const seen: number[] = [];
  const onprogress = ({ progress }: { progress: number }) => {
    seen.push(progress);
    if (progress % 4 !== 0) return;
    for (const cable of cables) cable.end();
    cables.clear();
  };
  const asked = { name: "slow", arguments: { steps: 10, stepMs: 300 } };
  const result = await client.callTool(asked, undefined, { onprogress, resetTimeoutOnProgress: true });
  expect(wordsOf(result)).toBe("done");
  expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  await client.close();
  proxy.stop(true);
}, 30_000);

test("200 calls at once from clients of both eras: each gets its own answer", async () => {
  const clients = await Promise.all([
    legacy("/mcp"),
    modern("/mcp"),
    legacy("/servers/old/mcp"),
    modern("/servers/new/mcp"),
  ]);
  const tools = ["old__echo", "new__echo", "echo", "echo"];
  const wrong: string[] = [];
  await Promise.all(
    clients.flatMap((client, n) =>
      Array.from({ length: 50 }, async (_, call) => {
        const text = `${n}/${call}`;
        const answer = wordsOf(await client.callTool({ name: tools[n] ?? "", arguments: { text } }));
        if (answer !== text) wrong.push(`${text} got ${answer}`);
      }),
    ),
  );
  expect(wrong).toEqual([]);
  await Promise.all(clients.map((client) => client.close()));
});

test(
  "the official Inspector, over both",
  async () => {
    await installInspector();
    const call = ["--tool-name", "echo", "--tool-arg", "text=seen"];
    const ways = [
      { url: `${manager.url}/servers/new/mcp`, transport: "http" as const },
      { url: `${manager.url}/servers/old/sse`, transport: "sse" as const },
    ];
    const given = { token, home: manager.dir };
    const answers = await Promise.all(ways.map((way) => inspectUrl({ ...way, ...given }, "tools/call", ...call)));
    expect(answers.map(wordsOf)).toEqual(["seen", "seen"]);
  },
  INSTALL_MS,
);

test("linkspan token: create, use, ls, revoke", async () => {
  const made = await manager.run(["token", "create", "laptop", "--servers", "old", "--expires", "30d"]);
  const given = made.out.trim();
  expect(given).toMatch(/^lsp_[\w-]{43}$/);
  expect(made.err).toContain("not shown again");
  const client = await legacy("/servers/old/mcp", given);
  expect(wordsOf(await client.callTool({ name: "echo", arguments: { text: "mine" } }))).toBe("mine");
  expect(await rejection(legacy("/servers/new/mcp", given))).toBeInstanceOf(Error);
  const both = await modern("/mcp", given);
  await until("its tools", async () => (await both.listTools()).tools.length > 0, 20_000);
  expect((await both.listTools()).tools.filter(({ name }) => !name.startsWith("old__"))).toEqual([]);
  await both.close();
  const listed = await manager.run(["token", "ls"]);
  expect(listed.out).toContain("laptop");
  expect(listed.out).not.toContain(given.slice(8));
  expect((await manager.run(["token", "revoke", "laptop"])).code).toBe(0);
  expect(await rejection(client.callTool({ name: "echo", arguments: { text: "gone" } }))).toBeInstanceOf(Error);
  expect((await manager.run(["token", "revoke", "laptop"])).code).toBe(1);
  expect((await manager.run(["token", "create", "laptop", "--expires", "soon"])).code).toBe(1);
  await client.close();
});

test("a token that may only read sees no tool of a server that promises nothing", async () => {
  const made = await manager.run(["token", "create", "looker", "--servers", "old", "--read-only", "--json"]);
  const { token: given } = JSON.parse(made.out) as { token: string };
  const client = await modern("/mcp", given);
  expect((await client.listTools()).tools).toEqual([]);
  await client.close();
});

test("a token of the issuer, checked by the compiled program", async () => {
  const client = await modern("/servers/old/mcp", await issuer.token({ scope: "mcp:old" }));
  expect(wordsOf(await client.callTool({ name: "echo", arguments: { text: "alice" } }))).toBe("alice");
  await client.close();
  expect(await rejection(modern("/servers/new/mcp", await issuer.token({ scope: "mcp:old" })))).toBeInstanceOf(Error);
});

test("the examples of docs/http.md, one after the other", async () => {
  const page = await Bun.file(join(import.meta.dir, "../../docs/http.md")).text();
  const examples = [...page.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, script = ""]) => script);
  expect(examples.length).toBe(5);
  // The server of the page is another here, and so is the tool.
  const here = examples
    .filter((script) => !script.startsWith("LINKSPAN="))
    .join("")
    .replaceAll("/servers/files/", "/servers/old/")
    .replaceAll("read_text_file", "echo")
    .replaceAll('{"path":"/data/todo.txt"}', '{"text":"buy milk"}')
    .replaceAll("curl -sS", "curl --fail-with-body -sS")
    .replaceAll(/^linkspan/gm, BINARY);
  const child = Bun.spawn(["bash", "-euo", "pipefail", "-c", here], {
    env: { ...cleanEnv(manager.env), LINKSPAN: manager.url, AUTH: `Authorization: Bearer ${token}` },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  expect({ code, err: err.replaceAll(/^.*not shown again\.\n/gm, "") }).toEqual({ code: 0, err: "" });
  expect(out.match(/buy milk/g)?.length).toBe(2);
});
