/**
 * What a route is. The table of routes (routes.ts) is a list of these: it serves the requests, and it is the OpenAPI
 * document. A handler gets parsed values and returns a value; it builds no envelope and checks no policy.
 */
import * as v from "valibot";
import { Deadline } from "../base/deadline.ts";
import type { FaultKind } from "../base/fault.ts";
import type { Approvals } from "../gateway/aggregate/approvals.ts";
import type { ToolCalls } from "../gateway/tool-calls.ts";
import type { Manager } from "../manager/manager.ts";
import { timeoutMs } from "../model/rest.ts";
import type { ProgressView } from "../model/views.ts";
import type { Gate } from "../safety/gate.ts";
import type { Action, Level } from "../safety/policy.ts";
import { parseInput, queryObject, readJson, readUpload } from "./input.ts";
import type { Metrics } from "./metrics.ts";
import { jsonResponse, NDJSON_TYPE, progressResponse, wants } from "./responses.ts";

/** What handlers work with. */
export interface Services {
  manager: Manager;
  calls: ToolCalls;
  metrics: Metrics;
  /** What everything that changes something passes. */
  gate: Gate;
  approvals: Approvals;
  /** Aborts when the API is closed: streams end then. */
  ending: AbortSignal;
}

/** A request that was routed and let in. */
interface Incoming {
  request: Request;
  url: URL;
  params: Record<string, string>;
  /** Who asks, for the audit log. */
  who: string;
  services: Services;
}

/** `open`: no token. `token`: the bearer token, or the manager's own socket. `socket`: only there. */
type Access = "open" | "token" | "socket";

type Schema = v.GenericSchema;
const nothing = v.strictObject({});
type Nothing = typeof nothing;

/** What the OpenAPI document and the router need to know of a route. */
interface RouteFacts {
  method: "GET" | "POST" | "DELETE";
  /** `/servers/:name/start` */
  path: string;
  /** Unique; the name of the typed client's method where there is one. */
  id: string;
  summary: string;
  /** `token` when absent. */
  access?: Access;
  /** The schema of each `:parameter` of the path. */
  params?: Record<string, Schema>;
  /** Of what it changes, which is judged and written into the audit log (src/safety/gate.ts); absent: it only reads. */
  level?: Exclude<Level, "safe">;
  /** How long the route waits unless `?timeoutMs=` says otherwise; without it the route takes no `timeoutMs`. */
  waitMs?: number;
  /** With `Accept: application/x-ndjson` the answer is a stream of progress lines and the result. */
  progress?: boolean;
  /** The body is no JSON but a stream of this type, of at most so many bytes. */
  upload?: { type: string; bytesMax: number };
  /** What a good answer is, in words; and answers beside JSON, by media type. */
  answers: string;
  also?: Record<string, Schema | "text">;
  /** What it can fail with, beside what every route can. */
  faults?: readonly FaultKind[];
}

export interface Route extends RouteFacts {
  query: Schema | undefined;
  body: Schema | undefined;
  /** Of the JSON answer; undefined when there is none. */
  answer: Schema | undefined;
  respond(incoming: Incoming): Promise<Response>;
}

/** What a handler gets. */
export interface Asked<Q, B> extends Services {
  name: string;
  params: Record<string, string>;
  query: Q;
  body: B;
  /** The body as it comes, of a route that has an `upload`; empty elsewhere. */
  upload: AsyncIterable<Uint8Array>;
  /** Passes after `timeoutMs`, else after the route's `waitMs`. */
  deadline: Deadline;
  /** Whether the client gave a `timeoutMs`. */
  timed: boolean;
  report(progress: ProgressView): void;
  /** Aborts when the client goes away. */
  signal: AbortSignal;
  request: Request;
}

interface Definition<Q extends Schema, B extends Schema, A extends Schema> extends RouteFacts {
  query?: Q;
  body?: B;
  answer?: A;
  /**
   * With a `level`: the tool that does the same (src/toolset), whose name is on the lists of allowed and denied ones;
   * undefined where this request only reads.
   */
  tool?: string | ((asked: { body: v.InferOutput<B> }) => string | undefined);
  /** With a `level`, and no tool that does the same: what it is called; lists of tools say nothing of it. */
  deed?: string;
  /** Only its refusals are in the audit log; the manager's events have the rest. */
  chronicled?: boolean;
  /** The answer's value; undefined: 204. A `Response` is for what is not JSON. */
  run(asked: Asked<v.InferOutput<Q>, v.InferOutput<B>>): Result<A>;
}

type Answer<A extends Schema> = v.InferInput<A> | Response | undefined;
type Result<A extends Schema> = Answer<A> | Promise<Answer<A>>;

/** Find, parse, run, format: the one path that every request takes. */
export function route<
  Q extends Schema = Nothing,
  B extends Schema = Nothing,
  A extends Schema = v.UndefinedSchema<undefined>,
>(definition: Definition<Q, B, A>): Route {
  const { run, tool: _tool, deed: _deed, chronicled: _chronicled, ...facts } = definition;
  return {
    ...facts,
    query: definition.query,
    body: definition.body,
    answer: definition.answer,
    async respond({ request, url, params, who, services }) {
      for (const [name, schema] of Object.entries(definition.params ?? {})) {
        parseInput(schema, params[name], `the ${name} in the path`);
      }
      const { waitMs, rest } = waitOf(queryObject(url.searchParams), definition.waitMs);
      const query = parseInput(definition.query ?? nothing, rest, "the query");
      const upload = readUpload(request, definition.upload);
      const json = request.method === "POST" && !definition.upload ? await readJson(request) : undefined;
      const body = parseInput(definition.body ?? nothing, json ?? {}, "the body");
      const action = actionOf(definition, body);
      const pass = action && (await services.gate.enter(action, who, { ...params, ...rest, ...json }));
      const answer = (report: Asked<unknown, unknown>["report"]) => {
        const asked = {
          ...services,
          name: params.name ?? "",
          params,
          query,
          body,
          upload,
          deadline: Deadline.in(waitMs ?? definition.waitMs ?? 0),
          timed: waitMs !== undefined,
          report,
          signal: request.signal,
          request,
        };
        return pass ? pass(async () => run(asked)) : run(asked);
      };
      if (definition.progress && wants(request, NDJSON_TYPE)) return progressResponse(async (report) => answer(report));
      const result = await answer(() => {});
      if (result instanceof Response) return result;
      return result === undefined ? new Response(null, { status: 204 }) : jsonResponse(result);
    },
  };
}

interface Named<B> {
  tool?: string | ((asked: { body: B }) => string | undefined);
  deed?: string;
  chronicled?: boolean;
}

/** What this request changes; undefined where it only reads. */
function actionOf<B>(
  { id, level, tool = id, deed, chronicled = false }: Pick<RouteFacts, "id" | "level"> & Named<B>,
  body: B,
): Action | undefined {
  if (level === undefined) return undefined;
  if (deed !== undefined) return { name: deed, level, unlisted: true, chronicled };
  const name = typeof tool === "string" ? tool : tool({ body });
  return name === undefined ? undefined : { name, level };
}

function waitOf(query: Record<string, string>, defaultMs: number | undefined) {
  const { timeoutMs: text, ...rest } = query;
  if (text === undefined || defaultMs === undefined) return { waitMs: undefined, rest: query };
  return { waitMs: parseInput(timeoutMs, text, "timeoutMs"), rest };
}
