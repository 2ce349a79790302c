/** A router with its clients and its server played by the test: lines in, lines out. */
import type { Guest } from "../../../bridge/shared/guest.ts";
import { Router } from "../../../bridge/shared/router.ts";

type Say = object | string;

export class Stage {
  readonly drops: string[] = [];
  now = 0;
  private readonly router: Router;
  private readonly guests: Guest[] = [];

  constructor() {
    const dropped = (why: string, from: string) => void this.drops.push(`${why} from the ${from}`);
    this.router = new Router({ limitBytes: 1_000_000, dropped }, () => this.now);
  }

  join(): Guest {
    const guest = this.router.join();
    this.guests.push(guest);
    return guest;
  }

  /** A client says something; what the server gets, and what clients get at once. */
  client(guest: Guest, said: Say): string[] {
    const bytes = line(said);
    this.router.fromClient(guest, bytes, 0, bytes.length - 1);
    return this.forServer();
  }

  /** The server says something. */
  server(said: Say): void {
    const bytes = line(said);
    this.router.fromServer(bytes, 0, bytes.length - 1, true);
  }

  leave(guest: Guest): string[] {
    this.router.leave(guest);
    return this.forServer();
  }

  sweep(): void {
    this.router.sweep();
  }

  forServer(): string[] {
    return linesOf(this.router.takeForServer());
  }

  /** What has come for a client since the last call. */
  got(guest: Guest): string[] {
    return linesOf(guest.out.take());
  }

  /** The same of all, in the order in which they joined. */
  all(): string[][] {
    return this.guests.map((guest) => this.got(guest));
  }
}

function line(said: Say): Uint8Array {
  return Buffer.from(`${typeof said === "string" ? said : JSON.stringify(said)}\n`);
}

function linesOf(bytes: Uint8Array | undefined): string[] {
  const text = Buffer.from(bytes ?? []).toString();
  if (text !== "" && !text.endsWith("\n")) throw new Error("the last line has no newline");
  return text.split("\n").slice(0, -1);
}

export function request(id: number | string, method: string, params: object = {}): object {
  return { jsonrpc: "2.0", id, method, params };
}

export function notification(method: string, params: object = {}): object {
  return { jsonrpc: "2.0", method, params };
}

export function result(id: number | string, value: object = {}): object {
  return { jsonrpc: "2.0", id, result: value };
}

export function failure(id: number | string, code = -32603): object {
  return { jsonrpc: "2.0", id, error: { code, message: "no" } };
}

export const INFO = { name: "x", version: "1" };

export function initialize(id: number | string, version = "2025-11-25", capabilities: object = {}) {
  return request(id, "initialize", { protocolVersion: version, capabilities, clientInfo: INFO });
}

export function greeting(id: number, version = "2025-11-25") {
  return result(id, { protocolVersion: version, capabilities: { tools: {} }, serverInfo: INFO });
}

/** So many clients, past the handshake. */
export function begun(count: number, capabilities: object = {}): { stage: Stage; guests: Guest[] } {
  const stage = new Stage();
  const guests = Array.from({ length: count }, () => stage.join());
  for (const [index, guest] of guests.entries()) {
    const told = stage.client(guest, initialize(7, "2025-11-25", capabilities));
    if (index === 0) {
      if (told.length !== 1) throw new Error("the first initialize goes to the server");
      stage.server(greeting(1));
    } else if (told.length > 0) throw new Error("the second initialize does not");
    stage.client(guest, notification("notifications/initialized"));
  }
  stage.all();
  return { stage, guests };
}

export function pair(capabilities: object = {}): { stage: Stage; one: Guest; two: Guest } {
  const { stage, guests } = begun(2, capabilities);
  const [one, two] = guests;
  if (!one || !two) throw new Error("two clients are needed");
  return { stage, one, two };
}

export function parsed(lines: string[]): unknown[] {
  return lines.map((line) => JSON.parse(line) as unknown);
}
