/**
 * Many clients on one shared server, all with the same ids and progress tokens: whatever reaches a client that is not for
 * it is counted as crossed.
 */
import { fixture, TestBridge, TOKEN } from "./bridge.ts";
import { until } from "./until.ts";

export interface CrowdOptions {
  seed: number;
  clients: number;
  /** Of each client. */
  calls: number;
  /** Of each client at once. */
  window: number;
  deadlineMs: number;
}

export interface CrowdOutcome {
  answers: number;
  cancelled: number;
  progress: number;
  /** Questions that a client was asked, and those that the bridge refused because nobody can tell whose they are. */
  questions: number;
  refused: number;
  /** What was not for who got it; empty if all is well. */
  crossed: string[];
  /** Calls without an answer that nobody has cancelled. */
  missing: number;
  server: {
    pid: number;
    initializes: number;
    initialized: number;
    calls: number;
    cancelled: { who: string; n: number }[];
  };
}

interface Message {
  id?: number | string;
  method?: string;
  params?: { progressToken?: number; message?: string };
  result?: { who?: string; n?: number; told?: unknown };
  error?: { code: number };
}

/** Nobody knows whose question it is: the code with which the bridge says so. */
const CONFLICT = -32009;

/** Sessions of one bridge with the policy `shared`, over real sockets, on a real server process. */
export async function crowd(options: CrowdOptions): Promise<CrowdOutcome> {
  const { seed, clients, deadlineMs } = options;
  await using bridge = await TestBridge.start(fixture("crowd-server.ts"), { args: ["--policy", "shared"] });
  const members: Member[] = [];
  for (let index = 0; index < clients; index++) {
    members.push(await Member.join(bridge.port, `client-${index}`, options, seed + index));
  }
  // Alone, so that the questions of the server have an owner.
  for (const member of members) await member.alone(deadlineMs);
  for (const member of members) member.begin();
  const missing = () => members.reduce((sum, member) => sum + member.waiting, 0);
  await until("all answers", () => members.every((member) => member.finished), deadlineMs).catch(() => {});
  const watcher = await Member.join(bridge.port, "watcher", options, seed);
  const server = (await watcher.ask("seen")) as CrowdOutcome["server"];
  const total = (count: (member: Member) => number) => members.reduce((sum, member) => sum + count(member), 0);
  const crossed = members.flatMap((member) => member.crossed);
  for (const { who, n } of server.cancelled) {
    const owner = members.find(({ name }) => name === who);
    if (!owner?.cancelled.has(n)) crossed.push(`the server was told to cancel ${who}/${n}`);
  }
  const outcome: CrowdOutcome = {
    answers: total(({ answers }) => answers),
    cancelled: total(({ cancelled }) => cancelled.size),
    progress: total(({ progress }) => progress),
    questions: total(({ questions }) => questions),
    refused: total(({ refused }) => refused),
    crossed,
    missing: missing(),
    server,
  };
  for (const member of [...members, watcher]) member.leave();
  return outcome;
}

class Member {
  answers = 0;
  progress = 0;
  questions = 0;
  refused = 0;
  readonly cancelled = new Set<number>();
  readonly crossed: string[] = [];
  private next = 0;
  private readonly open = new Set<number>();
  private begun = false;
  private rest = "";
  private readonly decoder = new TextDecoder();
  private readonly outgoing: string[] = [];
  private readonly answersTo = new Map<string, (result: unknown) => void>();
  private socket: Bun.Socket | undefined;

  private constructor(
    readonly name: string,
    private readonly options: CrowdOptions,
    private state: number,
  ) {}

  static async join(port: number, name: string, options: CrowdOptions, seed: number): Promise<Member> {
    const member = new Member(name, options, seed || 1);
    member.socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: { data: (_, chunk) => member.data(chunk), drain: () => member.drain() },
    });
    member.send({ link: "attach", version: 1, token: TOKEN });
    const capabilities = { elicitation: {} };
    const clientInfo = { name, version: "1" };
    await member.ask("initialize", { protocolVersion: "2025-11-25", capabilities, clientInfo });
    member.send({ jsonrpc: "2.0", method: "notifications/initialized" });
    return member;
  }

  get waiting(): number {
    return this.open.size;
  }

  get finished(): boolean {
    return this.begun && this.next >= this.options.calls && this.open.size === 0;
  }

  ask(method: string, params: object = {}): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.answersTo.set(method, resolve);
    this.send({ jsonrpc: "2.0", id: method, method, params });
    return promise;
  }

  /** One call with a question, while nobody else has any. */
  async alone(ms: number): Promise<void> {
    this.call(0, { ask: true });
    await until("the answer to a call alone", () => this.open.size === 0, ms);
  }

  begin(): void {
    this.begun = true;
    this.next = 1;
    this.fill();
  }

  leave(): void {
    this.socket?.end();
  }

  private fill(): void {
    while (this.begun && this.next < this.options.calls && this.open.size < this.options.window) {
      const n = this.next++;
      const dice = this.random();
      const cancel = dice % 10 === 0;
      this.call(n, {
        steps: dice % 3 === 0 ? (dice % 4) + 1 : 0,
        ask: dice % 23 === 0,
        ...(cancel ? { ms: dice % 3 } : {}),
      });
      if (!cancel) continue;
      this.cancelled.add(n);
      this.open.delete(n);
      this.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: n } });
    }
  }

  private call(n: number, how: object): void {
    this.open.add(n);
    const params = { name: "t", arguments: { who: this.name, n, ...how }, _meta: { progressToken: n } };
    this.send({ jsonrpc: "2.0", id: n, method: "tools/call", params });
  }

  private receive(line: string): void {
    if (line.startsWith('{"link":')) return;
    const { id, method, params, result, error } = JSON.parse(line) as Message;
    const own = `${this.name}/`;
    if (method === "notifications/progress") {
      this.progress++;
      if (params?.message !== `${own}${params?.progressToken}`) this.crossed.push(`${this.name}: ${line}`);
    } else if (method === "elicitation/create") {
      this.questions++;
      if (!params?.message?.startsWith(own)) this.crossed.push(`${this.name}: ${line}`);
      this.send({ jsonrpc: "2.0", id, result: { action: "accept", content: { said: params?.message } } });
    } else if (method !== undefined) this.crossed.push(`${this.name}: ${line}`);
    else if (typeof id === "string") this.answersTo.get(id)?.(result);
    else this.answered(id ?? -1, result, error, line);
  }

  private answered(n: number, result: Message["result"], error: Message["error"], line: string): void {
    const told = result?.told as { content?: { said?: string } } | number | undefined;
    const foreign = typeof told === "object" && told.content?.said !== `${this.name}/${n}`;
    if (error || result?.who !== this.name || result.n !== n || foreign) this.crossed.push(`${this.name}: ${line}`);
    if (told === CONFLICT) this.refused++;
    if (!this.open.delete(n) && !this.cancelled.has(n)) this.crossed.push(`${this.name}, again: ${line}`);
    this.answers++;
    this.fill();
  }

  private data(chunk: Uint8Array): void {
    const lines = (this.rest + this.decoder.decode(chunk, { stream: true })).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) this.receive(line);
  }

  private send(message: object): void {
    this.outgoing.push(`${JSON.stringify(message)}\n`);
    if (this.outgoing.length === 1) queueMicrotask(() => this.drain());
  }

  private drain(): void {
    const bytes = Buffer.from(this.outgoing.splice(0).join(""));
    const taken = Math.max(0, this.socket?.write(bytes) ?? 0);
    if (taken < bytes.length) this.outgoing.unshift(bytes.toString("latin1", taken));
  }

  /** xorshift: the same from the same seed. */
  private random(): number {
    let { state } = this;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.state = state;
    return state >>> 0;
  }
}
