/** The toolset over HTTP: the built binary, clients of both SDKs, and those that are to be kept out. */
import { Client as OldClient } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport as OldTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { createContainer, removeContainer, startContainer } from "../../src/docker/containers.ts";
import { BINARY } from "../support/binary.ts";
import { ENGINE, engineTest } from "../support/engine.ts";
import { busyboxImage } from "../support/images.ts";
import { until } from "../support/until.ts";

const web = `linkspan-test-http-${process.pid}`;
const deadline = () => Deadline.in(20_000);
let dataDir = "";

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "linkspan-test-http-"));
  if (!ENGINE) return;
  const Image = await busyboxImage(ENGINE);
  const config = { Image, Entrypoint: ["/bin/busybox"], Cmd: ["sleep", "600"], HostConfig: { NetworkMode: "none" } };
  await createContainer(ENGINE, web, config, deadline());
  await startContainer(ENGINE, web, deadline());
}, 60_000);
afterAll(async () => {
  await rm(dataDir, { recursive: true, force: true });
  if (ENGINE) await removeContainer(ENGINE, web, deadline());
});

/** Serves until it is disposed of. */
async function serve(args: string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([BINARY, "mcp", "--toolset", "docker", "--port", "0", ...args], {
    env: { ...process.env, LINKSPAN_DATA_DIR: dataDir, MCP_JSON_LOGGING: "true", ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  const reading = (async () => {
    for await (const chunk of child.stderr) said += Buffer.from(chunk).toString();
  })();
  const url = await until("the address", () => /"url":"([^"]+)"/.exec(said)?.[1]);
  const token = (await Bun.file(join(dataDir, "token")).exists())
    ? (await Bun.file(join(dataDir, "token")).text()).trim()
    : "";
  return {
    url: new URL(url),
    token,
    headers: { authorization: `Bearer ${token}` },
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
      await reading;
    },
  };
}

type Served = Awaited<ReturnType<typeof serve>>;

async function modern({ url, headers }: Served, mode: "modern" | "legacy") {
  const client = new Client(
    { name: "t", version: "1" },
    { versionNegotiation: { mode: mode === "modern" ? { pin: "2026-07-28" } : "legacy" } as never },
  );
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  return client;
}

for (const era of ["modern", "legacy"] as const) {
  engineTest(`a ${era} client of /mcp calls tools and hears of changes`, async () => {
    await using served = await serve(["--transport", "http"]);
    const client = await modern(served, era);
    const { structuredContent } = await client.callTool({ name: "docker_version", arguments: {} });
    expect(structuredContent).toMatchObject({ version: expect.stringMatching(/^\d+\./) });
    const updates: string[] = [];
    client.setNotificationHandler("notifications/resources/updated", ({ params }) => void updates.push(params.uri));
    const uri = `container://stats/${web}`;
    const listening = era === "modern" ? await client.listen({ resourceSubscriptions: [uri] }) : undefined;
    if (!listening) await client.subscribeResource({ uri });
    await until("two updates", () => updates.length >= 2);
    expect(new Set(updates)).toEqual(new Set([uri]));
    if (listening) await listening.close();
    else await client.unsubscribeResource({ uri });
    await client.close();
  });
}

engineTest("clients of the SDK 1.x: sessions of /mcp, and HTTP+SSE", async () => {
  for (const transport of ["http", "sse"] as const) {
    await using served = await serve(["--transport", transport]);
    const { url, headers } = served;
    const client = new OldClient({ name: "old", version: "1" });
    const wire =
      transport === "http"
        ? new OldTransport(url, { requestInit: { headers } })
        : new SSEClientTransport(url, {
            requestInit: { headers },
            eventSourceInit: {
              fetch: (input, init) =>
                fetch(input, { ...init, headers: { ...init?.headers, ...headers } } as RequestInit),
            },
          });
    await client.connect(wire as never);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toContain("docker_list_containers");
    const { content } = (await client.callTool({ name: "docker_version", arguments: {} })) as {
      content: { text: string }[];
    };
    expect(content[0]?.text).toMatch(/\d+\./);
    await client.close();
  }
});

const initialize = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } },
};

test("who is no client of ours is kept out", async () => {
  await using served = await serve(["--transport", "http"]);
  const post = async (headers: Record<string, string>, body = JSON.stringify(initialize), path = "/mcp") => {
    const all = { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers };
    const answer = await fetch(new URL(path, served.url), { method: "POST", headers: all, body });
    await answer.body?.cancel();
    return answer.status;
  };
  const right = served.headers;
  expect(await post(right)).toBe(200);
  expect(await post({})).toBe(401);
  expect(await post({ authorization: "Bearer wrong" })).toBe(401);
  expect(await post({ ...right, host: "evil.example" })).toBe(403);
  expect(await post({ ...right, origin: "http://evil.example" })).toBe(403);
  expect(await post({ ...right, "content-type": "text/plain" })).toBe(501);
  expect(await post(right, "{")).toBe(400);
  expect(await post(right, "x".repeat(5 * 1024 * 1024))).toBe(413);
  expect(await post(right, undefined, "/sse")).toBe(404);
  expect(await post({ ...right, "mcp-session-id": crypto.randomUUID() })).toBe(404);
  expect((await stat(join(dataDir, "token"))).mode & 0o777).toBe(0o600);
});

test("without a token on loopback only, and web pages are kept out all the same", async () => {
  await using served = await serve(["--transport", "sse", "--no-auth"]);
  const open = async (headers: Record<string, string>) => {
    const answer = await fetch(served.url, { headers });
    await answer.body?.cancel();
    return answer.status;
  };
  expect(await open({})).toBe(200);
  expect(await open({ host: "evil.example" })).toBe(403);
  expect(await open({ origin: "http://evil.example" })).toBe(403);
  const refused = Bun.spawnSync([
    BINARY,
    "mcp",
    "--toolset",
    "docker",
    "--transport",
    "http",
    "--host",
    "0.0.0.0",
    "--no-auth",
  ]);
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr.toString()).toContain("loopback");
});

test("settings come from --env-file, and the log goes where it is asked for", async () => {
  const [file, log] = [join(dataDir, "settings.env"), join(dataDir, "logs", "tools.log")];
  await writeFile(
    file,
    `# for the test\nexport MCP_SERVER_NAME="from the file"\nMCP_LOG_LEVEL=DEBUG # all\nMCP_SERVER_VERSION=file\n`,
  );
  const env = {
    MCP_DOCKER_LOG_PATH: log,
    MCP_SERVER_VERSION: "set",
    LINKSPAN_DATA_DIR: dataDir,
    PATH: process.env.PATH ?? "",
  };
  const child = Bun.spawn([BINARY, "mcp", "--toolset", "docker", "--env-file", file], {
    env,
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.write(`${JSON.stringify(initialize)}\n`);
  await child.stdin.flush();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  expect(JSON.parse(Buffer.from(value ?? []).toString())).toMatchObject({
    result: { serverInfo: { name: "from the file", version: "set" } },
  });
  await child.stdin.end();
  expect(await child.exited).toBe(0);
  expect(await child.stderr.text()).toBe("");
  expect(await Bun.file(log).text()).toMatch(/debug serving the Docker tools/);
  expect((await stat(log)).mode & 0o777).toBe(0o600);
  await writeFile(file, "A=1\nnonsense hunter2\n");
  const refused = Bun.spawnSync([BINARY, "mcp", "--toolset", "docker", "--env-file", file]);
  expect([refused.exitCode, refused.stderr.toString()]).toEqual([1, expect.stringContaining("line 2")]);
  expect(refused.stderr.toString()).not.toContain("hunter2");
});
