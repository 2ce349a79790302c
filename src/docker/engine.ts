/**
 * One connection to a container engine. Every request of Linkspan goes through `call` (an answer that is parsed) or
 * `stream` (an answer that is read as it comes), so that each has a deadline, a fault with a hint, and a schema.
 *
 * Requests are dialled through dockerode's modem and not through its methods on purpose: the methods put the whole
 * body of a create call, environment included, into the URL, and delete `abortSignal` from the caller's options.
 */
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import Docker from "dockerode";
import * as v from "valibot";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { checkEndpoint, type Endpoint, formatEndpoint } from "./endpoint.ts";
import { engineFault } from "./faults.ts";

/** The API versions that Linkspan speaks: 1.40 is Engine 19.03, 1.51 Engine 28.5. Engines above serve their older versions. */
export const API_MIN = "1.40";
export const API_MAX = "1.51";

/** Any HTTP status below 400; what comes back is told apart by the caller's schema. */
const SUCCESS = Object.fromEntries([200, 201, 202, 204, 304].map((status) => [status, true]));

const engineVersion = v.object({
  Version: v.string(),
  ApiVersion: v.string(),
  MinAPIVersion: v.optional(v.string()),
  Os: v.optional(v.string(), "linux"),
  Arch: v.optional(v.string(), ""),
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
  /** Base64 of the registry's credentials (X-Registry-Auth). Never logged, never in a URL. */
  registryAuth?: string;
}

export class Engine {
  private constructor(
    readonly endpoint: Endpoint,
    private readonly docker: Docker,
    /** `20.10.24` */
    readonly version: string,
    /** The agreed API version, such as `1.41`. */
    readonly api: string,
    readonly os: string,
    /** In Bun's words: `x64`, `arm64`; the engine's own word for others. */
    readonly arch: string,
  ) {}

  /** Finds out whether an engine answers and agrees on an API version. Faults: `unreachable`, `forbidden`, `unsupported`, `timeout`. */
  static async connect(endpoint: Endpoint, deadline: Deadline): Promise<Engine> {
    checkEndpoint(endpoint);
    const anyVersion = new Engine(endpoint, dockerAt(endpoint, undefined), "", "", "", "");
    const request = { what: "asking the engine for its version", method: "GET", path: "/version" } as const;
    const found = await anyVersion.call(request, engineVersion, deadline);
    const api = agree(found.ApiVersion, found.MinAPIVersion ?? API_MIN, found.Version);
    return new Engine(endpoint, dockerAt(endpoint, api), found.Version, api, found.Os, bunArch(found.Arch));
  }

  async info(deadline: Deadline): Promise<EngineInfo> {
    return this.call({ what: "asking the engine what it is", method: "GET", path: "/info" }, engineInfo, deadline);
  }

  /** The parsed answer. What does not fit the schema is an `engine-failed` fault. */
  async call<S extends v.GenericSchema>(request: Request, schema: S, deadline: Deadline): Promise<v.InferOutput<S>> {
    const answer = await this.dial(request, false, deadline);
    const parsed = v.safeParse(schema, Buffer.isBuffer(answer) ? answer.toString() : answer);
    if (parsed.success) return parsed.output;
    const [issue] = parsed.issues;
    throw new Fault("engine-failed", `${request.what}: the engine's answer is not understood: ${issue.message}`, {
      data: { at: v.getDotPath(issue) ?? "top level" },
    });
  }

  /** For calls whose answer carries nothing. */
  async act(request: Request, deadline: Deadline): Promise<void> {
    await this.dial(request, false, deadline);
  }

  /**
   * The answer's body as it comes. The deadline bounds only the wait for the answer to begin; `signal` ends the stream, which
   * then fails with an AbortError.
   */
  async stream(request: Request, deadline: Deadline, signal: AbortSignal): Promise<Readable> {
    // Ends with the stream, so that a long-lived signal does not collect one listener for each.
    const ended = new AbortController();
    const answer = await this.dial(request, true, deadline, AbortSignal.any([signal, ended.signal]));
    if (answer instanceof Readable) return answer.once("close", () => ended.abort());
    throw new Fault("engine-failed", `${request.what}: the engine gave no stream`);
  }

  /** The headers of an answer (for the archive calls, which say the path's stat in one). */
  async headers(request: Request, deadline: Deadline): Promise<Record<string, string | string[] | undefined>> {
    const ended = new AbortController();
    const answer = await this.dial(request, true, deadline, ended.signal);
    try {
      return isMessage(answer) ? answer.headers : {};
    } finally {
      if (answer instanceof Readable) answer.on("error", () => {}).destroy();
      ended.abort();
    }
  }

  private async dial(request: Request, isStream: boolean, deadline: Deadline, signal?: AbortSignal): Promise<unknown> {
    const cut = new AbortController();
    const stop = () => cut.abort();
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) stop();
    const answer = new Promise<unknown>((resolve, reject) => {
      const { body, query } = request;
      const options = {
        path: `${request.path}?`,
        method: request.method,
        // Never the body itself: docker-modem would put it into the URL.
        options: { _query: definedOnly(query), _body: body ?? {} },
        statusCodes: SUCCESS,
        isStream,
        abortSignal: cut.signal,
        ...(request.archive ? { file: request.archive } : {}),
        ...(request.registryAuth ? { authconfig: { base64: request.registryAuth } } : {}),
      };
      this.docker.modem.dial(options, (error, result) => (error ? reject(error) : resolve(result)));
    });
    // The modem answers an aborted request with an error that nobody waits for any more.
    answer.catch(() => {});
    try {
      return await deadline.race(request.what, answer);
    } catch (error) {
      cut.abort();
      if (signal?.aborted) throw new Fault("cancelled", `${request.what} was cancelled`);
      throw engineFault(error, request.what, formatEndpoint(this.endpoint));
    } finally {
      if (!isStream) signal?.removeEventListener("abort", stop);
    }
  }
}

function dockerAt(endpoint: Endpoint, api: string | undefined): Docker {
  const version = api === undefined ? {} : { version: `v${api}` };
  switch (endpoint.kind) {
    case "socket":
      // An empty host keeps the modem from reading DOCKER_HOST a second time.
      return new Docker({ ...version, host: "", socketPath: endpoint.path });
    case "tcp": {
      const { ca, cert, key } = endpoint.tls ?? {};
      const tls = { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
      return new Docker({
        ...version,
        host: endpoint.host,
        port: endpoint.port,
        protocol: endpoint.tls ? "https" : "http",
        ...tls,
      });
    }
    case "ssh": {
      const agent = process.env["SSH_AUTH_SOCK"];
      const user = endpoint.user ? { username: endpoint.user } : {};
      return new Docker({
        ...version,
        host: endpoint.host,
        port: endpoint.port,
        protocol: "ssh",
        ...user,
        sshOptions: agent ? { agent } : {},
      });
    }
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
