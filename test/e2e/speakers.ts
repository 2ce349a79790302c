/** Real clients of both SDKs behind one face, so that one conversation can be had by each of them. */
import { Client as ModernSdk } from "@modelcontextprotocol/client";
import { StdioClientTransport as ModernStdio } from "@modelcontextprotocol/client/stdio";
import { Client as LegacySdk } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as LegacyStdio } from "@modelcontextprotocol/sdk/client/stdio.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  PromptListChangedNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { isRace, type Launch } from "./launch.ts";

/** What a client can be asked, and what it says. */
export const ANSWERS = {
  form: {
    action: "accept" as const,
    content: { name: "Ada", username: "ada", color: "blue", ok: true, context: "tests" },
  },
  sample: { model: "m", role: "assistant" as const, content: { type: "text" as const, text: "Paris" } },
  roots: { roots: [{ uri: "file:///srv/one", name: "One" }] },
};
const CAPABILITIES = { elicitation: { form: {} }, sampling: {}, roots: {} };

export interface CallOptions {
  signal?: AbortSignal;
  onprogress?: (step: { progress: number }) => void;
  /** Log messages of this level and above are wanted. */
  level?: "info" | "debug";
}

export interface Speaker extends AsyncDisposable {
  readonly version: string | undefined;
  readonly server: string | undefined;
  /** Data of log messages, and methods of changes, in the order in which they came. */
  readonly heard: unknown[];
  readonly errors: Error[];
  listTools(): Promise<{ name: string }[]>;
  /** The content as JSON. */
  call(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<string>;
  prompt(name: string, args?: Record<string, string>): Promise<string>;
  read(uri: string): Promise<string>;
  lists(): Promise<{ prompts: number; resources: number; templates: number }>;
  complete(prompt: string): Promise<unknown>;
  /** Resolves when changes of lists are heard of. */
  listen(): Promise<void>;
}

export type Generation = "legacy" | "modern";

/** `legacy`: the SDK 1.x. `modern`: the SDK 2.x, held to the era of 2026-07-28. */
export function speak(generation: Generation, launch: Launch): Promise<Speaker> {
  return generation === "legacy"
    ? speakLegacy(new LegacyStdio({ ...launch, stderr: "pipe" }))
    : speakModern(new ModernStdio({ ...launch, stderr: "pipe" }));
}

async function speakLegacy(transport: LegacyStdio): Promise<Speaker> {
  const client = new LegacySdk({ name: "e2e", version: "1" }, { capabilities: CAPABILITIES });
  const [heard, errors]: [unknown[], Error[]] = [[], []];
  client.onerror = (error) => void (isRace(error) || errors.push(error));
  client.setRequestHandler(ElicitRequestSchema, () => ANSWERS.form);
  client.setRequestHandler(CreateMessageRequestSchema, () => ANSWERS.sample);
  client.setRequestHandler(ListRootsRequestSchema, () => ANSWERS.roots);
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void heard.push(params.data));
  for (const schema of [ToolListChangedNotificationSchema, PromptListChangedNotificationSchema]) {
    client.setNotificationHandler(schema, ({ method }) => void heard.push(method));
  }
  await client.connect(transport);
  return {
    version: transport.constructor === LegacyStdio ? "2025-11-25" : undefined,
    server: client.getServerVersion()?.name,
    heard,
    errors,
    listTools: async () => (await client.listTools()).tools,
    call: async (name, args = {}, { level, ...options } = {}) => {
      if (level) await client.setLoggingLevel(level);
      return JSON.stringify((await client.callTool({ name, arguments: args }, undefined, options)).content);
    },
    prompt: async (name, args = {}) => JSON.stringify((await client.getPrompt({ name, arguments: args })).messages),
    read: async (uri) => JSON.stringify((await client.readResource({ uri })).contents),
    lists: async () => ({
      prompts: (await client.listPrompts()).prompts.length,
      resources: (await client.listResources()).resources.length,
      templates: (await client.listResourceTemplates()).resourceTemplates.length,
    }),
    complete: async (name) =>
      (await client.complete({ ref: { type: "ref/prompt", name }, argument: { name: "arg1", value: "a" } })).completion,
    listen: async () => {},
    [Symbol.asyncDispose]: () => client.close(),
  };
}

async function speakModern(transport: ModernStdio): Promise<Speaker> {
  const client = new ModernSdk(
    { name: "e2e", version: "2" },
    { capabilities: CAPABILITIES, versionNegotiation: { mode: { pin: "2026-07-28" } } },
  );
  const [heard, errors]: [unknown[], Error[]] = [[], []];
  client.onerror = (error) => void (isRace(error) || errors.push(error));
  client.setRequestHandler("elicitation/create", async () => ANSWERS.form);
  client.setRequestHandler("sampling/createMessage", async () => ANSWERS.sample);
  client.setRequestHandler("roots/list", async () => ANSWERS.roots);
  client.setNotificationHandler("notifications/message", ({ params }) => void heard.push(params.data));
  client.setNotificationHandler("notifications/tools/list_changed", ({ method }) => void heard.push(method));
  client.setNotificationHandler("notifications/prompts/list_changed", ({ method }) => void heard.push(method));
  await client.connect(transport);
  return {
    version: client.getNegotiatedProtocolVersion(),
    server: client.getServerVersion()?.name,
    heard,
    errors,
    listTools: async () => (await client.listTools()).tools,
    call: async (name, args = {}, { level, ...options } = {}) => {
      const _meta = level ? { _meta: { "io.modelcontextprotocol/logLevel": level } } : {};
      return JSON.stringify((await client.callTool({ name, arguments: args, ..._meta }, options)).content);
    },
    prompt: async (name, args = {}) => JSON.stringify((await client.getPrompt({ name, arguments: args })).messages),
    read: async (uri) => JSON.stringify((await client.readResource({ uri })).contents),
    lists: async () => ({
      prompts: (await client.listPrompts()).prompts.length,
      resources: (await client.listResources()).resources.length,
      templates: (await client.listResourceTemplates()).resourceTemplates.length,
    }),
    complete: async (name) =>
      (await client.complete({ ref: { type: "ref/prompt", name }, argument: { name: "arg1", value: "a" } })).completion,
    listen: async () => void (await client.listen({ toolsListChanged: true, promptsListChanged: true })),
    [Symbol.asyncDispose]: () => client.close(),
  };
}
