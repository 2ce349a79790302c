/** One created server's session: opened through the manager, and opened anew when it has ended. */
import type { ManagerClient } from "../api/client/client.ts";
import { connectManager } from "../api/client/connect.ts";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { McpClient } from "../gateway/client.ts";
import type { SessionRequestInput } from "../model/session-request.ts";
import type { SessionGrant } from "../model/views.ts";
import { dialSession, type Session } from "../transport/session.ts";
import { brokenFault, silentFault } from "./broken.ts";

const DIAL_MS = 15_000;
const RELEASE_MS = 10_000;
/** A server that runs says something to its first request in less. */
const HANDSHAKE_MS = 15_000;
const GONE_MS = 15_000;
const GONE_POLL_MS = 100;

export type Run = Pick<SessionRequestInput, "server" | "definition">;
export type Report = (text: string) => void;

export class Connection {
  private client: Promise<McpClient> | undefined;
  private manager: ManagerClient | undefined;
  private grant: SessionGrant | undefined;
  private closed = false;
  private releasing: Promise<unknown> = Promise.resolve();
  /** `docker`: a container of its own. `process`: no isolation. */
  isolation = "unknown";

  constructor(
    private readonly run: Run,
    private readonly env: Record<string, string | undefined>,
  ) {}

  get running(): boolean {
    return this.grant !== undefined;
  }

  /** Faults: `server-failed` with what the server has written, and whatever the manager says. */
  async open(report: Report, deadline: Deadline): Promise<McpClient> {
    if (this.closed) throw new Fault("not-found", "the server has been deleted");
    const client = (this.client ??= this.begin(report, deadline));
    try {
      return await client;
    } catch (error) {
      if (this.client === client) this.client = undefined;
      throw error;
    }
  }

  /** The server has ended, or will not answer any more: the next `open` starts it again. */
  reset(): void {
    const client = this.client;
    this.client = undefined;
    void client?.then((opened) => opened.close()).catch(() => {});
    void this.release();
  }

  /** Ends the server and resolves when its container is gone. Idempotent. */
  async close(): Promise<void> {
    this.closed = true;
    const client = await this.client?.catch(() => undefined);
    await client?.close().catch(() => {});
    await this.release();
  }

  private async begin(report: Report, deadline: Deadline): Promise<McpClient> {
    const manager = await connectManager({ env: this.env, deadline: deadline.within(DIAL_MS) });
    this.manager = manager;
    if (manager.target.kind !== "unix")
      throw new Fault("unsupported", "created servers need a manager on this machine", {
        hint: "Unset LINKSPAN_URL for this toolset.",
      });
    const first = await this.dial(manager, report, deadline);
    let next: Session | undefined = first;
    const again = async () => {
      const opened = next ?? (await this.dial(manager, report, deadline));
      next = undefined;
      return opened;
    };
    const answer = deadline.within(HANDSHAKE_MS);
    try {
      const client = await McpClient.connect(again, undefined, answer);
      const own = this.grant;
      client.onEnded(() => {
        // Unless another one was opened meanwhile.
        if (this.grant === own) this.reset();
      });
      return client;
    } catch (error) {
      await this.release();
      if (answer.passed && !deadline.passed) throw silentFault(HANDSHAKE_MS);
      throw brokenFault(error, "the server did not start");
    }
  }

  private async dial(manager: ManagerClient, report: Report, deadline: Deadline): Promise<Session> {
    await this.release();
    const request = { ...this.run, pid: process.pid, ppid: process.ppid };
    const grant = await manager.acquire(request, {
      report: ({ step, detail }) => report(detail ?? step),
      deadline,
    });
    this.grant = grant;
    const { addresses, token, session } = grant;
    try {
      const view = await manager.server(grant.server, { session, deadline });
      this.isolation = view.runtime;
      return await dialSession({ addresses, token, session }, deadline.within(DIAL_MS));
    } catch (error) {
      await this.release();
      throw brokenFault(error, "the server did not start");
    }
  }

  /** Resolves when the container is gone. Never throws: the manager's lease and sweep end what could not be ended here. */
  private release(): Promise<void> {
    const { grant, manager } = this;
    this.grant = undefined;
    if (grant && manager) this.releasing = Promise.all([this.releasing, giveBack(manager, grant)]);
    return this.releasing.then(() => {});
  }
}

async function giveBack(manager: ManagerClient, grant: SessionGrant): Promise<void> {
  const deadline = Deadline.in(RELEASE_MS + GONE_MS);
  try {
    await manager.release(grant.session, { deadline: deadline.within(RELEASE_MS) });
    for (;;) {
      const view = await manager.server(grant.server, { session: grant.session, deadline });
      if (view.container === undefined || deadline.passed) return;
      await Bun.sleep(GONE_POLL_MS);
    }
  } catch {
    // Gone with its manager, or the lease ends it.
  }
}
