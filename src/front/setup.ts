/**
 * What a client has set up with its server, read from the messages that pass: the handshake, the log level, the
 * subscriptions, the lists it has seen. A new server process is brought into the same state with it (replay.ts).
 * Pure: no I/O.
 */
import * as v from "valibot";
import type { IdKey } from "../../bridge/envelope.ts";
import { parseJson } from "./messages.ts";

/** Messages that set something up are small; a longer one is none, or cannot be kept. */
const KEPT_BYTES_MAX = 256 * 1024;
/** A list that is longer counts as changed after every restart. */
const LIST_BYTES_MAX = 8 * 1024 * 1024;
/** Against clients that subscribe, or ask without ever being answered, without end. */
const SUBSCRIPTIONS_MAX = 4_096;
const AWAITED_MAX = 1_024;

/** Methods that list something: where in the result, and what a client is told when that has changed. */
export const LISTS = {
  "tools/list": { items: "tools", changed: "notifications/tools/list_changed" },
  "prompts/list": { items: "prompts", changed: "notifications/prompts/list_changed" },
  "resources/list": { items: "resources", changed: "notifications/resources/list_changed" },
  "resources/templates/list": { items: "resourceTemplates", changed: "notifications/resources/list_changed" },
} as const;
export type ListMethod = keyof typeof LISTS;

/** By these a client finds out whom it speaks to; none of them begins a conversation. */
const OPENERS: ReadonlySet<string> = new Set(["initialize", "server/discover", "ping"]);

const METHODS: ReadonlySet<string> = new Set([
  ...OPENERS,
  "notifications/initialized",
  "logging/setLevel",
  "resources/subscribe",
  "resources/unsubscribe",
  ...Object.keys(LISTS),
]);

/** The older handshake as it went: the client's line as it came, and what the server said of itself. */
export interface Handshake {
  id: IdKey;
  /** With its newline. */
  line: Uint8Array;
  answer: HandshakeAnswer;
}

export type HandshakeAnswer = v.InferOutput<typeof handshakeAnswer>;

/** A message that sets something up, as far as it matters. */
export interface SetupMessage {
  method: string;
  params: Record<string, unknown>;
}

type Awaited =
  | { kind: "initialize"; line: Uint8Array }
  | { kind: "level"; level: string }
  | { kind: "subscribe" | "unsubscribe"; uri: string }
  | { kind: "list"; method: ListMethod; first: boolean };

export class Setup {
  /** Absent while no `initialize` was answered: with a client of the 2026-07-28 era for good. */
  handshake: Handshake | undefined;
  /** The client has sent `notifications/initialized`. */
  initialized = false;
  level: string | undefined;
  /** The client has asked for the older handshake, whatever became of it. */
  legacy = false;
  /** Requests by which the client has begun. */
  openers = 0;
  /** An `initialize` was too long to be kept: no other server process can be told the same. */
  unrepeatable = false;
  readonly subscriptions = new Set<string>();
  /** The lists that the client has asked for, as fingerprints; undefined where one cannot be compared. */
  readonly lists = new Map<ListMethod, string | undefined>();
  private readonly safeTools = new Map<string, boolean>();
  private readonly awaited = new Map<IdKey, Awaited>();

  /** A message of the client. `id` is absent from a notification. What it was, if it may set something up. */
  sent(id: IdKey | undefined, bytes: Uint8Array, start: number, end: number): SetupMessage | undefined {
    if (!mayBeSetup(bytes, start, end)) return undefined;
    if (end - start > KEPT_BYTES_MAX) {
      this.unrepeatable ||= textOf(bytes, start, start + KEPT_BYTES_MAX).includes('"initialize"');
      return undefined;
    }
    const message = v.safeParse(setupMessage, parseJson(textOf(bytes, start, end)));
    if (!message.success) return undefined;
    const { method, params = {} } = message.output;
    if (method === "notifications/initialized") this.initialized = true;
    if (id === undefined) return undefined;
    if (OPENERS.has(method)) this.openers += 1;
    this.legacy ||= method === "initialize";
    const awaited = awaitedOf(method, params, () => bytes.slice(start, end + 1));
    if (awaited && this.awaited.size < AWAITED_MAX) this.awaited.set(id, awaited);
    return { method, params };
  }

  /** An answer of the server to the client. */
  answered(id: IdKey, error: boolean, bytes: Uint8Array, start: number, end: number): void {
    const awaited = this.awaited.get(id);
    if (awaited === undefined) return;
    this.awaited.delete(id);
    if (error) return;
    if (awaited.kind === "initialize") this.opened(id, awaited.line, textOf(bytes, start, end));
    else if (awaited.kind === "level") this.level = awaited.level;
    else if (awaited.kind === "list") this.listed(awaited, bytes, start, end);
    else if (awaited.kind === "unsubscribe") this.subscriptions.delete(awaited.uri);
    else if (this.subscriptions.size < SUBSCRIPTIONS_MAX) this.subscriptions.add(awaited.uri);
  }

  /** The session has ended: what was asked in it gets no other answer than an error, except for what is asked again. */
  ended(again: ReadonlySet<IdKey>): void {
    for (const id of this.awaited.keys()) if (!again.has(id)) this.awaited.delete(id);
  }

  /** Whether the tool says that calling it twice does the same as calling it once. */
  isRepeatable(tool: string): boolean {
    return this.safeTools.get(tool) === true;
  }

  private opened(id: IdKey, line: Uint8Array, text: string): void {
    const answer = readHandshakeAnswer(text);
    if (answer) this.handshake = { id, line, answer };
  }

  private listed(awaited: Extract<Awaited, { kind: "list" }>, bytes: Uint8Array, start: number, end: number): void {
    const text = end - start > LIST_BYTES_MAX ? undefined : textOf(bytes, start, end);
    if (awaited.first) this.lists.set(awaited.method, text && fingerprint(awaited.method, text));
    if (awaited.method !== "tools/list" || text === undefined) return;
    const listing = v.safeParse(toolListing, parseJson(text));
    if (!listing.success) return;
    for (const { name, annotations } of listing.output.result.tools) {
      this.safeTools.set(name, annotations?.readOnlyHint === true || annotations?.idempotentHint === true);
    }
  }
}

/** What a list says, short enough to be kept; undefined where it has more pages or is no list. */
export function fingerprint(method: ListMethod, answer: string): string | undefined {
  const parsed = v.safeParse(listing, parseJson(answer));
  if (!parsed.success || parsed.output.result.nextCursor !== undefined) return undefined;
  return Bun.hash(JSON.stringify(parsed.output.result[LISTS[method].items] ?? null)).toString(36);
}

/** What the server says of itself in its answer to `initialize`; undefined where that cannot be read. */
export function readHandshakeAnswer(text: string): HandshakeAnswer | undefined {
  const parsed = v.safeParse(v.object({ result: handshakeAnswer }), parseJson(text));
  return parsed.success ? parsed.output.result : undefined;
}

export function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString();
}

const record = v.record(v.string(), v.unknown());
const setupMessage = v.object({ method: v.string(), params: v.optional(record) });
const handshakeAnswer = v.object({
  protocolVersion: v.string(),
  capabilities: v.optional(record, {}),
  serverInfo: v.optional(v.unknown()),
});
const listing = v.object({ result: v.looseObject({ nextCursor: v.optional(v.unknown()) }) });
const annotations = v.object({ readOnlyHint: v.optional(v.unknown()), idempotentHint: v.optional(v.unknown()) });
const toolListing = v.object({
  result: v.object({
    tools: v.array(v.object({ name: v.string(), annotations: v.nullish(annotations) })),
  }),
});

function awaitedOf(method: string, params: Record<string, unknown>, line: () => Uint8Array): Awaited | undefined {
  const { level, uri, cursor } = params;
  if (method === "initialize") return { kind: "initialize", line: line() };
  if (method === "logging/setLevel") return typeof level === "string" ? { kind: "level", level } : undefined;
  if (isListMethod(method)) return { kind: "list", method, first: cursor === undefined };
  if (typeof uri !== "string") return undefined;
  if (method === "resources/subscribe") return { kind: "subscribe", uri };
  return method === "resources/unsubscribe" ? { kind: "unsubscribe", uri } : undefined;
}

export function isListMethod(method: string): method is ListMethod {
  return Object.hasOwn(LISTS, method);
}

const METHOD = Buffer.from('"method"');
/** A colon, white space, the quotes and the longest name of METHODS. */
const VALUE_BYTES = 48;

/** Whether any member `method` in the line has one of our values: most lines need no parser to be passed over. */
function mayBeSetup(bytes: Uint8Array, start: number, end: number): boolean {
  const line = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
  for (let at = line.indexOf(METHOD); at >= 0; at = line.indexOf(METHOD, at + METHOD.length)) {
    const behind = line.toString("latin1", at + METHOD.length, at + METHOD.length + VALUE_BYTES);
    const [, value = ""] = /^\s*:\s*"([^"]*)"/.exec(behind) ?? [];
    if (METHODS.has(value)) return true;
  }
  return false;
}
