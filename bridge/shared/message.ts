/**
 * A JSON-RPC message with the places of what a shared server's bridge has to read or replace in it. Pure.
 *
 * A name that stands twice means one thing to one parser and another to the next; so does `ID` to one that does not mind
 * upper case. Where the bridge could be made to see another message than the server sees, it passes none.
 */
import { type IdKey, NULL_ID, numberKey } from "../ends.ts";
import { type Member, membersOf, type Span, stringOf, textAt } from "./json.ts";

export interface Message {
  bytes: Uint8Array;
  /** The whole line, newline excluded. */
  start: number;
  end: number;
  id?: Span;
  method?: string;
  params?: Span;
  result?: Span;
  error?: Span;
}

/** Names that are looked for in an object, in their own case and in any other. */
export class Names {
  private readonly exact: ReadonlySet<string>;
  private readonly folded: ReadonlySet<string>;

  constructor(...names: string[]) {
    this.exact = new Set(names);
    this.folded = new Set(names.map((name) => name.toLowerCase()));
  }

  /** Whether the name is one of them; `alike` if only to a parser that does not mind the case. */
  has(name: string): boolean | "alike" {
    if (this.exact.has(name)) return true;
    return this.folded.has(name.toLowerCase()) && "alike";
  }
}

/** Why a message cannot pass, as a sentence. */
export type Unclear = string;

/** The members that were looked for, by name. */
export type Found = Partial<Record<string, Member>>;

const ENVELOPE = new Names("jsonrpc", "id", "method", "params", "result", "error");

export function readMessage(bytes: Uint8Array, start: number, end: number): Message | Unclear {
  const members = membersOf(bytes, { start, end });
  if (!members) return "the line is no JSON object";
  const found = uniqueOf(members, ENVELOPE);
  if (typeof found === "string") return found;
  const { id, method, params, result, error } = found;
  const message: Message = { bytes, start, end };
  if (id) message.id = id;
  if (params) message.params = params;
  if (result) message.result = result;
  if (error) message.error = error;
  const name = method && stringOf(bytes, method);
  if (name !== undefined) message.method = name;
  return message;
}

/** The members of the object at `span` that have one of `names`, none if it is no object; a sentence where that is not clear. */
export function pick(bytes: Uint8Array, span: Span | undefined, names: Names): Found | Unclear {
  if (!span || bytes[span.start] !== OPEN) return {};
  const members = membersOf(bytes, span);
  return members ? uniqueOf(members, names) : "the line is no JSON";
}

/** The same of a message that its own side has written: what is not clear is not there. */
export function find(bytes: Uint8Array, span: Span | undefined, names: Names): Found {
  const found = pick(bytes, span, names);
  return typeof found === "string" ? {} : found;
}

/** The id at `span`, undefined if it is no id. */
export function idKeyAt(bytes: Uint8Array, span: Span | undefined): IdKey | undefined {
  if (!span) return undefined;
  const string = stringOf(bytes, span);
  if (string !== undefined) return `"${string}`;
  const text = textAt(bytes, span);
  if (text === "null") return NULL_ID;
  return /^-?\d/.test(text) ? numberKey(text) : undefined;
}

/** Where the params of a notification, or a result, say which `subscriptions/listen` they belong to. */
export function subscriptionAt(bytes: Uint8Array, span: Span | undefined): Span | undefined {
  const { _meta } = find(bytes, span, META);
  const id = find(bytes, _meta, SUBSCRIPTION_ID)[SUBSCRIPTION];
  return id && { start: id.start, end: id.end };
}

const META = new Names("_meta");
const SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId";
const SUBSCRIPTION_ID = new Names(SUBSCRIPTION);

const OPEN = 0x7b;

function uniqueOf(members: Member[], names: Names): Found | Unclear {
  const found: Found = {};
  for (const member of members) {
    const known = names.has(member.name);
    if (known === false) continue;
    if (known === "alike" || found[member.name]) {
      const name = JSON.stringify(member.name.slice(0, 40));
      return `a shared server takes no message that has ${name} twice or in another case`;
    }
    found[member.name] = member;
  }
  return found;
}
