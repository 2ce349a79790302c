/** What a shared server says: each answer to who has asked, everything else to who it can be shown to be for. Pure. */
import { backwards, forwards, glance } from "../ends.ts";
import { classify, classifyEnds, type IdKey, idText } from "../envelope.ts";
import type { LongLine } from "../lines.ts";
import { CODES, type Dropped, errorLine } from "../traffic.ts";
import { isControl } from "../wire.ts";
import { type Edit, inOrder } from "./gather.ts";
import type { Guest } from "./guest.ts";
import { elementsOf, type Span, stringOf } from "./json.ts";
import { isWanted, levelOf } from "./levels.ts";
import { type Found, find, idKeyAt, type Message, Names, readMessage, subscriptionAt } from "./message.ts";
import type { Request } from "./requests.ts";
import { emptyAnswer, type Table } from "./table.ts";

type Line = Pick<Message, "bytes" | "start" | "end">;

const PARAMS = new Names("_meta", "progressToken", "requestId", "uri", "level", "taskId", "status", "elicitationId");
const META = new Names("progressToken", "io.modelcontextprotocol/related-task");
const TASK = new Names("taskId", "status", "task", "resultType");

/** What a client must have declared to be asked. */
const NEEDS: Partial<Record<string, string>> = {
  "sampling/createMessage": "sampling",
  "elicitation/create": "elicitation",
  "roots/list": "roots",
};

/** To everybody: they say nothing but that something has to be asked for again. */
const TO_ALL: ReadonlySet<string> = new Set([
  "notifications/tools/list_changed",
  "notifications/prompts/list_changed",
  "notifications/resources/list_changed",
]);

export class FromServer {
  constructor(private readonly table: Table) {}

  /** One line of the server's output. `clean`: it is UTF-8 without NUL bytes. */
  line(bytes: Uint8Array, start: number, end: number, clean: boolean): void {
    const first = forwards(bytes, start, end);
    const last = backwards(bytes, first, end);
    const seen = clean && bytes[first] === OPEN && bytes[last] === CLOSE ? glance(bytes, first, last) : undefined;
    // The commonest by far, and it is not read any further.
    if (
      seen?.answer === "result" &&
      this.simple(seen.id, { start: seen.idStart, end: seen.idEnd }, { bytes, start, end })
    )
      return;
    if (!clean) return this.drop("invalid bytes", { bytes, start, end });
    if (isControl(bytes, start, end)) return this.drop("forged frame", { bytes, start, end });
    const { kind } = classify(bytes, start, end);
    if (kind === "blank") return this.drop("blank line", { bytes, start, end });
    if (kind === "other" || kind === "invalid") return this.drop("noise", { bytes, start, end });
    if (kind !== "batch") return this.message(bytes, start, end);
    for (const item of elementsOf(bytes, { start, end }) ?? []) this.message(bytes, item.start, item.end);
  }

  /** A line over the limit, of which only both ends are there. */
  long({ head, tail, bytes }: LongLine): void {
    const envelope = classifyEnds(head, tail);
    if (envelope?.kind !== "response") return;
    const { owner, key = 0 } = this.table.requests.settle(envelope.id) ?? {};
    const text = `the server's answer has ${bytes} bytes; the limit is ${this.table.events.limitBytes}`;
    owner?.out.text(errorLine(idText(key), CODES.tooLarge, text, { kind: "too-large" }));
  }

  /** A result that nothing has to be learnt from. */
  private simple(id: IdKey | undefined, span: Span, line: Line): boolean {
    const request = this.table.requests.get(id);
    if (!request || id === undefined || request.answered) return false;
    if (request.method === "tools/call" && includes(line, TASK_ID)) return false;
    this.table.requests.settle(id);
    if (request.owner?.gone === false) request.owner.out.message(line, [{ ...span, text: idText(request.key) }]);
    return true;
  }

  private message(bytes: Uint8Array, start: number, end: number): void {
    const message = readMessage(bytes, start, end);
    if (typeof message === "string") return this.drop("noise", { bytes, start, end });
    const { id, method } = message;
    const key = idKeyAt(bytes, id);
    if (method === undefined) return this.answer(message, id, key);
    const params = find(bytes, message.params, PARAMS);
    if (!id) this.notification(message, method, params);
    else if (key !== undefined) this.request(message, method, key, params);
  }

  private answer(message: Message, id: Span | undefined, key: IdKey | undefined): void {
    const number = typeof key === "number" ? key : undefined;
    const request = number === undefined ? undefined : this.table.requests.settle(number);
    if (!request || !id || number === undefined) return this.drop("unexpected answer", message);
    const edits = request.answered?.(message, request) ?? [];
    const { owner } = request;
    if (!owner) return;
    this.learn(message, request, owner, number);
    if (!owner.gone) owner.out.message(message, inOrder({ ...id, text: idText(request.key) }, ...edits));
  }

  /** Tasks that begin with an answer, and web pages that a client has to visit before it may ask again. */
  private learn({ bytes, start, end, result, error }: Message, { token }: Request, guest: Guest, number: number): void {
    if (result && includes({ bytes, start, end }, TASK_ID)) {
      const { task, taskId, resultType } = find(bytes, result, TASK);
      const own = resultType && stringOf(bytes, resultType) === "task" ? taskId : find(bytes, task, TASK).taskId;
      const id = own && stringOf(bytes, own);
      if (id !== undefined && !this.table.tasks.owner(id)) this.table.tasks.begin(id, { guest, number, token });
    }
    if (!error || !includes({ bytes, start, end }, ELICITATION_ID)) return;
    const { data } = find(bytes, error, DATA);
    const { elicitations } = find(bytes, data, ELICITATIONS);
    for (const item of (elicitations && elementsOf(bytes, elicitations)) ?? []) {
      const { elicitationId } = find(bytes, item, PARAMS);
      const page = elicitationId && stringOf(bytes, elicitationId);
      if (page !== undefined) this.table.sentTo(page, guest);
    }
  }

  private request(message: Message, method: string, key: IdKey, params: Found): void {
    const { table } = this;
    const { bytes } = message;
    if (method === "ping") return table.server.text(emptyAnswer(key));
    if (table.questions.has(key)) return this.drop("no owner", message);
    const meta = find(bytes, params._meta, META);
    const guest = table.owner(relatedTask(bytes, meta));
    const refused = guest ? missing(guest, method) : NOBODY;
    if (!guest || refused !== undefined) {
      this.drop("no owner", message);
      const code = guest ? CODES.methodNotFound : CODES.conflict;
      return table.server.text(
        errorLine(idText(key), code, refused ?? NOBODY, { kind: guest ? "unsupported" : "conflict" }),
      );
    }
    table.questions.set(key, { guest, token: idKeyAt(bytes, meta.progressToken) });
    const page = params.elicitationId && stringOf(bytes, params.elicitationId);
    if (page !== undefined) table.sentTo(page, guest);
    guest.out.message(message, []);
  }

  private notification(message: Message, method: string, params: Found): void {
    const { bytes } = message;
    if (method === "notifications/progress") return this.progress(message, params);
    if (method === "notifications/cancelled") return this.cancelled(message, params);
    const subscription = subscriptionAt(bytes, message.params);
    if (subscription) return this.listened(message, subscription);
    if (TO_ALL.has(method)) return this.tell(message, this.table.guests);
    const text = (name: string) => {
      const member = params[name];
      return member && stringOf(bytes, member);
    };
    if (method === "notifications/resources/updated") {
      return this.tell(message, this.table.resources.readers(text("uri") ?? ""));
    }
    const task = relatedTask(bytes, find(bytes, params._meta, META));
    if (method === "notifications/message" && task === undefined) return this.log(message, text("level"));
    this.tell(message, this.ownersOf(method, text, task));
  }

  /** Of notifications that are for one client. */
  private ownersOf(method: string, text: (name: string) => string | undefined, task: string | undefined): Guest[] {
    const { table } = this;
    let owner: Guest | undefined;
    if (method === "notifications/tasks/status") {
      const id = text("taskId") ?? "";
      owner = table.tasks.owner(id);
      table.tasks.told(id, text("status"));
    } else if (method === "notifications/elicitation/complete") {
      const page = text("elicitationId") ?? "";
      owner = table.pages.get(page);
      table.pages.delete(page);
    } else owner = table.owner(task);
    return one(owner);
  }

  private log(message: Message, level: string | undefined): void {
    const { guests, handshake, levels, requests } = this.table;
    if (handshake.era === "modern") {
      // It comes with a request, and does not say with which.
      const [logger, ...others] = requests.loggers();
      return this.tell(message, one(others.length === 0 ? logger : undefined));
    }
    // While nobody has asked for a level the server decides what it says; then it is for one client, as an answer is.
    if (levels.wanted(guests) === undefined) return this.tell(message, one(this.table.owner(undefined)));
    const readers = [...guests].filter((guest) => isWanted(guest, levelOf(level)));
    for (const guest of readers) guest.out.message(message, []);
  }

  private progress(message: Message, { progressToken }: Found): void {
    const { requests, tasks } = this.table;
    const number = idKeyAt(message.bytes, progressToken);
    if (typeof number !== "number" || !progressToken) return this.drop("no owner", message);
    const request = requests.get(number);
    const task = tasks.byToken(number);
    const token = request?.token ?? task?.token;
    const guest = request?.owner ?? task?.guest;
    if (token === undefined || !guest || guest.gone) return this.drop("no owner", message);
    guest.out.message(message, [edit(progressToken, token)]);
  }

  /** The server takes a question back, or ends a `subscriptions/listen`. */
  private cancelled(message: Message, { requestId }: Found): void {
    const { questions, requests } = this.table;
    const key = idKeyAt(message.bytes, requestId);
    const question = key === undefined ? undefined : questions.get(key);
    if (question && key !== undefined) {
      questions.delete(key);
      return this.tell(message, [question.guest]);
    }
    const { owner, key: own = 0 } = (key !== undefined && requests.settle(key)) || {};
    if (owner?.gone === false && requestId) owner.out.message(message, [edit(requestId, idText(own))]);
    else this.drop("no owner", message);
  }

  private listened(message: Message, subscription: Span): void {
    const key = idKeyAt(message.bytes, subscription);
    const { owner, key: own = 0 } = this.table.requests.get(key) ?? {};
    if (owner?.gone === false) owner.out.message(message, [edit(subscription, idText(own))]);
    else this.drop("no owner", message);
  }

  private tell(message: Message, guests: Iterable<Guest>): void {
    let told = 0;
    for (const guest of guests) {
      if (guest.gone) continue;
      guest.out.message(message, []);
      told++;
    }
    if (told === 0) this.drop("no owner", message);
  }

  private drop(why: Dropped, line: Line): void {
    this.table.drop(why, "server", line);
  }
}

const OPEN = 0x7b;
const CLOSE = 0x7d;
const TASK_ID = Buffer.from('"taskId"');
const ELICITATION_ID = Buffer.from('"elicitationId"');
const DATA = new Names("data");
const ELICITATIONS = new Names("elicitations");
const NOBODY =
  "several clients share this server, and which of them this is for cannot be told; with the session policy process each has a server of its own";

function missing(guest: Guest, method: string): string | undefined {
  const needed = NEEDS[method];
  if (needed === undefined) return undefined;
  if (needed === "roots") return "a shared server has no roots: each of its clients has others";
  const lacks = guest.capabilities && !guest.capabilities.has(needed);
  return lacks ? `the client that this is for has no ${needed}` : undefined;
}

function one(guest: Guest | undefined): Guest[] {
  return guest ? [guest] : [];
}

function relatedTask(bytes: Uint8Array, meta: Found): string | undefined {
  const { taskId } = find(bytes, meta["io.modelcontextprotocol/related-task"], TASK);
  return taskId && stringOf(bytes, taskId);
}

function includes({ bytes, start, end }: Line, word: Buffer): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).includes(word);
}

function edit({ start, end }: Span, text: string): Edit {
  return { start, end, text };
}
