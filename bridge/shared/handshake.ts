/**
 * The one `initialize` of a shared server: its answer is kept, and everybody who asks later gets that. Also which era of
 * MCP the process speaks, for a process takes only one (a server that was asked in the older way is not asked in the
 * newer one). Pure.
 */
import type { IdKey } from "../envelope.ts";
import { idText } from "../envelope.ts";
import type { Guest } from "./guest.ts";
import { membersOf, type Span, stringOf, textAt } from "./json.ts";
import { find, type Message, Names } from "./message.ts";

/** What waits for the answer, over all clients; they are small messages. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/**
 * What only one client can have with a server: folders that it opens to it, tasks that run at the client. A shared server
 * is told of neither, whoever comes first.
 */
const UNSHARED: ReadonlySet<string> = new Set(["roots", "tasks"]);

/** Kept longer than a server process, so that the next one agrees on the version that clients were told before. */
export interface Memory {
  version?: string;
}

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
  private answer: { bytes: Uint8Array; id: Span } | undefined;
  private waiting: Waiting[] = [];
  private waitingBytes = 0;

  constructor(private readonly memory: Memory) {}

  get done(): boolean {
    return this.answer !== undefined;
  }

  /** The version to ask the server for, instead of the one that the client has asked for. */
  get version(): string | undefined {
    return this.memory.version;
  }

  /** Answers a client in the server's own words. */
  reply(guest: Guest, key: IdKey): void {
    if (!this.answer) return;
    const { bytes, id } = this.answer;
    guest.out.message({ bytes, start: 0, end: bytes.length }, [{ ...id, text: idText(key) }]);
  }

  /** The server has answered. What has waited is returned, to be looked at again. */
  answered({ bytes, start, end, id, result }: Message): Waiting[] {
    this.asked = false;
    const version = find(bytes, result, VERSION).protocolVersion;
    if (result && id) {
      this.answer = {
        bytes: new Uint8Array(bytes.subarray(start, end)),
        id: { start: id.start - start, end: id.end - start },
      };
      const text = version && stringOf(bytes, version);
      if (text !== undefined) this.memory.version = text;
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

/** The capabilities that a client declares, and what of them the server is told, as JSON. */
export function capabilitiesOf(bytes: Uint8Array, span: Span): { names: Set<string>; told: string } {
  const members = membersOf(bytes, span) ?? [];
  const told = members.filter(({ name }) => !UNSHARED.has(name));
  return {
    names: new Set(members.map(({ name }) => name)),
    told: `{${told.map(({ nameStart, end }) => textAt(bytes, { start: nameStart, end })).join(",")}}`,
  };
}
