/**
 * Many clients on one server process: who says what to whom. Pure: bytes in, bytes out, no clock and no socket.
 *
 * Nothing on the wire between a client and a server says which of several clients it is about, save ids and tokens. So the
 * bridge gives each request a number of its own, which is also its progress token, and puts the client's back into what
 * comes. What the protocol ties to nobody goes to all (lists have changed), to those who have asked (log, resources), or
 * to the one whom it can only be for; where that cannot be told the server gets an error at once, and nobody anything.
 */
import { FromClient } from "./from-client.ts";
import { FromServer } from "./from-server.ts";
import { Guest } from "./guest.ts";
import type { LongLine } from "../lines.ts";
import { CODES, errorLine } from "../traffic.ts";
import { idText } from "../envelope.ts";
import { Table, type TableEvents } from "./table.ts";

export class Router {
  private readonly table: Table;
  private readonly clientSide: FromClient;
  private readonly serverSide: FromServer;

  /** `now` is in milliseconds, monotonic. */
  constructor(events: TableEvents, now: () => number) {
    this.table = new Table(events, now);
    this.clientSide = new FromClient(this.table);
    this.serverSide = new FromServer(this.table);
  }

  /** Requests that the server has not answered, of whomever. */
  get inFlight(): number {
    return this.table.requests.size;
  }

  join(): Guest {
    const guest = new Guest();
    this.table.guests.add(guest);
    return guest;
  }

  /** A line of JSON-RPC, `bytes[end]` being its newline. The bytes may be kept until they are taken. */
  fromClient(guest: Guest, bytes: Uint8Array, start: number, end: number): void {
    if (!guest.gone) this.clientSide.line(guest, bytes, start, end);
  }

  /** A line of the server, whatever it is. `clean`: it is UTF-8 without NUL bytes. */
  fromServer(bytes: Uint8Array, start: number, end: number, clean: boolean): void {
    this.serverSide.line(bytes, start, end, clean);
  }

  /** A line over the limit, when it has ended: who waits for it is told that it will not come. */
  longFromServer(line: LongLine): void {
    this.serverSide.long(line);
  }

  /** What was gathered for the server. */
  takeForServer(): Uint8Array | undefined {
    return this.table.server.take();
  }

  /** Takes back whatever the client has at the server. */
  leave(guest: Guest): void {
    const { table } = this;
    if (!table.guests.delete(guest)) return;
    guest.gone = true;
    for (const [number, { method }] of table.requests.of(guest)) {
      // Its answer is for all.
      if (method === "initialize") continue;
      table.requests.cancel(number, table.now());
      const params = { requestId: number, reason: "the client has left" };
      table.server.text(`${JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params })}\n`);
    }
    for (const [key, question] of table.questions) {
      if (question.guest !== guest) continue;
      table.questions.delete(key);
      const data = { kind: "cancelled" };
      table.server.text(errorLine(idText(key), CODES.cancelled, "the client has left", data));
    }
    for (const uri of table.resources.leave(guest)) table.ask("resources/unsubscribe", { uri });
    for (const taskId of table.tasks.leave(guest)) table.ask("tasks/cancel", { taskId });
    for (const [page, reader] of table.pages) if (reader === guest) table.pages.delete(page);
    const { levels, guests } = table;
    const level = levels.wanted(guests);
    if (level === undefined || level === levels.told) return;
    levels.told = level;
    table.ask("logging/setLevel", { level });
  }

  /** To be called every few seconds: forgets what was cancelled long ago. */
  sweep(): void {
    this.table.requests.sweep(this.table.now());
  }
}
