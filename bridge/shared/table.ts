/** All that is known of a shared server and its clients: one for each server process. Pure. */
import type { IdKey } from "../envelope.ts";
import { CODES, type Dropped, errorLine } from "../traffic.ts";
import { Gather } from "./gather.ts";
import type { Guest } from "./guest.ts";
import { Handshake } from "./handshake.ts";
import { Levels } from "./levels.ts";
import type { Message } from "./message.ts";
import { Requests } from "./requests.ts";
import { Resources } from "./resources.ts";
import { Tasks } from "./tasks.ts";
import { idText } from "../envelope.ts";

/** A request of the server that a client has yet to answer. */
export interface Question {
  guest: Guest;
  /** Under which the client may tell of its progress. */
  token: IdKey | undefined;
}

export interface TableEvents {
  /** The longest message of the server. */
  readonly limitBytes: number;
  dropped(why: Dropped, from: "client" | "server", line: Uint8Array): void;
}

export class Table {
  readonly guests = new Set<Guest>();
  readonly requests = new Requests();
  readonly questions = new Map<IdKey, Question>();
  readonly levels = new Levels();
  readonly resources = new Resources();
  readonly tasks = new Tasks();
  /** Who was sent to which web page: the server tells when that is done. */
  readonly pages = new Map<string, Guest>();
  readonly handshake = new Handshake();
  /** What the server is to be sent. */
  readonly server = new Gather();

  constructor(
    readonly events: TableEvents,
    readonly now: () => number,
  ) {}

  /** A request of the bridge's own, whose answer nobody needs. */
  ask(method: string, params: Record<string, unknown>): void {
    const id = this.requests.begin({ key: 0, method });
    this.server.text(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
  }

  /** A client is to see a web page on the server's behalf. */
  sentTo(page: string, guest: Guest): void {
    this.pages.set(page, guest);
    if (this.pages.size <= PAGES_MAX) return;
    for (const oldest of this.pages.keys()) return void this.pages.delete(oldest);
  }

  /**
   * The client that the server's own request or notification can only be for. The wire does not say it; so: the client of
   * the task that it names; the only client whose requests the server works on; the only client there is.
   */
  owner(task: string | undefined): Guest | undefined {
    if (task !== undefined) return this.tasks.owner(task);
    const [one, ...others] = this.requests.askers();
    if (others.length > 0 || one?.gone) return undefined;
    if (one) return one;
    const [only, ...more] = this.guests;
    return more.length === 0 ? only : undefined;
  }

  drop(why: Dropped, from: "client" | "server", { bytes, start, end }: Pick<Message, "bytes" | "start" | "end">): void {
    this.events.dropped(why, from, bytes.subarray(start, Math.min(end, start + 400)));
  }
}

const PAGES_MAX = 1_024;

/** An error for a request that is not passed on. */
export function refusal(
  key: IdKey,
  code: keyof typeof CODES,
  message: string,
  data: Record<string, unknown> = { kind: "usage" },
): string {
  return errorLine(idText(key), CODES[code], message, data);
}

/** An answer of the bridge's own. */
export function emptyAnswer(key: IdKey): string {
  return `{"jsonrpc":"2.0","id":${idText(key)},"result":{}}\n`;
}
