/** From a server's name to an open session: the manager (found, started, or in this process), the grant, the bridge. */
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { SessionRequestInput } from "../model/session-request.ts";
import type { ProgressView, SessionGrant } from "../model/views.ts";
import { dialSession, type Session } from "../transport/session.ts";
import type { FrontArguments } from "./arguments.ts";
import { terminalName } from "./terminal.ts";

/** A start may have to fetch an image first (faults.md: 10 min in total with progress) … */
const START_MS = 600_000;
/** … but not without a sign of life. */
const SILENT_MS = 60_000;
/** A bridge that was reported ready accepts and attaches within this time. */
const DIAL_MS = 15_000;
/** The client is gone or going; the manager notices the end of a session by itself, too. */
const RELEASE_MS = 300;
/** Servers of an embedded manager are stopped before the process ends. */
const CLOSE_MS = 10_000;

type Report = (progress: ProgressView) => void;

/** What a front needs of a manager; the one in this process has it as it is. */
export interface EmbeddedManager {
  acquire(request: SessionRequestInput, kind: "front", report: Report, deadline: Deadline): Promise<SessionGrant>;
  release(session: string): void;
  close(deadline: Deadline): Promise<void>;
}

interface Source {
  acquire(request: SessionRequestInput, report: Report, deadline: Deadline): Promise<SessionGrant>;
  release(session: string): Promise<void>;
  close(): Promise<void>;
}

export class Opening {
  private readonly cancelled = new AbortController();
  private source: Source | undefined;
  private grant: SessionGrant | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private silent = false;

  constructor(
    private readonly asked: FrontArguments,
    private readonly embedded: () => Promise<EmbeddedManager>,
    private readonly warn: (message: string) => void,
  ) {}

  /** Finds the server, has it started if need be, dials its bridge. Faults: whatever stands in the way. */
  async open(report: Report): Promise<Session> {
    const deadline = Deadline.in(START_MS, this.cancelled.signal);
    this.sign();
    try {
      this.source = await this.findSource();
      const request = {
        server: this.asked.server,
        ...(this.asked.definition ? { definition: this.asked.definition } : {}),
        pid: process.pid,
        ppid: process.ppid,
        terminal: terminalName(process.env),
      };
      this.grant = await this.source.acquire(
        request,
        (progress) => {
          this.sign();
          report(progress);
        },
        deadline,
      );
      const { addresses, token, session: id } = this.grant;
      return await dialSession({ addresses, token, session: id }, deadline.within(DIAL_MS));
    } catch (error) {
      if (!this.silent) throw error;
      throw new Fault("timeout", `${this.asked.server} did not start: nothing was heard of it for ${SILENT_MS} ms`, {
        cause: error,
        hint: "`linkspan logs` and `linkspan doctor` show more.",
      });
    } finally {
      clearTimeout(this.silence);
    }
  }

  /** Ends an `open` that is under way; it then rejects. */
  cancel(): void {
    clearTimeout(this.silence);
    this.cancelled.abort();
  }

  /** Gives the session back, and ends a manager of our own. Never throws: there is nobody left to tell. */
  async close(): Promise<void> {
    const { source, grant } = this;
    if (source && grant) await source.release(grant.session).catch(() => {});
    await source?.close().catch((error: unknown) => this.warn(Fault.from(error).message));
  }

  private sign(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      this.silent = true;
      this.cancelled.abort();
    }, SILENT_MS);
  }

  private async findSource(): Promise<Source> {
    if (this.asked.embedded) return embeddedSource(await this.embedded());
    // Imported late: with --embedded there is nobody to connect to.
    const { connectManager } = await import("../api/client/connect.ts");
    const client = await connectManager({ onStarting: () => this.warn("starting the manager in the background") });
    return {
      acquire: (request, report, deadline) => client.acquire(request, { report, deadline }),
      release: (session) => client.release(session, { deadline: Deadline.in(RELEASE_MS) }),
      close: async () => {},
    };
  }
}

function embeddedSource(manager: EmbeddedManager): Source {
  return {
    acquire: (request, report, deadline) => manager.acquire(request, "front", report, deadline),
    release: async (session) => manager.release(session),
    close: () => manager.close(Deadline.in(CLOSE_MS)),
  };
}
