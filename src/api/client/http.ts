/** One request to the manager: where it goes, its deadline, and what went wrong as a fault. */
import * as v from "valibot";
import type { Deadline } from "../../base/deadline.ts";
import { Fault, isFaultKind } from "../../base/fault.ts";
import { VERSION } from "../../base/version.ts";
import { type Problem, problem } from "../../model/views.ts";
import { readText } from "./streams.ts";

/** Where a manager listens. The socket needs no token: its file mode (0600) says who may. */
export type ManagerTarget = { kind: "unix"; path: string } | { kind: "http"; url: string; token: string };

export interface Exchange {
  method: "GET" | "POST" | "DELETE";
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  /** In place of a JSON body: a stream that is sent as it comes. */
  upload?: { type: string; stream: ReadableStream<Uint8Array> };
  accept?: string;
  /** Ends the request: a deadline, or for streams the caller's cancellation. */
  signal: AbortSignal;
  /** What is being done, for messages: `the start of files`. */
  what: string;
}

/** Sends the request; an answer that is not 2xx is thrown as the fault that its problem body describes. */
export async function exchange(target: ManagerTarget, request: Exchange): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address(target, request), options(target, request));
  } catch (error) {
    throw connectionFault(target, request, error);
  }
  if (response.ok) return response;
  throw await problemFault(response, request);
}

/** The answer's body through its schema. */
export async function exchangeJson<S extends v.GenericSchema>(
  target: ManagerTarget,
  schema: S,
  request: Exchange,
): Promise<v.InferOutput<S>> {
  const response = await exchange(target, request);
  return parseAnswer(schema, await bodyText(target, request, response), request.what);
}

/** Text of a body; a broken connection in the middle of it becomes a fault. */
export async function bodyText(target: ManagerTarget, request: Exchange, response: Response): Promise<string> {
  try {
    return await readText(response);
  } catch (error) {
    throw connectionFault(target, request, error);
  }
}

/** JSON through its schema. Another version's manager may answer what this one does not know. */
export function parseAnswer<S extends v.GenericSchema>(schema: S, text: string, what: string): v.InferOutput<S> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Fault("internal", `the manager's answer to ${what} is not JSON`, { cause, hint: OTHER_PROGRAM });
  }
  return parseWith(schema, json, what);
}

export function parseWith<S extends v.GenericSchema>(schema: S, json: unknown, what: string): v.InferOutput<S> {
  const parsed = v.safeParse(schema, json);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  const where = v.getDotPath(issue) ?? "its top level";
  throw new Fault("internal", `the manager's answer to ${what} is not understood at ${where}: ${issue.message}`, {
    hint: "Manager and client may be of different versions: restart the manager.",
  });
}

/** A problem body as the fault that the manager threw. */
export function faultOf(body: Problem): Fault {
  return new Fault(isFaultKind(body.kind) ? body.kind : "internal", body.detail, {
    ...(body.hint === undefined ? {} : { hint: body.hint }),
    ...(body.data === undefined ? {} : { data: body.data }),
  });
}

/** What a wait that the signal ended, or a connection that broke, means to the caller. */
export function connectionFault(target: ManagerTarget, request: Exchange, error: unknown): Fault {
  if (error instanceof Fault) return error;
  const name = error instanceof Error ? error.name : "";
  if (name === "TimeoutError") return new Fault("timeout", `${request.what} did not end in time`, { cause: error });
  if (request.signal.aborted) return new Fault("cancelled", `${request.what} was cancelled`, { cause: error });
  const code = errorCode(error);
  if (NOBODY_THERE.has(code)) {
    return new Fault("unreachable", `no manager answers at ${place(target)}`, {
      hint: "Start one with `linkspan serve`.",
      cause: error,
    });
  }
  const unknown = request.method === "GET" ? "" : "; whether it was carried out is not known";
  return new Fault("unreachable", `the manager closed the connection during ${request.what}${unknown}`, {
    cause: error,
    ...(code ? { data: { code } } : {}),
  });
}

/** The deadline without which a request may not be, as a query that tells the manager to answer just before it. */
export function serverTimeout(deadline: Deadline): number {
  const remaining = deadline.remainingMs;
  return Math.max(1, Math.floor(remaining - Math.min(1_000, remaining * 0.1)));
}

const OTHER_PROGRAM = "Perhaps another program answers at this address.";
/** Bun names the error after the system call's, or in words, by platform and kind of socket. */
const NOBODY_THERE = new Set(["ENOENT", "ECONNREFUSED", "ConnectionRefused", "FailedToOpenSocket", "ENOTSOCK"]);

function place(target: ManagerTarget): string {
  return target.kind === "unix" ? target.path : target.url;
}

function address(target: ManagerTarget, { path, query }: Exchange): string {
  const url = new URL(path, target.kind === "unix" ? "http://localhost" : target.url);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return url.href;
}

function options(target: ManagerTarget, request: Exchange): BunFetchRequestInit {
  const headers: Record<string, string> = {
    accept: request.accept ?? "application/json",
    "user-agent": `linkspan/${VERSION}`,
  };
  if (request.body !== undefined) headers["content-type"] = "application/json";
  if (request.upload) headers["content-type"] = request.upload.type;
  if (target.kind === "http") headers.authorization = `Bearer ${target.token}`;
  return {
    method: request.method,
    headers,
    signal: request.signal,
    // The token must not follow a redirect to somewhere else.
    redirect: "error",
    // On a kept connection that the manager has closed meanwhile Bun would send again by itself; a call must not be.
    keepalive: request.method === "GET",
    timeout: false,
    ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
    ...(request.upload ? { body: request.upload.stream } : {}),
    // HTTP_PROXY is for the web: the token stays between this process and the manager.
    ...(target.kind === "unix" ? { unix: target.path } : { proxy: false }),
  };
}

async function problemFault(response: Response, request: Exchange): Promise<Fault> {
  const text = await readText(response).catch(() => "");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  const parsed = v.safeParse(problem, json);
  if (parsed.success) return faultOf(parsed.output);
  const kind = response.status === 401 ? "unauthenticated" : response.status === 404 ? "not-found" : "internal";
  return new Fault(kind, `${request.what} was answered with HTTP ${response.status}`, { hint: OTHER_PROGRAM });
}

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
