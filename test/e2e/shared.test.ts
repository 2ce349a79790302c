/** Session policies with real clients and the real binary: who speaks to which server process. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as LegacyTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { CreateMessageRequestSchema, ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { Deadline } from "../../src/base/deadline.ts";
import { listContainers } from "../../src/docker/containers.ts";
import { LABEL } from "../../src/runtime/labels.ts";
import { engine, engineTest } from "../support/engine.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";
import { EVERYTHING } from "./clients.ts";
import { converseModern } from "./generations.ts";
import { fixtureBody } from "./images.ts";
import type { Launch } from "./launch.ts";
import { Progress } from "./progress.ts";
import { INITIALIZE, RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

const CROWD = join(import.meta.dir, "../fixtures/crowd-server.ts");
const MODERN = join(import.meta.dir, "../fixtures/modern-server.ts");
const CAPABILITIES = { sampling: {}, elicitation: { form: {} }, roots: {} };
const LONG = "trigger-long-running-operation";

const ENVELOPE = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "raw", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {},
};

interface Seen {
  pid: number;
  initializes: number;
}

/** What tests need of either SDK's client. */
interface Talker {
  name: string;
  text(tool: string, args?: Record<string, unknown>): Promise<string>;
  /** A call that tells its progress. */
  steps(): Promise<void>;
  cancel(): Promise<void>;
  close(): Promise<void>;
}

async function health(stage: Stage, name: string): Promise<{ processes: number; sessions: number; inFlight: number }> {
  const found = (await (await stage.api(`/servers/${name}/inspect`)).json()) as {
    health: Awaited<ReturnType<typeof health>>;
  };
  return found.health;
}

async function older(launch: Launch, name: string): Promise<Talker> {
  const client = new LegacyClient({ name, version: "1" }, { capabilities: CAPABILITIES });
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: { name } }));
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    model: "m",
    role: "assistant",
    content: { type: "text", text: name },
  }));
  const transport = new LegacyTransport({ ...launch, stderr: "ignore" });
  await client.connect(transport);
  const progress = new Progress(transport);
  const long = { name: LONG, arguments: { duration: 0.4, steps: 4 } };
  return {
    name,
    text: async (tool, args = {}) => JSON.stringify((await client.callTool({ name: tool, arguments: args })).content),
    steps: () => progress.of(4, (onprogress) => client.callTool(long, undefined, { onprogress })),
    cancel: async () => {
      const abort = new AbortController();
      const endless = { name: LONG, arguments: { duration: 600, steps: 6000 } };
      const options = { signal: abort.signal, onprogress: () => abort.abort("enough") };
      expect(String(await rejection(client.callTool(endless, undefined, options)))).toContain("enough");
    },
    close: () => client.close(),
  };
}

async function newer(launch: Launch, name: string): Promise<Talker> {
  const client = new Client(
    { name, version: "1" },
    { versionNegotiation: { mode: "auto" }, capabilities: CAPABILITIES },
  );
  client.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { name } }));
  client.setRequestHandler("sampling/createMessage", async () => ({
    model: "m",
    role: "assistant",
    content: { type: "text", text: name },
  }));
  const transport = new StdioClientTransport({ ...launch, stderr: "ignore" });
  await client.connect(transport);
  const progress = new Progress(transport);
  const long = { name: LONG, arguments: { duration: 0.4, steps: 4 } };
  return {
    name,
    text: async (tool, args = {}) => JSON.stringify((await client.callTool({ name: tool, arguments: args })).content),
    steps: () => progress.of(4, (onprogress) => client.callTool(long, { onprogress })),
    cancel: async () => {
      const abort = new AbortController();
      const endless = { name: LONG, arguments: { duration: 600, steps: 6000 } };
      const cancelled = client.callTool(endless, { signal: abort.signal, onprogress: () => abort.abort("enough") });
      expect(String(await rejection(cancelled))).toContain("enough");
    },
    close: () => client.close(),
  };
}

test("clients of SDK 1.x and 2.x on one official server at once: answers, progress, questions and cancellations", async () => {
  await using stage = await Stage.open("process");
  await stage.start("everything", { image: EVERYTHING, session: "shared" });
  const launch = stage.front("everything");
  // The one that begins tells the server what clients can do.
  const talkers = [await older(launch, "Ada")];
  talkers.push(...(await Promise.all([newer(launch, "Bob"), older(launch, "Cleo"), newer(launch, "Dan")])));
  for (const talker of talkers) {
    expect(await talker.text("trigger-elicitation-request")).toContain(talker.name);
    expect(await talker.text("trigger-sampling-request", { prompt: "why?" })).toContain(talker.name);
  }
  const busy = talkers.map(async (talker, index) => {
    const sums = Array.from({ length: 64 }, (_, a) => talker.text("get-sum", { a, b: 1000 * index }));
    const [, ...answers] = await Promise.all([talker.steps(), ...sums]);
    for (const [a, answer] of answers.entries()) expect(answer).toContain(`${a + 1000 * index}`);
    await talker.cancel();
    expect(await talker.text("echo", { message: talker.name })).toContain(talker.name);
  });
  await Promise.all(busy);
  expect(await health(stage, "everything")).toMatchObject({ processes: 1, sessions: 4 });
  await talkers[0]?.close();
  await until("one session less", async () => (await health(stage, "everything")).sessions === 3);
  expect(await talkers[1]?.text("echo", { message: "still" })).toContain("still");
  for (const talker of talkers.slice(1)) await talker.close();
  await until("no session is left", async () => (await health(stage, "everything")).sessions === 0);
  expect(await health(stage, "everything")).toMatchObject({ processes: 1 });
}, 180_000);

test("clients of 2026-07-28 on one server at once: SDK 2.x, and raw ones with the same ids for progress and cancellation", async () => {
  await using stage = await Stage.open("process");
  await stage.start("modern", { image: `exec:${process.execPath}`, args: [MODERN], session: "shared" });
  const launch = stage.front("modern");
  const sdk = ["blue", "green"].map(async (colour) => {
    const versionNegotiation = { mode: { pin: "2026-07-28" } };
    const client = new Client({ name: colour, version: "1" }, { versionNegotiation, capabilities: CAPABILITIES });
    client.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { colour } }));
    await client.connect(new StdioClientTransport({ ...launch, stderr: "ignore" }));
    const text = async (name: string, args: Record<string, unknown>) =>
      JSON.stringify((await client.callTool({ name, arguments: args })).content);
    expect(await text("ask", {})).toContain(`you said ${colour}`);
    const echoes = Array.from({ length: 32 }, (_, n) => text("echo", { text: `${colour} ${n}.` }));
    for (const [n, echo] of (await Promise.all(echoes)).entries()) expect(echo).toContain(`${colour} ${n}.`);
    return client;
  });
  const raw = [1, 2].map(async (n) => {
    const front = new RawFront(launch);
    const call = (name: string, args: object) =>
      front.ask("tools/call", { name, arguments: args, _meta: { ...ENVELOPE, progressToken: "p" } });
    const notices = () => front.messages.filter(({ method }) => method === "notifications/progress");
    await front.answered(call("slow", { steps: n + 1 }));
    expect(notices().map(({ params }) => params)).toMatchObject(
      Array.from({ length: n + 1 }, (_, step) => ({ progressToken: "p", progress: step + 1, total: n + 1 })),
    );
    const before = notices().length;
    const endless = call("slow", { steps: 100_000 });
    await until("progress", () => notices().length > before);
    front.notify("notifications/cancelled", { requestId: endless });
    const echo = await front.answered(call("echo", { text: `raw ${n}.` }));
    expect(JSON.stringify(echo.result)).toContain(`raw ${n}.`);
    return front;
  });
  const whole = [converseModern(launch), converseModern(launch)];
  const [clients, fronts] = await Promise.all([Promise.all(sdk), Promise.all(raw), Promise.all(whole)]);
  await until("only those that stay", async () => (await health(stage, "modern")).sessions === 4);
  expect(await health(stage, "modern")).toMatchObject({ processes: 1 });
  for (const client of clients) await client.close();
  for (const front of fronts) await front[Symbol.asyncDispose]();
}, 120_000);

test("a shared server that dies answers each client for its own calls, and is one process again for all that go on", async () => {
  await using stage = await Stage.open("process");
  await stage.start("crowd", { image: `exec:${process.execPath}`, args: [CROWD], session: "shared" });
  await using one = new RawFront(stage.front("crowd"));
  await using two = new RawFront(stage.front("crowd"));
  const fronts = [one, two];
  // Two versions are asked for; both are told the one that the server agreed on with the first.
  for (const [index, front] of fronts.entries()) {
    const protocolVersion = index === 0 ? "2025-11-25" : "2025-06-18";
    await front.request("initialize", { ...INITIALIZE, protocolVersion });
    front.notify("notifications/initialized");
  }
  const before = await seenBy(one);
  const calls = fronts.map((front, n) =>
    front.ask("tools/call", { name: "t", arguments: { who: "x", n, ms: 60_000 } }),
  );
  await until("both calls", async () => (await seenBy(one)).calls === 2);
  one.ask("exit");
  for (const [n, front] of fronts.entries()) {
    expect((await front.answered(calls[n] ?? 0)).error?.data).toMatchObject({ kind: "server-failed", code: 3 });
  }
  const [after, same] = [await seenBy(two), await seenBy(one)];
  expect(after.pid).not.toBe(before.pid);
  expect(same).toMatchObject({ pid: after.pid, initializes: 1 });
}, 60_000);

async function seenBy(front: RawFront): Promise<Seen & { calls: number }> {
  return (await front.request("seen")).result as unknown as Seen & { calls: number };
}

/** Twenty clients at once; the processes that they have spoken to, and what those have seen. */
async function twenty(session: "process" | "shared"): Promise<{ pids: number; processes: number; seen: Seen[] }> {
  await using stage = await Stage.open("docker");
  const limits = { memory: "4g", pids: 4_000, cpus: 2 };
  await stage.start("crowd", { ...(await fixtureBody("crowd-server")), limits, session });
  const fronts = Array.from({ length: 20 }, () => new RawFront(stage.front("crowd")));
  try {
    const seen = await Promise.all(
      fronts.map(async (front, n) => {
        await front.request("initialize", INITIALIZE, 60_000);
        front.notify("notifications/initialized");
        const own = { who: `front ${n}`, n };
        expect((await front.call("t", own)).result).toMatchObject(own);
        return await seenBy(front);
      }),
    );
    const { processes, sessions } = await health(stage, "crowd");
    expect(sessions).toBe(20);
    const filter = { label: [`${LABEL.instance}=${await stage.instance()}`] };
    expect(await listContainers(engine(), filter, Deadline.in(10_000))).toHaveLength(1);
    return { pids: new Set(seen.map(({ pid }) => pid)).size, processes, seen };
  } finally {
    await Promise.all(fronts.map((front) => front[Symbol.asyncDispose]()));
  }
}

engineTest(
  "20 fronts on one container: one process where they share it, which saw one initialize",
  async () => {
    const { pids, processes, seen } = await twenty("shared");
    expect({ pids, processes }).toEqual({ pids: 1, processes: 1 });
    for (const { initializes } of seen) expect(initializes).toBe(1);
  },
  120_000,
);

engineTest(
  "20 fronts on one container: 20 processes where each has its own",
  async () => {
    const { pids, processes } = await twenty("process");
    expect({ pids, processes }).toEqual({ pids: 20, processes: 20 });
  },
  120_000,
);
