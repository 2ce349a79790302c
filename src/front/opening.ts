/**
 * From a server's name to an open session: the manager (found, started, or in this process), the grant, the bridge.
 * Done again for every session that the front needs.
 */
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault, type FaultKind } from "../base/fault.ts";
import type { ManifestAnswers, ManifestNews } from "../model/manifest.ts";
import type { SessionRequestInput } from "../model/session-request.ts";
import type { ProgressView, ServerState, ServerView, SessionGrant } from "../model/views.ts";
import { dialSession, type Session } from "../transport/session.ts";
import type { Whereabouts } from "../transport/session-events.ts";
import type { FrontArguments } from "./arguments.ts";
import type { Manifest } from "./manifest.ts";
import { refuseStopped } from "./stopped.ts";
import { terminalName } from "./terminal.ts";

/** A start may have to fetch an image first (faults.md: 10 min in total with progress) … */
const START_MS = 600_000;
/** … but not without a sign of life. */
const SILENT_MS = 60_000;
/** A bridge that was reported ready accepts and attaches within this time. */
const DIAL_MS = 15_000;
/** A bridge that has just died is asked for until the manager has noticed it, too. */
const REDIAL_MS = 10_000;
const REDIAL_WAIT_MS = 200;
/** Nobody is at its address any more, or by now another bridge, which does not know the token. */
const ELSEWHERE: ReadonlySet<FaultKind> = new Set(["unreachable", "unauthenticated"]);
/** The client is gone or going; the manager notices the end of a session by itself, too. */
const RELEASE_MS = 300;
/** A server that runs is granted sooner; only for one that does not the manager is asked what it would answer. */
const PATIENCE_MS = 10;
const MANIFEST_MS = 2_000;
/** What a client asks at its beginning comes together; the manager hears of it once. */
const GATHER_MS = 100;
/** A client that only looks who is there ends its front at once, and waits for it. */
const TEACH_MS = 1_000;
/** Servers of an embedded manager are stopped before the process ends. */
const CLOSE_MS = 10_000;

type Report = (progress: ProgressView) => void;

/** What a front needs of a manager; the one in this process has it as it is. */
export interface EmbeddedManager {
  acquire(request: SessionRequestInput, kind: "front", report: Report, deadline: Deadline): Promise<SessionGrant>;
  release(session: string): void;
  server(name: string, session: string): ServerView;
  /** Where its gateway listens, from now on. */
  gateway(): string;
  close(deadline: Deadline): Promise<void>;
}

interface Source {
  /** What the server has answered to others, if it is not there yet; absent where nobody keeps that. */
  manifest?(request: SessionRequestInput, deadline: Deadline): Promise<ManifestAnswers>;
  learn?(session: string, news: ManifestNews, deadline: Deadline): Promise<void>;
  acquire(request: SessionRequestInput, report: Report, deadline: Deadline): Promise<SessionGrant>;
  release(session: string): Promise<void>;
  /** Throws a fault if somebody has stopped or removed the server of an earlier grant on purpose. */
  checkWanted(earlier: SessionGrant, deadline: Deadline): Promise<void>;
  view(grant: SessionGrant, deadline: Deadline): Promise<ServerView>;
  /** Whether it has found all that ran before it started. */
  knows(deadline: Deadline): Promise<boolean>;
  close(): Promise<void>;
}

/** A server in another state has no bridge that a session could be resumed on. */
const ALIVE: ReadonlySet<ServerState> = new Set(["starting", "ready", "unhealthy"]);
/** Asking the manager where a bridge is; it may be away. */
const VIEW_MS = 300;
/** One that is being restarted is back within this time, as a rule. */
const AWAY_MS = 500;

export class Opening {
  /** What the manager says of the end of the last session's server, where that took its bridge with it. */
  epitaph: string | undefined;
  private readonly cancelled = new AbortController();
  private source: Source | undefined;
  private grant: SessionGrant | undefined;
  private begun = false;
  /** Since when no manager answers, monotonic milliseconds. */
  private missedAt: number | undefined;
  private teaching: ReturnType<typeof setTimeout> | undefined;
  private silence: { timer?: ReturnType<typeof setTimeout>; abort: AbortController } = { abort: new AbortController() };

  constructor(
    private readonly asked: FrontArguments,
    private readonly manifest: Manifest | undefined,
    private readonly embedded: () => Promise<EmbeddedManager>,
    private readonly warn: (message: string) => void,
  ) {
    manifest?.on({ news: () => this.teachSoon() });
  }

  /**
   * Finds the server, has it started if need be, dials its bridge. Called again when a session has ended: the manager
   * is then looked for again, too. Faults: whatever stands in the way.
   */
  async open(report: Report): Promise<Session> {
    const abort = new AbortController();
    this.epitaph = undefined;
    this.silence = { abort };
    const deadline = Deadline.in(START_MS, AbortSignal.any([this.cancelled.signal, abort.signal]));
    this.sign();
    try {
      const source = await this.findSource();
      if (this.grant) await this.giveBack(source, this.grant, deadline);
      return await this.openWith(source, report, deadline);
    } catch (error) {
      if (!abort.signal.aborted) throw error;
      throw new Fault("timeout", `${this.asked.server} did not start: nothing was heard of it for ${SILENT_MS} ms`, {
        cause: error,
        hint: "`linkspan logs` and `linkspan doctor` show more.",
      });
    } finally {
      clearTimeout(this.silence.timer);
    }
  }

  /** After so long without a request the session is to be given up; undefined: never. */
  get idleMs(): number | undefined {
    return this.grant?.idleMs;
  }

  /** The session is not needed now. What its server has taught us goes with it; the next `open` begins another one. */
  giveUp(): void {
    const { source, grant } = this;
    if (grant) void this.teach().then(() => source?.release(grant.session).catch(() => {}));
  }

  /** Ends an `open` that is under way; it then rejects. */
  cancel(): void {
    clearTimeout(this.silence.timer);
    this.cancelled.abort();
  }

  /** Gives the session back, and ends a manager of our own. Never throws: there is nobody left to tell. */
  async close(): Promise<void> {
    const { source, grant } = this;
    await this.teach();
    if (source && grant) await source.release(grant.session).catch(() => {});
    await source?.close().catch((error: unknown) => this.warn(Fault.from(error).message));
  }

  /** A bridge that a manager believes to be alive may have died just now: its address is asked for again. */
  private async openWith(source: Source, report: Report, deadline: Deadline): Promise<Session> {
    const { pid, ppid } = process;
    const { server, definition } = this.asked;
    const defined = definition ? { definition } : {};
    const request = { server, ...defined, pid, ppid, terminal: terminalName(process.env) };
    const until = performance.now() + REDIAL_MS;
    for (;;) {
      const reportOn = (progress: ProgressView) => {
        this.sign();
        report(progress);
      };
      const grant = await this.acquire(source, request, reportOn, deadline);
      this.grant = grant;
      try {
        const { addresses, token, session: id } = grant;
        const whereabouts = (within: Deadline) => this.whereabouts(grant, within);
        return await dialSession({ addresses, token, session: id, whereabouts }, deadline.within(DIAL_MS));
      } catch (error) {
        if (!ELSEWHERE.has(Fault.from(error).kind) || performance.now() > until) throw error;
        await source.release(grant.session).catch(() => {});
        await sleep(REDIAL_WAIT_MS, deadline.signal);
      }
    }
  }

  /** The first time the client need not wait for it, if the manager knows what the server will say. */
  private async acquire(source: Source, request: SessionRequestInput, report: Report, deadline: Deadline) {
    const learn = () =>
      source.manifest?.(request, deadline.within(MANIFEST_MS)).then(
        (answers) => this.manifest?.learn(answers),
        // Then the client waits.
        () => {},
      );
    const patience = this.manifest && !this.begun ? setTimeout(learn, PATIENCE_MS) : undefined;
    this.begun = true;
    try {
      return await source.acquire(request, report, deadline);
    } finally {
      clearTimeout(patience);
    }
  }

  private teachSoon(): void {
    this.teaching ??= setTimeout(() => void this.teach(), GATHER_MS);
  }

  /** Tells the manager what the server answers. Never throws: a client waits for it the next time. */
  private async teach(): Promise<void> {
    clearTimeout(this.teaching);
    this.teaching = undefined;
    const { source, grant, manifest } = this;
    const news = grant && manifest?.takeNews();
    if (news) await source?.learn?.(grant.session, news, Deadline.in(TEACH_MS)).catch(() => {});
  }

  /** Where the bridge of a grant is by now; undefined if its server has ended. A manager that is away is not waited for. */
  private async whereabouts(grant: SessionGrant, deadline: Deadline): Promise<Whereabouts | undefined> {
    const { addresses, token } = grant;
    const view = await this.look(grant, deadline.within(VIEW_MS));
    if (view === "unknown") return { addresses, token };
    if (view === "gone") return undefined;
    if (ALIVE.has(view.state)) return { addresses: view.addresses.length > 0 ? view.addresses : addresses, token };
    if (view.reason !== undefined) this.epitaph = `${view.name} has ended: ${view.reason}`;
    return undefined;
  }

  /** A manager that has just started may still be looking for what runs. */
  private async look(grant: SessionGrant, deadline: Deadline): Promise<ServerView | "gone" | "unknown"> {
    const { source } = this;
    if (!source) return "unknown";
    let view: ServerView | undefined;
    try {
      view = await source.view(grant, deadline);
    } catch (error) {
      const { kind } = Fault.from(error);
      if (kind === "unreachable") this.missed();
      if (kind !== "not-found") return "unknown";
    }
    this.missedAt = undefined;
    if (view && view.state !== "defined") return view;
    return (await source.knows(deadline).catch(() => false)) ? "gone" : "unknown";
  }

  /** Only a manager can say that a bridge is gone for good: one that stays away is followed by another. */
  private missed(): void {
    this.missedAt ??= performance.now();
    if (performance.now() - this.missedAt < AWAY_MS) return;
    this.missedAt = undefined;
    void this.findSource().catch(() => {});
  }

  /** What is left of an earlier session. Throws a fault if its server is not wanted any more. */
  private async giveBack(source: Source, grant: SessionGrant, deadline: Deadline): Promise<void> {
    await source.checkWanted(grant, deadline);
    this.grant = undefined;
    await source.release(grant.session).catch(() => {});
  }

  private sign(): void {
    const { silence } = this;
    clearTimeout(silence.timer);
    silence.timer = setTimeout(() => silence.abort.abort(), SILENT_MS);
  }

  private async findSource(): Promise<Source> {
    if (this.asked.embedded) return (this.source ??= embeddedSource(await this.embedded()));
    // Imported late: with --embedded there is nobody to connect to.
    const { connectManager } = await import("../api/client/connect.ts");
    const client = await connectManager({ onStarting: () => this.warn("starting the manager in the background") });
    return (this.source = {
      acquire: (request, report, deadline) => client.acquire(request, { report, deadline }),
      manifest: (request, deadline) => client.manifest(request, { deadline }),
      learn: (session, news, deadline) => client.learn(session, news, { deadline }),
      release: (session) => client.release(session, { deadline: Deadline.in(RELEASE_MS) }),
      view: ({ server, session }, deadline) => client.server(server, { session, deadline }),
      knows: async (deadline) => (await client.ready({ deadline })).ready,
      checkWanted: (earlier, deadline) => refuseStopped(client, earlier, deadline),
      close: async () => {},
    });
  }
}

function embeddedSource(manager: EmbeddedManager): Source {
  return {
    acquire: (request, report, deadline) => manager.acquire(request, "front", report, deadline),
    release: async (session) => manager.release(session),
    view: async ({ server, session }) => manager.server(server, session),
    knows: async () => true,
    // Nobody else can reach a manager that is in this process.
    checkWanted: async () => {},
    close: () => manager.close(Deadline.in(CLOSE_MS)),
  };
}
