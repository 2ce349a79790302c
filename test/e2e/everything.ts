/** A whole conversation of the SDK 1.x client with the official "everything" server, in both directions. */
import { expect } from "bun:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";
import { isRace, type Launch } from "./launch.ts";
import { Progress } from "./progress.ts";

const DOCUMENT = "demo://resource/static/document/features.md";

export async function converse(launch: Launch): Promise<void> {
  const asked: string[] = [];
  const client = new Client(
    { name: "e2e", version: "1" },
    { capabilities: { sampling: {}, elicitation: { form: {} }, roots: { listChanged: true } } },
  );
  // Anything on stdout that is no message ends up here.
  const errors: Error[] = [];
  client.onerror = (error) => void (isRace(error) || errors.push(error));
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
    asked.push("sampling");
    const text = `sampled: ${JSON.stringify(params.messages[0]?.content)}`;
    return { model: "m", role: "assistant", content: { type: "text", text } };
  });
  client.setRequestHandler(ElicitRequestSchema, () => {
    asked.push("elicitation");
    return { action: "accept", content: { name: "Ada", check: true, firstLine: "übung 😀" } };
  });
  client.setRequestHandler(ListRootsRequestSchema, () => {
    asked.push("roots");
    return { roots: [{ uri: "file:///srv/one", name: "One" }] };
  });
  const transport = new StdioClientTransport({ ...launch, stderr: "pipe" });
  await client.connect(transport);
  expect(client.getServerVersion()?.name).toContain("everything");
  await tools(client);
  await prompts(client);
  await resources(client);
  await longCalls(client, new Progress(transport));
  await questions(client, asked);
  await logging(client);
  expect(errors).toEqual([]);
  await client.close();
}

async function textOf(client: Client, name: string, args: Record<string, unknown> = {}): Promise<string> {
  const result = await client.callTool({ name, arguments: args });
  return JSON.stringify(result.content ?? result.structuredContent);
}

async function tools(client: Client): Promise<void> {
  const { tools: listed } = await client.listTools();
  const names = listed.map(({ name }) => name);
  expect(names).toContain("echo");
  expect(names).toContain("trigger-sampling-request");
  expect(await textOf(client, "echo", { message: "äöü \u2028 😀" })).toContain("äöü \u2028 😀");
  const large = "x".repeat(1024 * 1024);
  expect((await textOf(client, "echo", { message: large })).length).toBeGreaterThan(large.length);
  expect(await textOf(client, "get-sum", { a: 2, b: 40 })).toContain("42");
  const weather = await client.callTool({ name: "get-structured-content", arguments: { location: "Chicago" } });
  expect(weather.structuredContent).toHaveProperty("temperature");
  expect(await textOf(client, "get-tiny-image")).toContain('"type":"image"');
  const unknown = await client.callTool({ name: "no-such-tool", arguments: {} });
  expect(unknown.isError).toBe(true);
  const sums = await Promise.all(
    Array.from({ length: 64 }, async (_, a) => [a, await textOf(client, "get-sum", { a, b: 1000 })] as const),
  );
  for (const [a, sum] of sums) expect(sum).toContain(String(a + 1000));
}

async function prompts(client: Client): Promise<void> {
  const { prompts: listed } = await client.listPrompts();
  expect(listed.map(({ name }) => name)).toContain("args-prompt");
  const prompt = await client.getPrompt({ name: "args-prompt", arguments: { city: "Ulm" } });
  expect(JSON.stringify(prompt.messages)).toContain("Ulm");
  const { completion } = await client.complete({
    ref: { type: "ref/prompt", name: "completable-prompt" },
    argument: { name: "department", value: "S" },
  });
  expect(completion.values).toEqual(["Sales", "Support"]);
}

async function resources(client: Client): Promise<void> {
  const { resources: listed } = await client.listResources();
  expect(listed.map(({ uri }) => uri)).toContain(DOCUMENT);
  const { resourceTemplates } = await client.listResourceTemplates();
  expect(resourceTemplates.length).toBeGreaterThan(0);
  const { contents } = await client.readResource({ uri: "demo://resource/dynamic/blob/2" });
  expect(contents[0]).toHaveProperty("blob");
  const updated = new Promise<string>((resolve) =>
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => resolve(params.uri)),
  );
  await client.subscribeResource({ uri: DOCUMENT });
  await textOf(client, "toggle-subscriber-updates");
  expect(await updated).toBe(DOCUMENT);
  await client.unsubscribeResource({ uri: DOCUMENT });
  await textOf(client, "toggle-subscriber-updates");
}

async function longCalls(client: Client, progress: Progress): Promise<void> {
  const long = { name: "trigger-long-running-operation", arguments: { duration: 0.3, steps: 3 } };
  await progress.of(3, (onprogress) => client.callTool(long, undefined, { onprogress }));
  const abort = new AbortController();
  const endless = { name: "trigger-long-running-operation", arguments: { duration: 600, steps: 6000 } };
  const cancelled = client.callTool(endless, undefined, {
    signal: abort.signal,
    onprogress: () => abort.abort("enough"),
  });
  expect(String(await rejection(cancelled))).toContain("enough");
  expect(await textOf(client, "echo", { message: "still there" })).toContain("still there");
}

async function questions(client: Client, asked: string[]): Promise<void> {
  expect(await textOf(client, "trigger-sampling-request", { prompt: "why?" })).toContain("sampled");
  expect(await textOf(client, "trigger-elicitation-request")).toContain("Ada");
  expect(await textOf(client, "get-roots-list")).toContain("file:///srv/one");
  expect(asked).toContain("sampling");
  expect(asked).toContain("elicitation");
  expect(asked).toContain("roots");
}

async function logging(client: Client): Promise<void> {
  const messages: unknown[] = [];
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void messages.push(params.data));
  await client.setLoggingLevel("debug");
  await textOf(client, "toggle-simulated-logging");
  await until("a log message", () => messages.length > 0);
  await textOf(client, "toggle-simulated-logging");
}
