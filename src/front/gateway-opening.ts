/**
 * From the command line to a conversation with the manager's gateway: the manager (found, started, or in this process)
 * and its socket for lines. The gateway is in the manager and ends with it, so a manager that is restarted is like a
 * server that is started anew: the next session is told what the client has told the last one (link.ts).
 */
import { dataDir, gatewaySocket, managerSocket } from "../base/data-dir.ts";
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Wanted } from "../transport/dial.ts";
import { dialSession, type Session } from "../transport/session.ts";
import type { FrontArguments } from "./arguments.ts";
import type { EmbeddedManager } from "./opening.ts";

/** A manager that has just answered takes a line at once. */
const DIAL_MS = 10_000;
const CLOSE_MS = 10_000;
/** A manager that is being restarted is back within this time, as a rule. */
const AWAY_MS = 3_000;
const LOOK_AGAIN_MS = 50;

export class GatewayOpening {
  /** What is lost with the connection is lost with it. */
  readonly epitaph = "the connection to the manager has ended";
  /** What a gateway needs, it lets go of by itself. */
  readonly idleMs = undefined;
  private readonly cancelled = new AbortController();
  private own: Promise<EmbeddedManager> | undefined;
  private begun = false;

  constructor(
    private readonly asked: Pick<FrontArguments, "server" | "group" | "embedded">,
    private readonly embedded: () => Promise<EmbeddedManager>,
    private readonly warn: (message: string) => void,
  ) {}

  /** Called again when a session has ended. Faults: whatever stands in the way. */
  async open(): Promise<Session> {
    const path = await this.find();
    const deadline = Deadline.in(DIAL_MS, this.cancelled.signal);
    try {
      return await dialSession({ addresses: [{ kind: "unix", path }], wanted: this.wanted }, deadline);
    } catch (error) {
      const fault = Fault.from(error);
      if (fault.kind !== "unreachable") throw fault;
      const hint = "A manager that is older than this program has none: end it, and the next client starts a new one.";
      throw new Fault("unreachable", `the manager's gateway does not answer: ${fault.message}`, { cause: fault, hint });
    }
  }

  cancel(): void {
    this.cancelled.abort();
  }

  giveUp(): void {}

  async close(): Promise<void> {
    const own = await this.own?.catch(() => undefined);
    await own?.close(Deadline.in(CLOSE_MS)).catch((error: unknown) => this.warn(Fault.from(error).message));
  }

  /** Whoever restarts a manager wants that one, and one that we start would be in its way. */
  private async awaitReturn(look: () => Promise<unknown>): Promise<void> {
    const until = performance.now() + AWAY_MS;
    while (this.begun && performance.now() < until) {
      const found = await look().catch(() => undefined);
      if (found !== undefined) return;
      await sleep(LOOK_AGAIN_MS, this.cancelled.signal);
    }
  }

  private get wanted(): Wanted {
    const { server, group } = this.asked;
    if (server) return { server, translate: true };
    return group === undefined ? { server: "*" } : { group };
  }

  private async find(): Promise<string> {
    if (this.asked.embedded) return (await (this.own ??= this.embedded())).gateway();
    const { connectManager, remoteManager } = await import("../api/client/connect.ts");
    const remote = remoteManager(process.env);
    if (remote?.kind === "http") {
      throw new Fault("unsupported", "the gateway of a manager elsewhere is reached over HTTP", {
        hint: `Give the client ${remote.url}/mcp and the token.`,
      });
    }
    await this.awaitReturn(async () => await connectManager({ start: false }));
    this.begun = true;
    await connectManager({ onStarting: () => this.warn("starting the manager in the background") });
    return gatewaySocket(remote ? remote.path : managerSocket(dataDir()));
  }
}
