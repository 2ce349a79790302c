/**
 * The one `initialize` of a shared server: its answer is kept, and everybody who asks later gets that. Also which era of
 * MCP the process speaks, for a process takes only one (a server that was asked in the older way is not asked in the
 * newer one). Pure.
 */
import type { IdKey } from "../envelope.ts";
import { idText } from "../envelope.ts";
import { type Edit, inOrder } from "./gather.ts";
import type { Guest } from "./guest.ts";
import { membersOf, type Span, stringOf, textAt } from "./json.ts";
import { find, type Message, Names, readMessage } from "./message.ts";

/** What waits for the answer, over all clients; they are small messages. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/**
 * What only one client can have with a server: folders that it opens to it, tasks that run at the client. A shared server
 * is told of neither, whoever comes first.
 */
const UNSHARED: ReadonlySet<string> = new Set(["roots", "tasks"]);

/** The last version of the older era. The server is asked for it, so that it does not matter who comes first. */
const LAST_VERSION = "2025-11-25";
const DATE = /^\d{4}-\d{2}-\d{2}$/;

interface Waiting {
  guest: Guest;
  line: Uint8Array;
}

export class Handshake {
  /** Found by the first request that tells; undefined before. */
  era: "legacy" | "modern" | undefined;
  /** An `initialize` is with the server. */
  asked = false;
  /** The server was sent `notifications/initialized`. */
  initialized = false;
  /** What the server speaks. */
  version: string | undefined;
  private answer: Message | undefined;
  private waiting: Waiting[] = [];
  private waitingBytes = 0;

  get done(): boolean {
    return this.answer !== undefined;
  }

  /** Answers a client that asks for the version `asked`, in the server's own words. */
  reply(guest: Guest, key: IdKey, asked: string | undefined): void {
    const { answer } = this;
    if (answer?.id)
      guest.out.message(answer, inOrder({ ...answer.id, text: idText(key) }, ...versionEdits(answer, asked)));
  }

  /** The server has answered. What has waited is returned, to be looked at again. */
  answered({ bytes, start, end, result }: Message): Waiting[] {
    this.asked = false;
    const own = readMessage(new Uint8Array(bytes.subarray(start, end)), 0, end - start);
    if (result && typeof own !== "string") {
      this.answer = own;
      this.version = versionIn(own)?.text;
    } else this.era = undefined;
    const { waiting } = this;
    this.waiting = [];
    this.waitingBytes = 0;
    return waiting.filter(({ guest }) => !guest.gone);
  }

  /** Keeps a line until the server has answered. False if there is no room. */
  wait(guest: Guest, { bytes, start, end }: Message): boolean {
    if (this.waitingBytes + end - start > WAITING_BYTES_MAX) return false;
    this.waitingBytes += end - start;
    this.waiting.push({ guest, line: new Uint8Array(bytes.subarray(start, end)) });
    return true;
  }
}

const VERSION = new Names("protocolVersion");

/** The version that the server is asked for, where a client asks for another one. */
export function versionToAsk(asked: string | undefined): string | undefined {
  return asked !== undefined && DATE.test(asked) && asked < LAST_VERSION ? LAST_VERSION : undefined;
}

/** Of the client's version and the server's, the older one is agreed on: what the newer adds, the older passes over. */
export function versionEdits(answer: Message, asked: string | undefined): Edit[] {
  const version = versionIn(answer);
  if (!version || asked === undefined || !DATE.test(asked) || asked >= version.text) return [];
  return [{ start: version.start, end: version.end, text: JSON.stringify(asked) }];
}

function versionIn({ bytes, result }: Message): Edit | undefined {
  const { protocolVersion } = find(bytes, result, VERSION);
  const text = protocolVersion && stringOf(bytes, protocolVersion);
  return protocolVersion && text !== undefined
    ? { start: protocolVersion.start, end: protocolVersion.end, text }
    : undefined;
}

/** The capabilities that a client declares, and what of them the server is told, as JSON. */
export function capabilitiesOf(bytes: Uint8Array, span: Span): { names: Set<string>; told: string } {
  const members = membersOf(bytes, span) ?? [];
  const told = members.filter(({ name }) => !UNSHARED.has(name));
  return {
    names: new Set(members.map(({ name }) => name)),
    told: `{${told.map(({ nameStart, end }) => textAt(bytes, { start: nameStart, end })).join(",")}}`,
  };
}
