/**
 * One connection to a container engine. Every request of Linkspan goes through `call` (an answer that is parsed) or
 * `stream` (an answer that is read as it comes), so that each has a deadline, a fault with a hint, and a schema.
 *
 * Requests are dialled through dockerode's modem and not through its methods on purpose: the methods put the whole
 * body of a create call, environment included, into the URL, and delete `abortSignal` from the caller's options.
 */
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type Docker from "dockerode";
import * as v from "valibot";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { checkEndpoint, type Endpoint, formatEndpoint } from "./endpoint.ts";
import { type Way, wayTo } from "./modem.ts";
import { engineFault, frozenFault, messageFault } from "./faults.ts";

// docker-modem takes addresses apart with url.parse: the warning is for its makers, not for who runs Linkspan.
process.noDeprecation = true;

/** The API versions that Linkspan speaks: 1.40 is Engine 19.03, 1.51 Engine 28.5. Engines above serve their older versions. */
export const API_MIN = "1.40";
export const API_MAX = "1.51";

/** Every status is an answer to the modem; what it means is told apart here, because the modem can wait for ever for a body that was cut. */
const ANY_STATUS = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [100 + index, true]));
/** Of one answer: an engine with a thousand containers lists them in some MB. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const ERROR_BYTES_MAX = 64 * 1024;
const FIRST_ERROR = 400;
/** An engine that works has told what it knows, and has done what it was asked to, within these times. */
const TELL_MS = 12_000;
const DO_MS = 60_000;

const engineVersion = v.object({
  Version: v.string(),
  ApiVersion: v.string(),
  MinAPIVersion: v.optional(v.string()),
  Os: v.optional(v.string(), "linux"),
  Arch: v.optional(v.string(), ""),
  Components: v.optional(v.nullable(v.array(v.object({ Name: v.string() }))), []),
});

const engineInfo = v.object({
  OperatingSystem: v.optional(v.string(), ""),
  OSType: v.optional(v.string(), "linux"),
  Architecture: v.optional(v.string(), ""),
  CgroupDriver: v.optional(v.string(), ""),
  SecurityOptions: v.optional(v.nullable(v.array(v.string())), []),
  Warnings: v.optional(v.nullable(v.array(v.string())), []),
  MemoryLimit: v.optional(v.boolean(), true),
  SwapLimit: v.optional(v.boolean(), true),
  CpuCfsQuota: v.optional(v.boolean(), true),
  PidsLimit: v.optional(v.boolean(), true),
});
export type EngineInfo = v.InferOutput<typeof engineInfo>;

/** A list is written as the same name repeated. */
type QueryValue = string | number | boolean | string[];

export interface Request {
  /** For messages: `creating the container linkspan-x`. */
  what: string;
  method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
  /** Without the version prefix and without a query. */
  path: string;
  query?: Record<string, QueryValue | undefined>;
  body?: object;
  /** A request body that is not JSON: an archive. */
  archive?: Buffer | NodeJS.ReadableStream;
  /** May take as long as its deadline: an engine that works is not done earlier. */
  patient?: true;
  /** Base64 of the registry's credentials (X-Registry-Auth). Never logged, never in a URL. */
  registryAuth?: string;
}

export class Engine {
  private constructor(
    readonly endpoint: Endpoint,
    private readonly docker: Docker,
    private readonly way: Way,
    /** `20.10.24` */
    readonly version: string,
    /** The agreed API version, such as `1.41`. */
    readonly api: string,
    readonly os: string,
    /** In Bun's words: `x64`, `arm64`; the engine's own word for others. */
    readonly arch: string,
    /** Podman speaks Docker's API, but not every option of it. */
    readonly isPodman: boolean,
    private readonly answerMs: number | undefined,
  ) {}

  /** Finds out whether an engine answers and agrees on an API version. `answerMs` replaces the time of an answer that is not patient. Faults: `unreachable`, `forbidden`, `unsupported`, `timeout`. */
  static async connect(endpoint: Endpoint, deadline: Deadline, answerMs?: number): Promise<Engine> {
    checkEndpoint(endpoint);
    const way = await wayTo(endpoint, deadline);
    const anyVersion = new Engine(endpoint, way.at(undefined), way, "", "", "", "", false, answerMs);
    const request = { what: "asking the engine for its version", method: "GET", path: "/version" } as const;
    const found = await anyVersion.call(request, engineVersion, deadline);
    const api = agree(found.ApiVersion, found.MinAPIVersion ?? API_MIN, found.Version);
    const isPodman = (found.Components ?? []).some(({ Name }) => Name === "Podman Engine");
    const { Version, Os, Arch } = found;
    return new Engine(endpoint, way.at(api), way, Version, api, Os, bunArch(Arch), isPodman, answerMs);
  }

  async info(deadline: Deadline): Promise<EngineInfo> {
    return this.call({ what: "asking the engine what it is", method: "GET", path: "/info" }, engineInfo, deadline);
  }

  /** The parsed answer. What does not fit the schema is an `engine-failed` fault. */
  async call<S extends v.GenericSchema>(request: Request, schema: S, deadline: Deadline): Promise<v.InferOutput<S>> {
    const parsed = v.safeParse(schema, parseJson(await this.read(request, deadline)));
    if (parsed.success) return parsed.output;
    const [issue] = parsed.issues;
    throw new Fault("engine-failed", `${request.what}: the engine's answer is not understood: ${issue.message}`, {
      data: { at: v.getDotPath(issue) ?? "top level" },
    });
  }

  /** For calls whose answer carries nothing. */
  async act(request: Request, deadline: Deadline): Promise<void> {
    await this.read(request, deadline);
  }

  /**
   * The answer's body as it comes. The deadline bounds only the wait for the answer to begin; `signal` ends the stream, which
   * then fails. A stream that the engine breaks off fails too.
   */
  async stream(request: Request, deadline: Deadline, signal: AbortSignal): Promise<Readable> {
    // Ends with the stream, so that a long-lived signal does not collect one listener for each.
    const ended = new AbortController();
    const answer = await this.dial(request, deadline, AbortSignal.any([signal, ended.signal]));
    return answer.once("close", () => ended.abort());
  }

  private async read(request: Request, outer: Deadline): Promise<string> {
    const ended = new AbortController();
    const deadline = request.patient
      ? outer
      : outer.within(this.answerMs ?? (request.method === "GET" ? TELL_MS : DO_MS));
    try {
      const answer = await this.dial(request, deadline, ended.signal);
      return await deadline.race(request.what, textOf(answer, ANSWER_BYTES_MAX));
    } catch (error) {
      const fault = engineFault(error, request.what, formatEndpoint(this.endpoint));
      // The caller's own time is his to explain.
      throw fault.kind === "timeout" && !outer.passed ? frozenFault(request.what, deadline.totalMs) : fault;
    } finally {
      ended.abort();
    }
  }

  /** The answer of a request that succeeded, its body not yet read. */
  private async dial(request: Request, deadline: Deadline, signal: AbortSignal): Promise<IncomingMessage> {
    const cut = new AbortController();
    const answer = this.send(request, AbortSignal.any([signal, cut.signal]));
    // The modem answers an aborted request with an error that nobody waits for any more.
    answer.catch(() => {});
    try {
      const message = await deadline.race(request.what, answer);
      // Whoever reads it hears of errors; between two readers there is nobody.
      message.on("error", () => {});
      if ((message.statusCode ?? 0) < FIRST_ERROR) return message;
      const said = await deadline.race(request.what, textOf(message, ERROR_BYTES_MAX));
      throw messageFault(errorText(said), request.what, message.statusCode);
    } catch (error) {
      cut.abort();
      if (signal.aborted) throw new Fault("cancelled", `${request.what} was cancelled`);
      const problem = error instanceof Fault ? undefined : this.way.problem();
      if (problem) throw problem;
      throw engineFault(error, request.what, formatEndpoint(this.endpoint));
    }
  }

  private send(request: Request, abortSignal: AbortSignal): Promise<IncomingMessage> {
    const { method, path, body, query, archive, registryAuth } = request;
    const options = {
      path: `${path}?`,
      method,
      // Never the body itself: docker-modem would put it into the URL.
      options: { _query: definedOnly(query), _body: body ?? {} },
      statusCodes: ANY_STATUS,
      isStream: true,
      abortSignal,
      ...(archive ? { file: archive } : {}),
      ...(registryAuth ? { authconfig: { base64: registryAuth } } : {}),
    };
    return new Promise((resolve, reject) => {
      this.docker.modem.dial(options, (error, answer) => {
        if (error) reject(error);
        else if (isMessage(answer)) resolve(answer);
        else reject(new Fault("engine-failed", `${request.what}: the engine gave no answer`));
      });
    });
  }
}

/** The whole body as text. A connection that ends before its body does is an error, whatever the HTTP client makes of it. */
function textOf(message: IncomingMessage, bytesMax: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    message.on("data", (chunk: Buffer) => {
      length += chunk.length;
      chunks.push(chunk);
      if (length > bytesMax)
        message.destroy(new Fault("too-large", `the engine's answer has more than ${bytesMax} bytes`));
    });
    message.on("end", () => resolve(Buffer.concat(chunks).toString()));
    message.on("error", reject);
    message.on("close", () => reject(Object.assign(new Error("the connection was cut"), { code: "ECONNRESET" })));
  });
}

/** The engine's own words in an error's body: `{"message":…}`, or plain text from something in front of it. */
function errorText(body: string): string {
  const parsed = v.safeParse(v.object({ message: v.string() }), parseJson(body));
  return (parsed.success ? parsed.output.message : body).trim() || "the engine gives no reason";
}

function parseJson(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The highest version that both sides speak. */
function agree(engineMax: string, engineMin: string, engine: string): string {
  const api = compareVersions(engineMax, API_MAX) < 0 ? engineMax : API_MAX;
  if (compareVersions(api, API_MIN) >= 0 && compareVersions(api, engineMin) >= 0) return api;
  const tooOld = compareVersions(engineMax, API_MIN) < 0;
  throw new Fault(
    "unsupported",
    `the container engine ${engine} speaks API ${engineMin} to ${engineMax}, Linkspan ${API_MIN} to ${API_MAX}`,
    { hint: tooOld ? "update Docker to 19.03 or later" : "update Linkspan" },
  );
}

/** Versions of two numbers, as Docker's API has them. */
export function compareVersions(left: string, right: string): number {
  const [leftMajor = 0, leftMinor = 0] = left.split(".").map(Number);
  const [rightMajor = 0, rightMinor = 0] = right.split(".").map(Number);
  return leftMajor - rightMajor || leftMinor - rightMinor;
}

function bunArch(arch: string): string {
  if (arch === "amd64" || arch === "x86_64") return "x64";
  return arch === "aarch64" ? "arm64" : arch;
}

function definedOnly(query: Request["query"]): Record<string, QueryValue> {
  const defined: Record<string, QueryValue> = {};
  for (const [key, value] of Object.entries(query ?? {})) if (value !== undefined) defined[key] = value;
  return defined;
}

function isMessage(answer: unknown): answer is IncomingMessage {
  return answer instanceof Readable && "headers" in answer;
}
