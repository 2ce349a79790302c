/** What a client says to a shared server: its ids and tokens become the bridge's, and only its own things are touched. Pure. */
import { classify, type IdKey, idText, NULL_ID } from "../envelope.ts";
import { type Edit, inOrder } from "./gather.ts";
import type { Guest } from "./guest.ts";
import { capabilitiesOf, versionEdits, versionToAsk } from "./handshake.ts";
import { elementsOf, type Span, stringOf, textAt } from "./json.ts";
import { levelOf } from "./levels.ts";
import { type Found, find, idKeyAt, type Message, Names, pick, readMessage, subscriptionAt } from "./message.ts";
import { LISTEN, type Request } from "./requests.ts";
import { emptyAnswer, refusal, type Table } from "./table.ts";

/** A line that is no longer is also given to a parser: what that refuses, the server shall not have to understand. */
const CHECKED_BYTES = 1024 * 1024;

const PARAMS = new Names(
  "_meta",
  "uri",
  "level",
  "taskId",
  "requestId",
  "progressToken",
  "protocolVersion",
  "capabilities",
);
const MODERN = "io.modelcontextprotocol/protocolVersion";
const LOG_LEVEL = "io.modelcontextprotocol/logLevel";
const META = new Names("progressToken", MODERN, LOG_LEVEL);
const TASKS = new Names("tasks");
const TASK_ID = new Names("taskId");
/** Requests about one task. */
const ABOUT_TASK: ReadonlySet<string> = new Set(["tasks/get", "tasks/result", "tasks/cancel", "tasks/update"]);

/** A request, taken apart. */
interface Asked {
  guest: Guest;
  message: Message;
  key: IdKey;
  id: Span;
  method: string;
  params: Found;
  meta: Found;
}

export class FromClient {
  constructor(private readonly table: Table) {}

  /** One line of the client that is JSON-RPC, as far as its ends tell. */
  line(guest: Guest, bytes: Uint8Array, start: number, end: number): void {
    if (bytes[start] !== OPEN_LIST) return this.message(guest, bytes, start, end);
    // Each item is a message; so is its answer.
    for (const item of elementsOf(bytes, { start, end }) ?? []) this.message(guest, bytes, item.start, item.end);
  }

  private message(guest: Guest, bytes: Uint8Array, start: number, end: number): void {
    const message = readMessage(bytes, start, end);
    if (typeof message === "string") return this.unclear(guest, { bytes, start, end }, message);
    if (!isJson(message)) return this.unclear(guest, message, "the line is not JSON");
    const key = idKeyAt(bytes, message.id);
    if (message.method === undefined) return this.answer(guest, message, key);
    const params = pick(bytes, message.params, PARAMS);
    if (typeof params === "string") return this.unclear(guest, message, params);
    const meta = pick(bytes, params._meta, META);
    if (typeof meta === "string") return this.unclear(guest, message, meta);
    if (message.id === undefined) return this.notification(guest, message, message.method, params);
    if (key === undefined) return this.unclear(guest, message, "the id is neither a string nor a number");
    this.request({ guest, message, key, id: message.id, method: message.method, params, meta });
  }

  private request(asked: Asked): void {
    const { guest, message, key, method, params, meta } = asked;
    const { bytes } = message;
    const { handshake } = this.table;
    const modern = meta[MODERN] !== undefined;
    if (handshake.asked && (modern || method === "initialize")) {
      if (!handshake.wait(guest, message))
        guest.out.text(refusal(key, "exhausted", "too much waits for the server's first answer"));
      return;
    }
    if (modern && handshake.era === "legacy") return this.refuseModern(asked);
    const uri = params.uri && stringOf(bytes, params.uri);
    if (method === "initialize") this.initialize(asked);
    else if (method === "logging/setLevel") this.setLevel(asked);
    else if (method === "resources/subscribe" && uri !== undefined) this.subscribe(asked, uri);
    else if (method === "resources/unsubscribe" && uri !== undefined) this.unsubscribe(asked, uri);
    else if (ABOUT_TASK.has(method)) this.aboutTask(asked);
    else this.forward(asked, [], hookOf(this.table, asked));
    if (modern && method !== "server/discover") handshake.era ??= "modern";
  }

  /** To the server under a number of ours. */
  private forward(asked: Asked, edits: Edit[], answered?: Request["answered"]): void {
    const { guest, message, key, id, method, meta } = asked;
    const request: Request = { owner: guest, key, method };
    if (answered) request.answered = answered;
    if (meta.progressToken) request.token = textAt(message.bytes, meta.progressToken);
    if (meta[LOG_LEVEL]) request.logs = true;
    const text = String(this.table.requests.begin(request));
    const token = meta.progressToken && { ...spanOf(meta.progressToken), text };
    this.table.server.message(message, inOrder({ ...spanOf(id), text }, token, ...edits));
  }

  private initialize(asked: Asked): void {
    const { guest, message, key, params } = asked;
    const { handshake } = this.table;
    const { bytes } = message;
    const declared = params.capabilities && capabilitiesOf(bytes, params.capabilities);
    guest.capabilities = declared?.names ?? new Set();
    const asks = params.protocolVersion && stringOf(bytes, params.protocolVersion);
    if (handshake.done) return handshake.reply(guest, key, asks);
    if (handshake.era === "modern") {
      const text =
        "this shared server serves clients of the protocol version 2026-07-28; it cannot be initialized as well";
      return guest.out.text(refusal(key, "version", text, { supported: ["2026-07-28"], requested: asks }));
    }
    handshake.asked = true;
    handshake.era = "legacy";
    const version = versionToAsk(asks);
    const edits: Edit[] = [];
    if (params.capabilities && declared) edits.push({ ...spanOf(params.capabilities), text: declared.told });
    if (params.protocolVersion && version)
      edits.push({ ...spanOf(params.protocolVersion), text: JSON.stringify(version) });
    this.forward(asked, edits, (answer) => {
      for (const { guest: next, line } of handshake.answered(answer)) this.message(next, line, 0, line.length);
      return versionEdits(answer, asks);
    });
  }

  private refuseModern({ guest, key, method }: Asked): void {
    const text = "this shared server was opened with initialize, by a client of an older protocol version";
    // To this answer a client that knows both goes on with initialize.
    if (method === "server/discover") return guest.out.text(refusal(key, "methodNotFound", text));
    const supported = this.table.handshake.version === undefined ? [] : [this.table.handshake.version];
    guest.out.text(refusal(key, "version", text, { supported, requested: "2026-07-28" }));
  }

  private setLevel(asked: Asked): void {
    const { guest, message, key, params } = asked;
    const { guests, levels } = this.table;
    const level = levelOf(params.level && stringOf(message.bytes, params.level));
    if (!level || !params.level) return this.forward(asked, []);
    const before = guest.level;
    const toldBefore = levels.told;
    guest.level = level;
    const wanted = levels.wanted(guests) ?? level;
    if (wanted === toldBefore) return guest.out.text(emptyAnswer(key));
    levels.told = wanted;
    this.forward(asked, [{ ...spanOf(params.level), text: JSON.stringify(wanted) }], (answer) => {
      if (!answer.error) return [];
      guest.level = before;
      levels.told = toldBefore;
      return [];
    });
  }

  private subscribe(asked: Asked, uri: string): void {
    const { guest } = asked;
    const { resources } = this.table;
    const before = resources.has(guest, uri);
    resources.add(guest, uri);
    this.forward(asked, [], (answer) => {
      if (answer.error && !before) resources.remove(guest, uri);
      return [];
    });
  }

  private unsubscribe(asked: Asked, uri: string): void {
    const { guest, key } = asked;
    const { resources } = this.table;
    const others = resources.hasOthers(guest, uri);
    resources.remove(guest, uri);
    if (others) guest.out.text(emptyAnswer(key));
    else this.forward(asked, []);
  }

  private aboutTask(asked: Asked): void {
    const { guest, message, key, params } = asked;
    const task = params.taskId && stringOf(message.bytes, params.taskId);
    if (this.table.tasks.owner(task) === guest) return this.forward(asked, []);
    // As a server says it that does not know the task.
    guest.out.text(refusal(key, "invalidParams", "Failed to retrieve task: Task not found", { kind: "not-found" }));
  }

  private notification(guest: Guest, message: Message, method: string, params: Found): void {
    const { table } = this;
    const { bytes } = message;
    switch (method) {
      case "notifications/initialized":
        if (table.handshake.initialized || !table.handshake.done) return;
        table.handshake.initialized = true;
        return table.server.message(message, []);
      case "notifications/cancelled": {
        const key = idKeyAt(bytes, params.requestId);
        const number = key === undefined ? undefined : guest.requests.get(key);
        const request = table.requests.get(number);
        if (number === undefined || !request || !params.requestId) return table.drop("not its own", "client", message);
        // The older protocol forbids it, and the answer is for others, too.
        if (request.method === "initialize") return;
        table.requests.cancel(number, table.now());
        return table.server.message(message, [{ ...spanOf(params.requestId), text: String(number) }]);
      }
      case "notifications/progress": {
        const token = idKeyAt(bytes, params.progressToken);
        const own = [...table.questions.values()].some((one) => one.guest === guest && one.token === token);
        return own && token !== undefined
          ? table.server.message(message, [])
          : table.drop("not its own", "client", message);
      }
      case "notifications/roots/list_changed":
      case "notifications/tasks/status":
        // The server was told that there is nothing of the kind.
        return table.drop("not its own", "client", message);
      default:
        return table.server.message(message, []);
    }
  }

  private answer(guest: Guest, message: Message, key: IdKey | undefined): void {
    const { questions, server } = this.table;
    if (key === undefined || questions.get(key)?.guest !== guest)
      return this.table.drop("unexpected answer", "client", message);
    questions.delete(key);
    server.message(message, []);
  }

  private unclear(guest: Guest, line: Pick<Message, "bytes" | "start" | "end">, why: string): void {
    this.table.drop("invalid request", "client", line);
    const { bytes, start, end } = line;
    const envelope = classify(bytes, start, end);
    // Nobody waits for an answer to an answer.
    if (envelope.kind === "response") return;
    guest.out.text(refusal(envelope.kind === "request" ? envelope.id : NULL_ID, "invalidRequest", why));
  }
}

const OPEN_LIST = 0x5b;

function spanOf({ start, end }: Span): Span {
  return { start, end };
}

function isJson({ bytes, start, end }: Message): boolean {
  if (end - start > CHECKED_BYTES) return true;
  try {
    JSON.parse(textAt(bytes, { start, end }));
    return true;
  } catch {
    return false;
  }
}

/** What the bridge has to do with the answer. */
function hookOf(table: Table, { guest, method }: Asked): Request["answered"] {
  switch (method) {
    case "server/discover":
      return ({ result }) => {
        if (result) table.handshake.era ??= "modern";
        return [];
      };
    case LISTEN:
      return ({ bytes, result }, { key }) => {
        const id = subscriptionAt(bytes, result);
        return id ? [{ ...id, text: idText(key) }] : [];
      };
    case "tasks/list":
      return ({ bytes, result }) => {
        const { tasks } = find(bytes, result, TASKS);
        if (!tasks) return [];
        const own = (elementsOf(bytes, tasks) ?? []).filter((one) => {
          const { taskId } = find(bytes, one, TASK_ID);
          return taskId && table.tasks.owner(stringOf(bytes, taskId)) === guest;
        });
        return [{ ...spanOf(tasks), text: `[${own.map((one) => textAt(bytes, one)).join(",")}]` }];
      };
    default:
      return undefined;
  }
}
