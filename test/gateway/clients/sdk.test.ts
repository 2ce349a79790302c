/** Real clients of both SDKs at the legs, with an upstream of either era behind them. */
import { expect, test } from "bun:test";
import { Client as ModernClient } from "@modelcontextprotocol/client";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import {
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import type { Era, Question } from "../../../src/gateway/exchange.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";
import { ChannelTransport } from "./channel.ts";
import { FakeUpstream, result, text } from "./fake.ts";

const FORM: Question = {
  method: "elicitation/create",
  params: { message: "Name?", requestedSchema: { type: "object", properties: { name: { type: "string" } } } },
};
const ANSWER = { action: "accept" as const, content: { name: "Ada" } };
const ROOTS = { roots: [{ uri: "file:///srv/one" }] };
const modernOnly = { resultType: "complete", ttlMs: 1, cacheScope: "public" };

/** Its questions come as a legacy server's do; the pool of servers does the same for a modern one and a legacy client. */
function serving(era: Era): FakeUpstream {
  const extra = era === "modern" ? modernOnly : {};
  return new FakeUpstream(era, async (exchange) => {
    const { method, params } = exchange;
    if (method === "tools/list") {
      const outputSchema = era === "modern" ? { type: "array", items: { type: "number" } } : { type: "object" };
      const inputSchema = { type: "object" };
      return result(era, {
        ...extra,
        tools: [{ name: "x", inputSchema, outputSchema }],
        nextCursor: params.cursor ? undefined : "2",
      });
    }
    if (method === "resources/read")
      return {
        kind: "error",
        error: { code: era === "legacy" ? -32002 : -32602, message: "none", data: { uri: params.uri } },
      };
    if (method === "completion/complete") return result(era, { ...extra, completion: { values: ["a", "b"] } });
    if (method !== "tools/call") return { kind: "error", error: { code: -32601, message: method } };
    if (params.name === "slow") {
      await new Promise((_, reject) => exchange.signal.addEventListener("abort", () => reject(new Error("off"))));
    }
    if (params.name === "log") exchange.log?.tell({ level: "error", data: "look" });
    exchange.progress?.({ progress: 1, total: 2 });
    exchange.progress?.({ progress: 2, total: 2 });
    if (params.name === "ask") {
      const [name, roots] = await Promise.all([
        exchange.ask?.(FORM, exchange.signal),
        exchange.ask?.({ method: "roots/list", params: {} }, exchange.signal),
      ]);
      return text(era, JSON.stringify([name, roots]));
    }
    if (params.name === "x")
      return result(era, { ...extra, content: [], structuredContent: era === "modern" ? [1, 2] : { a: 1 } });
    return text(era, "done");
  });
}

for (const era of ["legacy", "modern"] as const) {
  test(`SDK 1.x and a ${era} server`, async () => {
    const upstream = serving(era);
    const transport = new ChannelTransport(upstream);
    const client = new LegacyClient({ name: "t", version: "1" }, { capabilities: { elicitation: {}, roots: {} } });
    client.setRequestHandler(ElicitRequestSchema, () => ANSWER);
    client.setRequestHandler(ListRootsRequestSchema, () => ROOTS);
    const heard: unknown[] = [];
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void heard.push(params.data));
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => void heard.push("tools"));
    await client.connect(transport);
    expect(client.getServerVersion()).toEqual({ name: "fake", version: "1" });
    expect(client.getInstructions()).toBe("Be kind");
    const page = await client.listTools();
    expect(page.nextCursor).toBe("2");
    expect(page).not.toHaveProperty("ttlMs");
    expect((await client.listTools({ cursor: "2" })).tools).toHaveLength(1);
    const value = era === "modern" ? { result: [1, 2] } : { a: 1 };
    expect((await client.callTool({ name: "x" })).structuredContent).toEqual(value);
    expect((await client.callTool({ name: "ask" })).content).toEqual([
      { type: "text", text: JSON.stringify([ANSWER, ROOTS]) },
    ]);
    await client.callTool({ name: "steps" }, undefined, { onprogress: () => {} });
    const steps = transport.received.filter(({ method }) => method === "notifications/progress");
    expect(steps.map(({ params }) => params?.progress)).toEqual([1, 2]);
    await client.setLoggingLevel("warning").catch(() => {});
    await client.callTool({ name: "log" });
    await until("the log message", () => heard.includes("look"));
    upstream.listens[0]?.hear({ method: "notifications/tools/list_changed", params: {} });
    await until("the change", () => heard.includes("tools"));
    expect(await rejection(client.readResource({ uri: "a://1" }))).toMatchObject({ code: -32002 });
    const { completion } = await client.complete({
      ref: { type: "ref/prompt", name: "p" },
      argument: { name: "n", value: "" },
    });
    expect(completion.values).toEqual(["a", "b"]);
    const abort = new AbortController();
    const slow = client.callTool({ name: "slow" }, undefined, { signal: abort.signal });
    await until("the call", () => upstream.exchanges.at(-1)?.params.name === "slow");
    abort.abort("enough");
    await rejection(slow);
    expect(upstream.exchanges.at(-1)?.signal.aborted).toBe(true);
    await client.close();
    expect(upstream.closed).toBe(1);
  });

  test(`SDK 2.x and a ${era} server`, async () => {
    const upstream = serving(era);
    const transport = new ChannelTransport(upstream);
    const options = { versionNegotiation: { mode: "auto" as const }, capabilities: { elicitation: {}, roots: {} } };
    const client = new ModernClient({ name: "t", version: "2" }, options);
    client.setRequestHandler("elicitation/create", async () => ANSWER);
    client.setRequestHandler("roots/list", async () => ROOTS);
    await client.connect(transport);
    expect(client.getNegotiatedProtocolVersion()).toBe("2026-07-28");
    expect(client.getServerVersion()).toMatchObject({ name: "fake", version: "1" });
    expect((await client.listTools({ cursor: "2" })).tools).toHaveLength(1);
    const value = era === "modern" ? [1, 2] : { a: 1 };
    expect((await client.callTool({ name: "x" })).structuredContent).toEqual(value);
    expect((await client.callTool({ name: "ask" })).content).toMatchObject([{ text: JSON.stringify([ANSWER, ROOTS]) }]);
    await client.callTool({ name: "steps" }, { onprogress: () => {} });
    const steps = transport.received.filter(({ method }) => method === "notifications/progress");
    expect(steps.map(({ params }) => params?.progress)).toEqual([1, 2]);
    const heard: string[] = [];
    client.setNotificationHandler("notifications/tools/list_changed", () => void heard.push("tools"));
    const listening = await client.listen({ toolsListChanged: true });
    upstream.listens[0]?.hear({ method: "notifications/tools/list_changed", params: {} });
    await until("the change", () => heard.includes("tools"));
    await listening.close();
    await until("the end of the listen", () => upstream.listens[0]?.signal.aborted);
    expect(await rejection(client.readResource({ uri: "a://1" }))).toMatchObject({ code: -32602 });
    const { completion } = await client.complete({
      ref: { type: "ref/prompt", name: "p" },
      argument: { name: "n", value: "" },
    });
    expect(completion.values).toEqual(["a", "b"]);
    const abort = new AbortController();
    const slow = client.callTool({ name: "slow" }, { signal: abort.signal });
    await until("the call", () => upstream.exchanges.at(-1)?.params.name === "slow");
    abort.abort("enough");
    await rejection(slow);
    await until("the cancellation", () => upstream.exchanges.at(-1)?.signal.aborted);
    await client.close();
    expect(upstream.closed).toBe(1);
  });
}
