/** What of a server's answers is kept for the next client, and which question gets it: without I/O. */
import { describe, expect, test } from "bun:test";
import { Conversation } from "../../src/front/conversation.ts";
import { Manifest } from "../../src/front/manifest.ts";
import type { ManifestAnswers } from "../../src/model/manifest.ts";

type Params = Record<string, unknown>;
interface Answer {
  jsonrpc?: string;
  id: unknown;
  result?: Params;
  error?: Params;
}

const bytes = (message: unknown) => Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", ...(message as object) })}\n`);
const ask = (id: unknown, method: string, params: Params = {}) => bytes({ id, method, params });
const HELLO = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "a", version: "1" } };
const WELCOME = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: {} },
  serverInfo: { name: "table", version: "1" },
};
const TOOLS = { tools: [{ name: "a", inputSchema: {} }] };

function front(): { manifest: Manifest; conversation: Conversation } {
  const manifest = new Manifest("m-");
  return { manifest, conversation: new Conversation({ prefix: "p-", repeat: false, manifest }) };
}

/** What is kept of a session in which each of these was asked and answered. */
function kept(...exchanges: [method: string, params: Params, answer: Params][]): ManifestAnswers {
  const { manifest, conversation } = front();
  for (const [index, [method, params, answer]] of exchanges.entries()) {
    conversation.passed(ask(index + 10, method, params));
    conversation.received(bytes({ id: index + 10, ...answer }));
  }
  const news = Object.entries(manifest.takeNews() ?? {});
  return Object.fromEntries(news.flatMap(([question, answer]) => (answer === null ? [] : [[question, answer]])));
}

/** What a client that writes these lines is answered from the manifest. */
function recalled(answers: ManifestAnswers, ...lines: Buffer[]): Answer[] {
  const { manifest, conversation } = front();
  manifest.learn(answers);
  const { answers: text } = conversation.recall(conversation.take(Buffer.concat(lines)));
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Answer);
}

const SESSION = kept(
  ["initialize", HELLO, { result: WELCOME }],
  ["tools/list", { _meta: { progressToken: 1 } }, { result: TOOLS }],
);

describe("what is asked again", () => {
  test("is answered under its own id, to the byte", () => {
    const answers = recalled(SESSION, ask("x\ny", "initialize", HELLO), ask(7, "tools/list"), ask(8, "tools/call"));
    expect(answers).toEqual([
      { jsonrpc: "2.0", id: "x\ny", result: WELCOME },
      { jsonrpc: "2.0", id: 7, result: TOOLS },
    ]);
  });

  test("is left to the server where the handshake was another, or none", () => {
    expect(recalled(SESSION, ask(1, "tools/list"))).toEqual([]);
    for (const changed of [{ protocolVersion: "2025-06-18" }, { capabilities: { roots: {} } }, { clientInfo: {} }]) {
      expect(recalled(SESSION, ask(1, "initialize", { ...HELLO, ...changed }), ask(2, "tools/list"))).toEqual([]);
    }
    const listOnly = Object.fromEntries(Object.entries(SESSION).slice(1));
    expect(recalled(listOnly, ask(1, "initialize", HELLO), ask(2, "tools/list"))).toEqual([]);
  });

  test("of the newer era counts with the protocol's own metadata, and without any other", () => {
    const _meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
    const session = kept(["tools/list", { _meta }, { result: { ...TOOLS, resultType: "complete", ttlMs: 60_000 } }]);
    const [answer] = recalled(session, ask(1, "tools/list", { _meta: { ..._meta, "example.com/trace": "b" } }));
    expect(answer?.result).toEqual({ ...TOOLS, resultType: "complete", ttlMs: 0 });
    const other = { "io.modelcontextprotocol/protocolVersion": "2027-01-01" };
    expect(recalled(session, ask(1, "tools/list", { _meta: other }))).toEqual([]);
  });
});

test.each([
  ["a list with another page", "tools/list", {}, { result: { ...TOOLS, nextCursor: "2" } }],
  ["a later page", "tools/list", { cursor: "2" }, { result: TOOLS }],
  ["a call", "tools/call", { name: "a" }, { result: { content: [] } }],
  ["an error of the moment", "tools/list", {}, { error: { code: -32603, message: "later" } }],
  ["the bridge's word that the server ended", "tools/list", {}, { error: { code: -32052, message: "it ended" } }],
  ["an unfinished result", "tools/list", {}, { result: { ...TOOLS, resultType: "input_required" } }],
  ["a refused handshake", "initialize", HELLO, { error: { code: -32602, message: "no" } }],
  ["what is too long", "tools/list", {}, { result: { tools: ["x".repeat(1024 * 1024)] } }],
] as const)("%s is not kept", (_, method, params, answer) => {
  expect(kept([method, params, answer])).toEqual({});
});

test("that a server does not know the newer era is kept", () => {
  const session = kept(["server/discover", {}, { error: { code: -32601, message: "unknown" } }]);
  expect(recalled(session, ask(1, "server/discover"))).toMatchObject([{ id: 1, error: { code: -32601 } }]);
});

test("the server is left what was not answered, and the counts are of that alone", () => {
  const { manifest, conversation } = front();
  manifest.learn(SESSION);
  conversation.holding = true;
  const initialized = bytes({ method: "notifications/initialized" });
  const call = ask(3, "tools/call", { name: "a" });
  const lines = Buffer.concat([ask(1, "initialize", HELLO), initialized, ask(2, "tools/list"), call]);
  const { rest } = conversation.recall(conversation.take(lines));
  expect(Buffer.concat(rest).toString()).toBe(call.toString());
  expect([conversation.countLines(), conversation.size, conversation.repeatable]).toEqual([1, 1, true]);
});

test("nothing is said twice to the manager, and a list that got pages is taken back", () => {
  const { manifest, conversation } = front();
  manifest.learn(SESSION);
  conversation.passed(ask(1, "initialize", HELLO));
  conversation.received(bytes({ id: 1, result: WELCOME }));
  expect(manifest.takeNews()).toBeUndefined();
  conversation.passed(ask(2, "tools/list"));
  conversation.received(bytes({ id: 2, result: { ...TOOLS, nextCursor: "2" } }));
  expect(Object.values(manifest.takeNews() ?? {})).toEqual([null]);
});
