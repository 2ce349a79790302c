/** One attachment to the upstream for each principal, for as long as it asks for something now and then. */
import { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { Attachment, Description, Params, Upstream } from "../exchange.ts";
import type { Envelope } from "./envelope.ts";

const PRINCIPALS_MAX = 256;
const IDLE_MS = 300_000;
/** A server may have to be fetched before it can be described. */
const DESCRIBE_MS = 600_000;

/** The attachment while a request uses it. */
export interface Attached extends Disposable {
  attachment: Attachment;
  /** Known once somebody has asked for it; where nobody has, this does, for the next time. */
  readonly serverInfo: Params | undefined;
  describe(signal: AbortSignal): Promise<Description>;
}

interface Held {
  attachment: Attachment;
  inUse: number;
  serverInfo: Params | undefined;
  asking: boolean;
  idle: ReturnType<typeof setTimeout> | undefined;
}

export class Attachments {
  private readonly held = new Map<string, Held>();

  constructor(
    private readonly upstream: Upstream,
    private readonly inFlightMax: number,
  ) {}

  /** Faults: `exhausted`, and those of the upstream. */
  use(principal: string, envelope: Envelope): Attached {
    const held = this.held.get(principal) ?? this.attach(principal, envelope);
    if (held.inUse >= this.inFlightMax) {
      throw new Fault("exhausted", `${this.inFlightMax} requests of this client are in flight already`);
    }
    clearTimeout(held.idle);
    held.inUse += 1;
    return {
      attachment: held.attachment,
      get serverInfo() {
        if (!held.serverInfo && !held.asking) void describe(held, undefined).catch(() => {});
        return held.serverInfo;
      },
      describe: (signal) => describe(held, signal),
      [Symbol.dispose]: () => {
        held.inUse -= 1;
        if (held.inUse > 0) return;
        held.idle = setTimeout(() => this.drop(principal, held), IDLE_MS);
        held.idle.unref();
      },
    };
  }

  /** Somebody waits for something. */
  get inUse(): boolean {
    return [...this.held.values()].some(({ inUse }) => inUse > 0);
  }

  async close(): Promise<void> {
    await Promise.all([...this.held].map(([principal, held]) => this.drop(principal, held)));
  }

  private attach(principal: string, { info, capabilities }: Envelope): Held {
    if (this.held.size >= PRINCIPALS_MAX) throw new Fault("exhausted", `${PRINCIPALS_MAX} principals are here already`);
    const attachment = this.upstream.attach({ era: "modern", principal, info, capabilities });
    const held: Held = { attachment, inUse: 0, serverInfo: undefined, asking: false, idle: undefined };
    this.held.set(principal, held);
    return held;
  }

  private async drop(principal: string, held: Held): Promise<void> {
    clearTimeout(held.idle);
    if (this.held.get(principal) === held) this.held.delete(principal);
    await held.attachment.close().catch(() => {});
  }
}

async function describe(held: Held, signal: AbortSignal | undefined): Promise<Description> {
  held.asking = true;
  try {
    const described = await held.attachment.describe(Deadline.in(DESCRIBE_MS, signal));
    held.serverInfo = described.serverInfo;
    return described;
  } finally {
    held.asking = false;
  }
}
