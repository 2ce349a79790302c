/**
 * Both ends of a session as they are, without a network, a process or a clock: the real Bridge, Connection and Session of
 * the bridge, the real Session of the dialler, and between them wires that a test moves byte by byte.
 */
import { Bridge } from "../../../bridge/bridge.ts";
import type { ChildEvents, ServerProcess } from "../../../bridge/child.ts";
import { parseOptions } from "../../../bridge/options.ts";
import { Deadline } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { attachNew } from "../../../src/transport/attach.ts";
import { attach, type Connection, type Dial } from "../../../src/transport/dial.ts";
import { Session, type SessionEnd } from "../../../src/transport/session.ts";
import { settled, VirtualClock } from "./clock.ts";
import { type Direction, type How, Wire } from "./wire.ts";

export const MESSAGE_BYTES = 64 * 1024;
export const RESUME_MS = 30_000;
const SESSION = "s";
const TOKEN = "t";
/** As long as a front tries. */
const DIAL_MS = 15_000;

const ARGUMENTS = {
  listen: "127.0.0.1:0",
  "token-sha256": new Bun.CryptoHasher("sha256").update(TOKEN).digest("hex"),
  "message-bytes": MESSAGE_BYTES,
  "resume-ms": RESUME_MS,
};
const OPTIONS = await parseOptions(
  [...Object.entries(ARGUMENTS).map(([name, value]) => `--${name}=${value}`), "--", "server"],
  "test",
);

/** A server process: what it was given, and what it says when it is told to. */
class Server implements ServerProcess {
  readonly pid = 4_711;
  readonly lines: string[] = [];
  ended = false;
  private readonly splitter = new Lines((line) => this.lines.push(line));
  private reading = true;
  private paused = false;
  private input: Uint8Array[] = [];
  private output: Uint8Array[] = [];

  constructor(private readonly events: ChildEvents) {}

  get queuedBytes(): number {
    return this.input.reduce((sum, { length }) => sum + length, 0);
  }

  /** It waits for nobody to take what it has said. */
  get free(): boolean {
    return !this.ended && this.output.length === 0;
  }

  write(bytes: Uint8Array): void {
    if (this.reading) this.splitter.push(bytes);
    else this.input.push(bytes);
  }

  /** What is on the way when a process ends is read in any case. */
  pauseOutput(): void {
    this.paused = !this.ended;
  }

  resumeOutput(): void {
    this.paused = false;
    while (!this.paused) {
      const chunk = this.output.shift();
      if (!chunk) break;
      this.events.output(chunk);
    }
  }

  /** So many bytes at a time reach the bridge. */
  say(text: string, chunkBytes = 64 * 1024): void {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      const chunk = new Uint8Array(bytes.subarray(at, at + chunkBytes));
      if (this.paused) this.output.push(chunk);
      else this.events.output(chunk);
    }
  }

  read(reading: boolean): void {
    this.reading = reading;
    if (!reading || this.input.length === 0) return;
    for (const chunk of this.input.splice(0)) this.splitter.push(chunk);
    this.events.inputEmpty();
  }

  stop(budgetMs: number): void {
    setTimeout(() => this.exit(0), budgetMs / 2);
  }

  exit(code: number): void {
    if (this.ended) return;
    this.ended = true;
    this.paused = false;
    this.resumeOutput();
    const reason = `the server ended by itself with exit code ${code}`;
    this.events.ended({ code, signal: null, oom: false, stderr: [], reason });
  }
}

export class Lines {
  private rest = "";
  constructor(private readonly take: (line: string) => void) {}

  push(bytes: Uint8Array): void {
    const lines = (this.rest + Buffer.from(bytes).toString("latin1")).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) this.take(line);
  }
}

export class World implements Disposable {
  readonly clock = new VirtualClock();
  readonly wires: Wire[] = [];
  readonly servers: Server[] = [];
  readonly bridge: Bridge;
  session: Session | undefined;
  /** What the client has received, and what the one that took over has. */
  readonly lines: string[] = [];
  readonly ends: SessionEnd[] = [];
  usurper: { connection: Connection; from: number; lines: string[] } | undefined;
  /** The first dial failed: there never was a session. */
  refused: Fault | undefined;
  refusing = false;
  /** Since when the connection is broken; virtual milliseconds. */
  brokenAt: number | undefined;
  brokenForMs = 0;
  readonly log: string[] = [];
  /** Deliveries after the end. */
  late = 0;

  constructor() {
    const launch = (_command: unknown, _stopMs: number, events: ChildEvents) => {
      const server = new Server(events);
      this.servers.push(server);
      return server;
    };
    const logger = { say: (text: string) => void this.log.push(text), write: () => {}, caughtUp: () => undefined };
    this.bridge = new Bridge(OPTIONS, logger, undefined, launch);
    const options = { addresses: [], token: TOKEN, session: SESSION };
    attachNew(options, Deadline.in(DIAL_MS), this.dial).then(
      (connection) => this.opened(new Session(connection, options, this.dial)),
      (error: unknown) => (this.refused = Fault.from(error)),
    );
  }

  get server(): Server | undefined {
    return this.servers[0];
  }

  /** The bridge's end of the session, while it has one. */
  get far(): { replay: { sent: number; dropped: number; keptBytes: number }; received: number } | undefined {
    const { attached } = this.bridge as unknown as { attached: Map<string, World["far"]> };
    return attached.get(SESSION);
  }

  /** What the dialler keeps for a resume, bytes. */
  get nearKeptBytes(): number {
    const { outgoing } = this.session as unknown as { outgoing: { replay: { keptBytes: number } } };
    return outgoing.replay.keptBytes;
  }

  deliver(which: number, direction: Direction, most: number): void {
    this.wires.at(which)?.deliver(direction, most);
  }

  cut(how: How): void {
    this.wires.at(-1)?.cut(how);
  }

  /** Everything that is on its way arrives, and what follows from it, and so on, while so much time passes. */
  async flow(ms: number): Promise<void> {
    const end = this.clock.now + ms;
    for (;;) {
      for (let round = 0; round < 10_000 && this.wires.some(({ busy }) => busy); round++) {
        for (const wire of this.wires) {
          wire.deliver("up", Number.POSITIVE_INFINITY);
          wire.deliver("down", Number.POSITIVE_INFINITY);
        }
        await settled();
      }
      if (this.clock.now >= end) return;
      await this.clock.advance(Math.min(50, end - this.clock.now));
    }
  }

  /** Another connection resumes the session from where the client is. */
  async takeOver(): Promise<void> {
    const from = this.session?.received ?? 0;
    const wire = new Wire(this.bridge);
    this.wires.push(wire);
    const options = { addresses: [], token: TOKEN, mode: "session", session: SESSION, received: from } as const;
    const attached = attach(wire.link, options, Deadline.in(1_000)).then(
      (connection) => {
        const usurper = { connection, from, lines: [] as string[] };
        this.usurper = usurper;
        const lines = new Lines((line) => usurper.lines.push(line));
        connection.open({
          payload: (range) => lines.push(range),
          frame: () => {},
          drained: () => {},
          closed: () => {},
        });
      },
      () => {},
    );
    for (let i = 0; i < 5; i++) {
      wire.deliver("up", 1_000);
      wire.deliver("down", 1_000);
      await settled();
    }
    await this.clock.advance(1_000);
    await attached;
  }

  [Symbol.dispose](): void {
    this.clock[Symbol.dispose]();
  }

  private readonly dial: Dial = async (options, deadline) => {
    if (this.refusing) throw new Fault("unreachable", "cannot connect to the bridge: refused");
    const wire = new Wire(this.bridge);
    this.wires.push(wire);
    return await attach(wire.link, options, deadline);
  };

  private opened(session: Session): void {
    this.session = session;
    const lines = new Lines((line) => this.lines.push(line));
    session.open({
      bytes: (range) => {
        if (this.ends.length > 0) this.late++;
        lines.push(range);
      },
      interrupted: () => (this.brokenAt = this.clock.now),
      resumed: () => (this.brokenAt = undefined),
      ended: (end) => {
        this.ends.push(end);
        if (this.brokenAt !== undefined) this.brokenForMs = this.clock.now - this.brokenAt;
      },
    });
  }
}
