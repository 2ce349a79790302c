/** What a narrower token leaves of an upstream. */
import { describe, expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import type { Attachment, Exchange, Reply } from "../../src/gateway/exchange.ts";
import { type Scope, scoped } from "../../src/gateway/scope.ts";
import { FakeUpstream, result, text } from "./clients/fake.ts";

const tool = (name: string, readOnlyHint?: unknown) => ({
  name,
  inputSchema: {},
  ...(readOnlyHint === undefined ? {} : { annotations: { readOnlyHint } }),
});
/** Two pages, the second of which has the tool that reads. */
const PAGES = [
  { tools: [tool("write"), tool("wipe", false), tool("lie", "true")], nextCursor: "2" },
  { tools: [tool("read", true), tool("reread", true)] },
];

function open(scope: Scope): { attachment: Attachment; upstream: FakeUpstream } {
  const upstream = new FakeUpstream("legacy", ({ method, params }) =>
    method === "tools/list" ? result("legacy", PAGES[params.cursor === "2" ? 1 : 0]) : text("legacy", method),
  );
  const client = { era: "legacy", principal: "a", info: undefined, capabilities: {} } as const;
  return { attachment: scoped(upstream, scope).attach(client), upstream };
}

const ask = (attachment: Attachment, method: string, params: Record<string, unknown> = {}): Promise<Reply> => {
  const exchange: Exchange = {
    method,
    params,
    signal: new AbortController().signal,
    capabilities: {},
    rounds: false,
  };
  return attachment.request(exchange);
};
const listed = (reply: Reply) =>
  reply.kind === "result" ? (reply.result.value as { tools: { name: string }[] }).tools.map(({ name }) => name) : reply;

describe("of some tools", () => {
  const scope = { tools: ["read", "wri*"], readOnly: false };
  test("others are not listed, page by page, and the cursor stays", async () => {
    const { attachment } = open(scope);
    const first = await ask(attachment, "tools/list");
    expect(listed(first)).toEqual(["write"]);
    expect(first.kind === "result" && (first.result.value as { nextCursor: string }).nextCursor).toBe("2");
    expect(listed(await ask(attachment, "tools/list", { cursor: "2" }))).toEqual(["read"]);
  });
  test.each(["wipe", "reread", "", undefined, 7, { read: true }])("%j is not called", async (name) => {
    const { attachment, upstream } = open(scope);
    expect(await ask(attachment, "tools/call", { name })).toMatchObject({ kind: "error", error: { code: -32602 } });
    expect(upstream.exchanges).toEqual([]);
  });
  test.each(["prompts/get", "resources/read", "completion/complete", "tasks/get", "resources/templates/list"])(
    "there is no %s",
    async (method) => {
      const { attachment, upstream } = open(scope);
      expect(await ask(attachment, method)).toMatchObject({ kind: "error", error: { code: -32601 } });
      expect(upstream.exchanges).toEqual([]);
    },
  );
  test("nothing else is declared, or listened to", async () => {
    const { attachment, upstream } = open(scope);
    const { capabilities } = await attachment.describe(Deadline.in(1_000));
    expect(Object.keys(capabilities).sort()).toEqual(["logging", "tools"]);
    const everything = { toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: ["x"] };
    await attachment.listen(
      everything,
      () => {},
      new AbortController().signal,
      () => {},
    );
    expect(upstream.listens[0]?.filter).toEqual({ toolsListChanged: true });
  });
});

describe("read only", () => {
  const scope = { tools: undefined, readOnly: true };
  test("only tools that say so are listed and called; who has listed nothing is looked up for, on every page", async () => {
    const { attachment, upstream } = open(scope);
    expect((await ask(attachment, "tools/call", { name: "reread" })).kind).toBe("result");
    for (const name of ["write", "wipe", "lie", "none"]) {
      expect((await ask(attachment, "tools/call", { name })).kind).toBe("error");
    }
    expect(upstream.exchanges.map(({ method }) => method)).toEqual(["tools/list", "tools/list", "tools/call"]);
    expect(listed(await ask(attachment, "tools/list"))).toEqual([]);
    expect(listed(await ask(attachment, "tools/list", { cursor: "2" }))).toEqual(["read", "reread"]);
  });
  test("prompts and resources are for reading, and stay", async () => {
    const { attachment } = open(scope);
    expect((await ask(attachment, "resources/read", { uri: "a:b" })).kind).toBe("result");
    expect((await attachment.describe(Deadline.in(1_000))).capabilities).toHaveProperty("prompts");
  });
});

test("a scope of everything is the upstream itself", () => {
  const upstream = new FakeUpstream("modern", () => text("modern", ""));
  expect(scoped(upstream, { tools: undefined, readOnly: false })).toBe(upstream);
});

test("calls that look at the annotations at the same time do not take them from each other", async () => {
  const pages: (() => void)[] = [];
  const upstream = new FakeUpstream("legacy", async ({ method, params }) => {
    if (method !== "tools/list") return text("legacy", method);
    await new Promise<void>((resolve) => pages.push(resolve));
    return result("legacy", params.cursor === "2" ? { tools: [] } : { tools: [tool("read", true)], nextCursor: "2" });
  });
  const client = { era: "legacy", principal: "a", info: undefined, capabilities: {} } as const;
  const attachment = scoped(upstream, { tools: undefined, readOnly: true }).attach(client);
  const next = async () => {
    while (pages.length === 0) await Bun.sleep(1);
    pages.shift()?.();
    await Bun.sleep(1);
  };
  const first = ask(attachment, "tools/call", { name: "read" });
  await next();
  const second = ask(attachment, "tools/call", { name: "read" });
  await next();
  expect(await first).toMatchObject({ kind: "result" });
  const third = ask(attachment, "tools/call", { name: "read" });
  await next();
  await next();
  expect(await second).toMatchObject({ kind: "result" });
  expect(await third).toMatchObject({ kind: "result" });
});

test("nobody knows what a method of a server's own does: a token for reading does not get to it", async () => {
  const { attachment, upstream } = open({ tools: undefined, readOnly: true });
  for (const method of ["vendor/wipe", "tools/install", "resources/delete", "logging/setLevels"])
    expect(await ask(attachment, method)).toMatchObject({ kind: "error", error: { code: -32601 } });
  expect(upstream.exchanges).toEqual([]);
  for (const method of ["prompts/get", "resources/read", "completion/complete", "tasks/get"])
    expect(await ask(attachment, method)).toMatchObject({ kind: "result" });
});
