/** The era in which a server is asked: legacy where it takes it, modern in a process of its own where it does not. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { type ApiUnderTest, fixture, startApi } from "../support/api.ts";

let api: ApiUnderTest;

beforeAll(async () => {
  api = await startApi("eras");
});
afterAll(() => api[Symbol.asyncDispose]());

/** How often the server's process was started: each one says so on stderr. */
async function processes(name: string): Promise<number> {
  let count = 0;
  for await (const { text } of api.client.logs(name)) if (text.includes(" is up")) count += 1;
  return count;
}

async function call(name: string, tool: string): Promise<unknown> {
  const result = await api.client.call(name, { tool, arguments: { text: "hello" } });
  return result.content[0]?.text;
}

async function refusal(name: string, deadline = Deadline.in(20_000)): Promise<Fault> {
  try {
    await api.client.tools(name, { deadline });
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("the server was taken");
}

test("a server that refuses `initialize` gets a fresh process and the modern era", async () => {
  await api.client.start("modern", fixture("tools-modern.ts"));
  expect(await call("modern", "echo")).toBe("hello");
  expect(await processes("modern")).toBe(2);
  expect(JSON.parse(String(await call("modern", "era")))).toMatchObject({
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  });
  expect((await api.client.tools("modern")).map(({ name }) => name)).toEqual(["echo", "era", "ask"]);
});

test("its era is remembered: the next session needs one process", async () => {
  await api.client.restart("modern");
  const before = await processes("modern");
  expect(await call("modern", "echo")).toBe("hello");
  expect((await processes("modern")) - before).toBe(1);
});

test("a server of both eras is asked in the one that its definition names, and in no other", async () => {
  await api.client.start("young", { ...fixture("tools-modern.ts", "dual"), era: "modern" });
  expect(await call("young", "era")).not.toBe("null");
  expect(await processes("young")).toBe(1);
  await api.client.start("old", { ...fixture("tools-modern.ts"), era: "legacy" });
  expect((await refusal("old")).kind).toBe("server-failed");
  expect(await processes("old")).toBe(1);
});

test("a question of a modern server, which nobody here can answer, is a clear error", async () => {
  const asked = await api.client.call("modern", { tool: "ask", arguments: {} }).catch((error: unknown) => error);
  expect(asked).toBeInstanceOf(Fault);
  expect(asked).toMatchObject({ kind: "unsupported", hint: expect.stringContaining("linkspan mcp") });
});

test("a server of both eras is asked in the legacy one, in one process", async () => {
  await api.client.start("dual", fixture("tools-modern.ts", "dual"));
  expect(await call("dual", "era")).toBe("null");
  expect(await processes("dual")).toBe(1);
});

test("a question of a legacy server is refused at once", async () => {
  await api.client.start("legacy", fixture("tools-legacy.ts"));
  expect(await call("legacy", "ask")).toContain("does not support");
});

test("another era under the same name is noticed", async () => {
  await api.client.start("changing", fixture("tools-modern.ts"));
  expect(await call("changing", "echo")).toBe("hello");
  await api.client.start("changing", fixture("tools-legacy.ts"));
  expect(await call("changing", "echo")).toBe("hello");
  await api.client.start("changing", fixture("tools-modern.ts"));
  expect(await call("changing", "echo")).toBe("hello");
});

test("a server that exits before it answers is reported with its exit code and last words", async () => {
  await api.client.start("exit", fixture("odd-handshake.ts", "exit"));
  const fault = await refusal("exit");
  expect(fault.kind).toBe("server-failed");
  expect(`${fault.message} ${JSON.stringify(fault.data)}`).toContain("9");
  expect(JSON.stringify(fault.data)).toContain("odd-handshake exit");
});

test("a server that refuses the handshake is quoted", async () => {
  await api.client.start("error", fixture("odd-handshake.ts", "error"));
  expect((await refusal("error")).message).toContain("initialize is refused");
});

test("a server that takes neither era is said to", async () => {
  await api.client.start("neither", fixture("odd-handshake.ts", "neither"));
  expect((await refusal("neither")).message).toContain("neither era");
});

test("a server that never answers is given up at the caller's deadline, and its session with it", async () => {
  await api.client.start("silent", fixture("odd-handshake.ts", "silent"));
  expect((await refusal("silent", Deadline.in(700))).kind).toBe("timeout");
  await api.client.remove("silent");
  expect((await api.client.sessions()).filter(({ server }) => server === "silent")).toEqual([]);
});
