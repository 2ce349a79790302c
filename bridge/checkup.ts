/**
 * Whether one server process is well. Asked from outside, it looks and puts a question to the server; the next look
 * knows whether that was answered. A server that is busy is not dead: while requests wait for it, or while it
 * computes, it may be silent for as long as it likes.
 */
import type { IdKey } from "./envelope.ts";
import { Handshake } from "./handshake.ts";
import { type ProcessState, readProcessState } from "./process-state.ts";

/** Looks that follow each other sooner than this are one look: several may ask, and a server has to have some time. */
const LOOK_MS = 900;
/** A process with this share of a processor since the last look is computing. */
const COMPUTING_SHARE = 0.1;

/** The session, as its checkup sees it. */
export interface Patient {
  readonly pid: number | undefined;
  /** Its end is under way. */
  readonly stopped: boolean;
  /** Requests that wait for an answer. */
  readonly inFlight: number;
  /** Bytes that the server has not read yet. */
  readonly unreadBytes: number;
  /** Lines of the server that were not passed on. */
  readonly drops: { noise: number; unexpected: number };
  /** Writes a line to the server. */
  tell(line: string): void;
}

export interface Finding {
  /** `stopped`: the system does not run it; `silent`: it answers nothing; `nonsense`: what it says is no answer. */
  kind: "stopped" | "silent" | "nonsense";
  message: string;
}

/** What was so at the last look. */
interface Look {
  at: number;
  answers: number;
  noise: number;
  unexpected: number;
  computedMs: number | undefined;
  /** Something was awaited from the server. */
  awaiting: boolean;
}

export class Checkup {
  /** Nothing of it has come for longer than between two looks, but it has reason to be silent. */
  busy = false;
  private finding: Finding | undefined;
  private answers = 0;
  private asked: string | undefined;
  private askedCount = 0;
  /** It answers others and not us: what it cannot answer is no sign. */
  private deaf = false;
  private last: Look | undefined;

  private readonly handshake = new Handshake();
  private readonly since = performance.now();

  constructor(private readonly patient: Patient) {}

  /** Whether the server has ever answered anything. */
  get proved(): boolean {
    return this.answers > 0;
  }

  /** Of the session. */
  get ageMs(): number {
    return performance.now() - this.since;
  }

  /** The client has asked something. */
  readonly request = (id: IdKey, bytes: Uint8Array, start: number, end: number): void => {
    this.handshake.asked(id, bytes, start, end);
  };

  /** Something that the client has asked was answered. */
  answered(id: IdKey, error: boolean): void {
    this.answers++;
    this.handshake.answered(id, error);
  }

  /** Whether the id is that of our own question, which is answered with that. */
  readonly settles = (id: IdKey): boolean => {
    if (this.asked === undefined || id !== `"${this.asked}`) return false;
    this.asked = undefined;
    this.deaf = false;
    this.answers++;
    return true;
  };

  /** What is wrong now, as far as it can be known now. */
  look(now = performance.now()): Finding | undefined {
    const { pid, stopped } = this.patient;
    if (pid === undefined || stopped) return undefined;
    const state = readProcessState(pid);
    if (state?.stopped) return { kind: "stopped", message: `server process ${pid} is stopped (SIGSTOP or a debugger)` };
    if (this.last && now - this.last.at < LOOK_MS) return this.finding;
    this.finding = this.last && this.judge(pid, this.last, now, state);
    if (this.last && this.answers > this.last.answers && this.asked !== undefined) this.deaf = true;
    this.ask();
    const { inFlight, drops } = this.patient;
    const { noise, unexpected } = drops;
    const awaiting = this.asked !== undefined || inFlight > 0;
    this.last = { at: now, answers: this.answers, noise, unexpected, computedMs: state?.computedMs, awaiting };
    return this.finding;
  }

  private judge(pid: number, last: Look, now: number, state: ProcessState | undefined): Finding | undefined {
    const { inFlight, drops } = this.patient;
    const { noise, unexpected } = drops;
    this.busy = false;
    if (!last.awaiting || this.answers > last.answers) return undefined;
    // Words on stdout are bad style and common; they are worse only where there is nothing else.
    if (unexpected > last.unexpected || (noise > last.noise && this.answers === 0)) {
      return { kind: "nonsense", message: `server process ${pid} answers with what nobody has asked for` };
    }
    const share = ((state?.computedMs ?? 0) - (last.computedMs ?? 0)) / (now - last.at);
    this.busy = inFlight > 0 || share > COMPUTING_SHARE;
    if (this.busy || this.asked === undefined || this.deaf) return undefined;
    return { kind: "silent", message: `server process ${pid} runs but does not answer a ping` };
  }

  /** A server that does not read is not given more to read. */
  private ask(): void {
    const { question } = this.handshake;
    if (question === undefined || this.asked !== undefined || this.deaf || this.patient.unreadBytes > 0) return;
    this.asked = `${ID_PREFIX}${++this.askedCount}`;
    this.patient.tell(`{"jsonrpc":"2.0","id":"${this.asked}",${question}}\n`);
  }
}

/** No client chooses such ids. */
const ID_PREFIX = `linkspan-health-${crypto.randomUUID()}-`;
