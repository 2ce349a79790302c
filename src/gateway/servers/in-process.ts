/** A server of the MCP SDK in this process, in both eras, spoken to over lines like any other server. */
import type { JSONRPCMessage, Server, Transport } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { randomUUID } from "node:crypto";
import * as v from "valibot";
import { linePair, type Lines } from "./lines.ts";

/** Of one session. */
const SUBSCRIPTIONS_MAX = 64;

interface Serving {
  /** For each session anew, when its era is known. */
  make(): Server;
  /** Sees every message of the client first. */
  look(message: unknown): void;
  /** The session is over: its id, as requests in it have it. */
  ended(session: string): void;
}

/** A session. */
export function serveInProcess({ make, look, ended }: Serving): Lines {
  const [near, far] = linePair();
  const transport = new LinesTransport(far, ended);
  serveStdio(make, { transport, maxSubscriptions: SUBSCRIPTIONS_MAX });
  const receive = transport.onmessage;
  transport.onmessage = (message) => {
    look(message);
    receive?.(message);
  };
  return near;
}

/** The other end is ours: what it sends is a message. */
const message = v.custom<JSONRPCMessage>((value) => typeof value === "object" && value !== null);

class LinesTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: Transport["onmessage"];
  /** What is confirmed in one session is not confirmed in another. */
  readonly sessionId = randomUUID();

  constructor(
    private readonly lines: Lines,
    private readonly ended: (session: string) => void,
  ) {}

  async start(): Promise<void> {
    this.lines.open({
      line: (line) => this.onmessage?.(v.parse(message, JSON.parse(line))),
      drained: () => {},
      ended: () => {
        this.onclose?.();
        this.ended(this.sessionId);
      },
    });
  }

  async send(sent: JSONRPCMessage): Promise<void> {
    this.lines.send(JSON.stringify(sent));
  }

  async close(): Promise<void> {
    this.lines.close();
  }
}
