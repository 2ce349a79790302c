/** The clients of the matrix: each SDK in each era that it speaks, behind one face, so that all hold the same conversation. */
import { Client as ModernSdk } from "@modelcontextprotocol/client";
import { Client as LegacySdk } from "@modelcontextprotocol/sdk/client/index.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import * as v from "valibot";

const LOG_LEVEL = "io.modelcontextprotocol/logLevel";
const MODERN = "2026-07-28";
/** Of one request; a server may have to be started for it. */
const REQUEST_MS = 60_000;

const elicited = { action: "accept" as const, content: { username: "ada", email: "ada@example.org", name: "ada" } };
const sampled = { model: "m", role: "assistant" as const, content: { type: "text" as const, text: "pong" } };
const rooted = { roots: [{ uri: "file:///srv/one", name: "One" }] };

export interface Answer {
  text: string;
  isError: boolean;
}

/** One client that is connected. */
export interface Peer extends AsyncDisposable {
  tools(): Promise<string[]>;
  call(name: string, args?: Record<string, unknown>, signal?: AbortSignal): Promise<Answer>;
  /** Calls with a progress token; what the wire brought, in its order. */
  progress(name: string): Promise<number[]>;
  /** Calls and wants log messages from `info` on; what came. */
  logs(name: string, wanted: number): Promise<string[]>;
  prompts(): Promise<string[]>;
  prompt(name: string, args: Record<string, string>): Promise<string>;
  resources(): Promise<string[]>;
  templates(): Promise<string[]>;
  read(uri: string): Promise<string>;
  complete(prompt: string, argument: string): Promise<string[]>;
  /** Resolves when the client has been told that the tools changed, after `cause`. */
  told(cause: () => Promise<unknown>): Promise<void>;
}

/** The transport of either SDK: they agree on what is used here. */
export interface AnyTransport {
  onmessage?: ((message: never, extra?: never) => void) | undefined;
}

export interface ClientKind {
  name: string;
  era: "legacy" | "modern";
  /** Which SDK's transports it takes. */
  sdk: 1 | 2;
  connect(transport: AnyTransport): Promise<Peer>;
}

export const CLIENTS: readonly ClientKind[] = [
  { name: "SDK 1.x", era: "legacy", sdk: 1, connect: (transport) => legacySdk(transport as never) },
  { name: "SDK 2.x, legacy", era: "legacy", sdk: 2, connect: (transport) => modernSdk(transport as never, "legacy") },
  { name: "SDK 2.x, modern", era: "modern", sdk: 2, connect: (transport) => modernSdk(transport as never, "modern") },
];

const capabilities = { sampling: {}, elicitation: { form: {} }, roots: {} };

async function legacySdk(transport: Parameters<LegacySdk["connect"]>[0]): Promise<Peer> {
  const client = new LegacySdk({ name: "matrix", version: "1" }, { capabilities });
  client.setRequestHandler(ElicitRequestSchema, () => elicited);
  client.setRequestHandler(CreateMessageRequestSchema, () => sampled);
  client.setRequestHandler(ListRootsRequestSchema, () => rooted);
  const hears = new Ears();
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => hears.log(params.data));
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => hears.change());
  await client.connect(transport);
  hears.wire(transport);
  return peer({ client, hears, era: "legacy" });
}

async function modernSdk(transport: Parameters<ModernSdk["connect"]>[0], era: "legacy" | "modern"): Promise<Peer> {
  const versionNegotiation = era === "modern" ? { mode: { pin: MODERN } } : { mode: "legacy" as const };
  const client = new ModernSdk({ name: "matrix", version: "2" }, { capabilities, versionNegotiation });
  client.setRequestHandler("elicitation/create", async () => elicited);
  client.setRequestHandler("sampling/createMessage", async () => sampled);
  client.setRequestHandler("roots/list", async () => rooted);
  const hears = new Ears();
  client.setNotificationHandler("notifications/message", ({ params }) => hears.log(params.data));
  client.setNotificationHandler("notifications/tools/list_changed", () => hears.change());
  await client.connect(transport);
  hears.wire(transport);
  return peer({ client, hears, era });
}

interface Opened {
  client: LegacySdk | ModernSdk;
  hears: Ears;
  era: "legacy" | "modern";
}

function peer({ client, hears, era }: Opened): Peer {
  const options = { timeout: REQUEST_MS };
  const call = async (name: string, more: object, extra: object = {}): Promise<Answer> => {
    const [params, all] = [
      { name, ...more },
      { ...options, ...extra },
    ];
    const result = client instanceof LegacySdk ? client.callTool(params, undefined, all) : client.callTool(params, all);
    const { content, isError } = v.parse(called, await result);
    const text = content.map((part) => part.text ?? part.type).join("\n");
    return { text, isError: isError === true };
  };
  return {
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: (name, args = {}, signal) => call(name, { arguments: args }, signal ? { signal } : {}),
    async progress(name) {
      hears.progress = [];
      await call(name, { arguments: {} }, { onprogress: () => {} });
      return hears.progress;
    },
    async logs(name, wanted) {
      hears.logged = [];
      if (era === "legacy") await client.setLoggingLevel("info");
      await call(name, { arguments: {}, ...(era === "modern" ? { _meta: { [LOG_LEVEL]: "info" } } : {}) });
      await hears.until(() => hears.logged.length >= wanted);
      return hears.logged;
    },
    prompts: async () => (await client.listPrompts()).prompts.map(({ name }) => name),
    prompt: async (name, args) => JSON.stringify((await client.getPrompt({ name, arguments: args })).messages),
    resources: async () => (await client.listResources()).resources.map(({ uri }) => uri),
    templates: async () =>
      (await client.listResourceTemplates()).resourceTemplates.map(({ uriTemplate }) => uriTemplate),
    read: async (uri) => JSON.stringify((await client.readResource({ uri })).contents),
    complete: async (name, argument) =>
      (await client.complete({ ref: { type: "ref/prompt", name }, argument: { name: argument, value: "" } })).completion
        .values,
    async told(cause) {
      const listening = era === "modern" ? await (client as ModernSdk).listen({ toolsListChanged: true }) : undefined;
      const before = hears.changes;
      await cause();
      await hears.until(() => hears.changes > before);
      await listening?.close();
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

const called = v.object({
  content: v.array(v.looseObject({ type: v.string(), text: v.optional(v.string()) })),
  isError: v.optional(v.boolean()),
});

const progressed = v.object({
  method: v.literal("notifications/progress"),
  params: v.object({ progress: v.number() }),
});

/** What a client was told, beside its answers. */
class Ears {
  logged: string[] = [];
  progress: number[] = [];
  changes = 0;
  private waiting: { done: () => boolean; resolve: () => void }[] = [];

  /** The SDKs drop progress that arrives together with the result: what the transport was given is what came. */
  wire(transport: AnyTransport): void {
    const { onmessage } = transport;
    transport.onmessage = (message, extra) => {
      const step = v.safeParse(progressed, message);
      if (step.success) this.progress.push(step.output.params.progress);
      onmessage?.call(transport, message, extra);
    };
  }

  log(data: unknown): void {
    this.logged.push(String(data));
    this.look();
  }

  change(): void {
    this.changes += 1;
    this.look();
  }

  /** The test's own deadline ends it. */
  until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push({ done, resolve });
      this.look();
    });
  }

  private look(): void {
    this.waiting = this.waiting.filter(({ done, resolve }) => !done() || void resolve());
  }
}
