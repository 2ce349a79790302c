/** Tokens of a real issuer: found through metadata, checked by its keys, narrowed by their scopes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { generateKeyPair, SignJWT } from "jose";
import { HttpSession } from "../../../src/api/mcp/session.ts";
import { SessionRegistry } from "../../../src/api/mcp/sessions.ts";
import { FakeUpstream, text } from "../../gateway/clients/fake.ts";
import { type Issuer, startIssuer } from "../../support/issuer.ts";
import { rejection } from "../../support/rejection.ts";
import { call, initialize, type McpUnderTest, modern, post, startMcp } from "./support.ts";

const audience = "https://mcp.example.org";
let issuer: Issuer;
let mcp: McpUnderTest;
beforeAll(async () => {
  issuer = await startIssuer({ audience });
  mcp = await startMcp("oauth", { oauth: { issuer: issuer.url, audience } });
});
afterAll(async () => {
  await mcp[Symbol.asyncDispose]();
  issuer[Symbol.dispose]();
});

const statusOf = async (token: string, path?: string) =>
  (await modern(mcp, "tools/list", {}, path === undefined ? { token } : { token, path })).status;

test("a refusal names the metadata, and the metadata the issuer", async () => {
  for (const path of ["/mcp", "/servers/files/mcp"]) {
    const refused = await post(mcp, call("echo"), { token: "none", path });
    const challenge = refused.headers.get("www-authenticate") ?? "";
    expect([refused.status, challenge.startsWith("Bearer ")]).toEqual([401, true]);
    const url = /resource_metadata="([^"]+)"/.exec(challenge)?.[1] ?? "";
    expect(url).toBe(`${mcp.url}/.well-known/oauth-protected-resource${path}`);
    expect(await (await fetch(url)).json()).toMatchObject({
      resource: `${mcp.url}${path}`,
      authorization_servers: [issuer.url],
      scopes_supported: ["mcp"],
    });
  }
  const plain = await (await fetch(`${mcp.url}/.well-known/oauth-protected-resource`)).json();
  expect(plain).toMatchObject({ resource: `${mcp.url}/mcp` });
  expect((await fetch(`${mcp.url}/.well-known/oauth-protected-resource/servers`)).status).toBe(404);
});

test("a good token gets in, and the issuer is asked for its keys once", async () => {
  const token = await issuer.token();
  expect(await Promise.all([1, 2, 3].map(() => statusOf(token)))).toEqual([200, 200, 200]);
  expect(await statusOf(await issuer.token({ sub: "bob" }))).toBe(200);
  expect(issuer.keyRequests).toBe(1);
});

describe("a token is refused that", () => {
  const now = () => Math.floor(Date.now() / 1000);
  test.each<[string, () => Record<string, unknown>]>([
    ["is for somebody else", () => ({ aud: "https://other.example.org" })],
    ["is of another issuer", () => ({ iss: "https://evil.example" })],
    ["has expired", () => ({ exp: now() - 60 })],
    ["is not valid yet", () => ({ nbf: now() + 120 })],
    ["never expires", () => ({ exp: undefined })],
    ["is nobody's", () => ({ sub: undefined })],
  ])("%s", async (_what, claims) => {
    const refused = await modern(mcp, "tools/list", {}, { token: await issuer.token(claims()) });
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toContain('error="invalid_token"');
  });
  test("is signed by somebody else", async () => {
    const { privateKey } = await generateKeyPair("ES256");
    const claims = { iss: issuer.url, aud: audience, sub: "alice", scope: "mcp", exp: now() + 60 };
    const forged = await new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: "1" }).sign(privateKey);
    expect(await statusOf(forged)).toBe(401);
  });
  test("is signed with a shared secret, or not at all", async () => {
    const claims = { iss: issuer.url, aud: audience, sub: "alice", scope: "mcp", exp: now() + 60 };
    const secret = new TextEncoder().encode("x".repeat(32));
    expect(await statusOf(await new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: "1" }).sign(secret))).toBe(
      401,
    );
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    expect(await statusOf(`${part({ alg: "none" })}.${part(claims)}.`)).toBe(401);
    expect(await statusOf(`${part({ alg: "none" })}.${part(claims)}.AAAA`)).toBe(401);
  });
});

describe("scopes", () => {
  test("of servers and tools; others than ours count for nothing", async () => {
    const token = await issuer.token({ scope: "openid mcp:files mcp:more__* profile" });
    expect(await statusOf(token, "/servers/files/mcp")).toBe(200);
    expect(await statusOf(token, "/servers/other/mcp")).toBe(403);
    await statusOf(token);
    expect(mcp.selections.at(-1)?.allow).toEqual(["files", "more__*"]);
  });
  test("as a list (scp)", async () => {
    expect(await statusOf(await issuer.token({ scope: undefined, scp: ["mcp"] }))).toBe(200);
  });
  test("none of ours: 403, with what is needed", async () => {
    const refused = await modern(mcp, "tools/list", {}, { token: await issuer.token({ scope: "email" }) });
    expect(refused.status).toBe(403);
    expect(refused.headers.get("www-authenticate")).toMatch(/error="insufficient_scope".*scope="mcp"/);
  });
  test("as the configuration has them", async () => {
    const scopes = { reader: ["files"], admin: ["*"] };
    const url = "https://mcp.example.org";
    await using named = await startMcp("scopes", { oauth: { issuer: issuer.url, audience, scopes, url } });
    const as = async (scope: string) =>
      (await modern(named, "tools/list", {}, { token: await issuer.token({ scope }) })).status;
    expect([await as("reader"), await as("admin"), await as("mcp")]).toEqual([200, 200, 403]);
    expect(named.selections.map(({ allow }) => allow)).toEqual([["files"], undefined]);
    const found = await (await fetch(`${named.url}/.well-known/oauth-protected-resource/mcp`)).json();
    expect(found).toMatchObject({ resource: `${url}/mcp`, scopes_supported: ["reader", "admin"] });
  });
});

test("a session belongs to issuer and subject, with a newer token, too", async () => {
  const headers = await initialize(mcp, "2025-11-25", { token: await issuer.token({ jti: "1" }) });
  expect((await post(mcp, call("echo"), { headers, token: await issuer.token({ jti: "2" }) })).status).toBe(200);
  expect((await post(mcp, call("echo"), { headers, token: await issuer.token({ sub: "eve" }) })).status).toBe(404);
  expect((await post(mcp, call("echo"), { headers })).status).toBe(404);
  // Less than it was opened with is not enough for what was opened.
  const narrow = await issuer.token({ scope: "mcp:files" });
  expect((await post(mcp, call("echo"), { headers, token: narrow })).status).toBe(404);
});

test("a session lasts as long as the newest of its client's tokens", async () => {
  const caller = (endsAt: number) => {
    const end = new AbortController();
    return { end, caller: { principal: "a", allow: undefined, readOnly: false, ended: end.signal, endsAt } };
  };
  const [first, second, older] = [caller(1_000), caller(2_000), caller(500)];
  const registry = new SessionRegistry<HttpSession>();
  const upstream = new FakeUpstream("legacy", () => text("legacy", ""));
  const session = registry.admit(
    first.caller,
    (id, onClose) => new HttpSession(id, first.caller, "x", upstream, onClose),
  );
  for (const { caller: again } of [second, older]) expect(registry.get(session.id, again, "x")).toBe(session);
  first.end.abort();
  older.end.abort();
  expect(registry.size).toBe(1);
  second.end.abort();
  expect(registry.size).toBe(0);
  await registry.close();
});

test("OpenID Connect's metadata, and one that is not whom it is asked for", async () => {
  using other = await startIssuer({ audience, discovery: "oidc" });
  await using found = await startMcp("oidc", { oauth: { issuer: other.url, audience } });
  expect((await modern(found, "tools/list", {}, { token: await other.token() })).status).toBe(200);
  using liar = await startIssuer({ audience, saysItIs: other.url });
  await using refused = await startMcp("liar", { oauth: { issuer: liar.url, audience } });
  expect((await modern(refused, "tools/list", {}, { token: await liar.token() })).status).toBe(503);
});

test("an issuer that does not answer: 503, and our own tokens go on", async () => {
  await using alone = await startMcp("alone", { oauth: { issuer: "http://127.0.0.1:9", audience } });
  expect((await modern(alone, "tools/list", {}, { token: await issuer.token() })).status).toBe(503);
  expect((await modern(alone, "tools/list")).status).toBe(200);
});

test("the SDK's client learns that it needs authorization, and gets in with a token", async () => {
  const connect = async (token: string) => {
    const client = new Client({ name: "c", version: "1" }, { versionNegotiation: { mode: "auto" } });
    const requestInit = { headers: { authorization: `Bearer ${token}` } };
    await client.connect(new StreamableHTTPClientTransport(new URL(`${mcp.url}/mcp`), { requestInit }));
    return client;
  };
  expect(await rejection(connect("none"))).toBeInstanceOf(Error);
  const client = await connect(await issuer.token());
  expect((await client.listTools()).tools.length).toBe(5);
  await client.close();
});
