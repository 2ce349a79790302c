/** Tools through REST: a real manager, real server processes, many calls over one session, and everything that ends one. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as v from "valibot";
import { Deadline } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import type { ToolResult } from "../../src/model/rest.ts";
import { problem } from "../../src/model/views.ts";
import { type ApiUnderTest, fixture, startApi } from "../support/api.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";

let api: ApiUnderTest;

beforeAll(async () => {
  api = await startApi("calls");
  await api.client.start("tools", fixture("tools-legacy.ts"));
});
afterAll(() => api[Symbol.asyncDispose]());

const words = (result: ToolResult) => result.content[0]?.text;

async function fault(work: Promise<unknown>): Promise<Fault> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("there was no fault");
}

async function logOf(name: string): Promise<string> {
  let text = "";
  for await (const line of api.client.logs(name)) text += `${line.text}\n`;
  return text;
}

describe("a call", () => {
  test("is answered with the tool's result, unknown fields and all", async () => {
    const response = await api.post("/servers/tools/call", { tool: "echo", arguments: { text: "héllo" } });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      result: { content: [{ type: "text", text: "héllo" }], "x-unknown": { kept: true } },
    });
  });

  test("needs no arguments where the tool needs none", async () => {
    const response = await api.post("/servers/tools/call", { tool: "fail" });
    expect(response.status).toBe(200);
    // The tool says that it failed: that is a result, not a failure of the call.
    expect(await response.json()).toMatchObject({ result: { isError: true } });
  });

  test("passes names of arguments on that mean something to JavaScript", async () => {
    const args = { constructor: 1, prototype: 2, toString: 3 };
    expect(words(await api.client.call("tools", { tool: "keys", arguments: args }))).toBe(
      JSON.stringify(Object.keys(args)),
    );
  });

  test("of a tool that is not there is 404 and names the one that was meant", async () => {
    const response = await api.post("/servers/tools/call", { tool: "ecko", arguments: {} });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ kind: "not-found", hint: "Did you mean echo?" });
  });

  test("on a server that is not there is 404 and names the one that was meant", async () => {
    const response = await api.post("/servers/tool/call", { tool: "echo", arguments: {} });
    expect(response.status).toBe(404);
    expect(v.parse(problem, await response.json()).hint).toContain("tools");
  });

  test("that the server refuses with an error says so", async () => {
    const refused = await fault(api.client.call("tools", { tool: "refuse", arguments: {} }));
    expect(refused.kind).toBe("server-failed");
    expect(refused.message).toContain("not today");
    expect(refused.data).toMatchObject({ rpcCode: -32050 });
  });

  test("carries five megabytes back", async () => {
    const result = await api.client.call("tools", { tool: "big", arguments: { bytes: 5_000_000 } });
    expect(words(result)).toHaveLength(5_000_000);
  });

  test("reports the tool's progress", async () => {
    const steps: (number | undefined)[] = [];
    const report = ({ current }: { current?: number | undefined }) => void steps.push(current);
    await api.client.call("tools", { tool: "slow", arguments: { steps: 4, stepMs: 10 } }, { report });
    expect(steps).toEqual([1, 2, 3, 4]);
  });

  test("that takes too long ends at its deadline, and the server is told", async () => {
    const deadline = Deadline.in(400);
    const slow = api.client.call("tools", { tool: "slow", arguments: { steps: 600, stepMs: 50 } }, { deadline });
    expect((await fault(slow)).kind).toBe("timeout");
    await until("the cancellation", async () => (await logOf("tools")).includes("slow was cancelled"));
  });

  test("with ?timeoutMs= is 504", async () => {
    const response = await api.post("/servers/tools/call?timeoutMs=200", { tool: "never" });
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ kind: "timeout", status: 504 });
  });

  test.each(["a plain answer", "a progress stream"])("whose client goes away from %s is cancelled", async (form) => {
    const cancellations = async () => (await logOf("tools")).split("slow was cancelled").length;
    const before = await cancellations();
    const gone = new AbortController();
    const body = { tool: "slow", arguments: { steps: 600, stepMs: 50 } };
    const call: Promise<unknown> =
      form === "a plain answer"
        ? api.post("/servers/tools/call", body, gone.signal)
        : api.client.call("tools", body, { deadline: Deadline.in(60_000, gone.signal) });
    setTimeout(() => gone.abort(), 200);
    expect(await rejection(call)).toBeInstanceOf(Error);
    await until("the cancellation", async () => (await cancellations()) === before + 1);
  });
});

test("500 calls at once over one session are each given their own answer", async () => {
  const before = await api.client.sessions();
  const texts = Array.from({ length: 500 }, (_, index) => `answer ${index}`);
  const results = await Promise.all(
    texts.map((text) => api.client.call("tools", { tool: "echo", arguments: { text } })),
  );
  expect(results.map(words)).toEqual(texts);
  const ours = (await api.client.sessions()).filter(({ server }) => server === "tools");
  expect(ours).toHaveLength(1);
  expect(ours[0]?.kind).toBe("manager");
  expect(before.map(({ session }) => session)).toContain(ours[0]?.session ?? "");
});

test("all pages of the tools are listed, each tool as the server describes it", async () => {
  const tools = await api.client.tools("tools");
  expect(tools.map(({ name }) => name)).toContain("never");
  expect(tools.every((tool) => JSON.stringify(tool["x-unknown"]) === '{"kept":true}')).toBeTrue();
  expect(new Set(tools.map(({ name }) => name)).size).toBe(11);
});

test("a crash ends every call in flight with its reason, and the next call has a new process", async () => {
  await api.client.start("crashing", fixture("tools-legacy.ts"));
  await api.client.call("crashing", { tool: "echo", arguments: { text: "x" } });
  const waiting = Array.from({ length: 20 }, () =>
    fault(api.client.call("crashing", { tool: "never", arguments: {} })),
  );
  const crash = fault(api.client.call("crashing", { tool: "crash", arguments: { code: 42 } }));
  for (const ended of await Promise.all([crash, ...waiting])) {
    expect(ended.kind).toBe("server-failed");
    expect(`${ended.message} ${JSON.stringify(ended.data)}`).toContain("42");
    expect(JSON.stringify(ended.data)).toContain("about to crash");
  }
  expect(words(await api.client.call("crashing", { tool: "count", arguments: {} }))).toBe("0");
  await api.client.remove("crashing");
});

test("a call starts a server that does not run", async () => {
  await api.client.start("sleeping", fixture("tools-legacy.ts"));
  await api.client.stop("sleeping");
  expect(words(await api.client.call("sleeping", { tool: "echo", arguments: { text: "awake" } }))).toBe("awake");
  expect((await api.client.server("sleeping")).state).toBe("ready");
  await api.client.remove("sleeping");
});

test("a session that only waits for calls does not keep a server from a new spec", async () => {
  const spec = (value: string) => ({ ...fixture("tools-legacy.ts"), env: { WHICH: value } });
  const which = async () =>
    words(await api.client.call("changing", { tool: "environment", arguments: { name: "WHICH" } }));
  await api.client.start("changing", spec("one"));
  expect(await which()).toBe("one");
  await api.client.start("changing", spec("two"));
  expect(await which()).toBe("two");
  await api.client.remove("changing");
});
