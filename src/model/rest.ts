/** Bodies and answers of the REST routes beyond the views: calls, tools, logs, figures, inspection. */
import * as v from "valibot";
import { imageRef, serverBody, serverSpec } from "./server-spec.ts";
import { duration } from "./units.ts";
import { serverView } from "./views.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** A request waits this long unless `timeoutMs` says otherwise (faults.md: request 60 s). */
export const REQUEST_MS = 60_000;
/** A start may have to fetch an image first. */
export const START_MS = 600_000;
/** The longest `timeoutMs`: ten minutes, as for a call with progress. */
const TIMEOUT_MS_MAX = 600_000;

/** `?timeoutMs=` of every route that waits: milliseconds, or text with a unit such as `90s`. */
export const timeoutMs = v.pipe(
  v.string(),
  v.transform((text) => (/^\d+$/.test(text) ? Number(text) : text)),
  duration(1, TIMEOUT_MS_MAX),
);

/**
 * Body of `POST /servers/:name/start`: a spec, or nothing at all (undefined) to start what is defined under the name.
 * Not a union: its errors would say only that neither of the two fits.
 */
export const startBody = v.pipe(
  v.unknown(),
  v.transform((body) => (isEmptyObject(body) ? undefined : body)),
  v.optional(serverBody),
);

/** What a start, stop or restart did, as a sentence, and the server as it is now. */
export const serverChange = v.object({ message: v.string(), ...serverView.entries });
export type ServerChange = v.InferOutput<typeof serverChange>;

/**
 * Any JSON object, kept as it is. Not `v.record`: that leaves out keys such as `constructor`, and what a tool's
 * arguments are called is the tool's business.
 */
export const jsonObject = v.custom<Record<string, unknown>>(
  (input) => typeof input === "object" && input !== null && !Array.isArray(input),
  "expected an object",
);

/** Body of `POST /servers/:name/call`. */
export const callBody = v.strictObject({
  tool: v.pipe(v.string(), v.minLength(1), v.maxLength(256)),
  arguments: v.optional(jsonObject, {}),
});
export type CallBody = v.InferOutput<typeof callBody>;

/**
 * What a tool answered, as MCP's CallToolResult has it; fields that this version does not know stay.
 * `isError`: the tool ran and says itself that it failed.
 */
export const toolResult = v.looseObject({
  content: v.optional(v.array(v.looseObject({ type: v.string() })), []),
  structuredContent: v.optional(v.unknown()),
  isError: v.optional(v.boolean()),
});
export type ToolResult = v.InferOutput<typeof toolResult>;

/** Answer of `POST /servers/:name/call`. */
export const callAnswer = v.object({ result: toolResult });

/** One entry of `GET /servers/:name/tools`: MCP's Tool. */
export const toolView = v.looseObject({
  name: v.string(),
  title: v.optional(v.string()),
  description: v.optional(v.string()),
  inputSchema: v.looseObject({}),
});
export type ToolView = v.InferOutput<typeof toolView>;

/** One line of `GET /servers/:name/logs` when it is followed. */
export const logLineView = v.object({ at: v.number(), text: v.string() });
export type LogLineView = v.InferOutput<typeof logLineView>;

/** `GET /servers/:name/stats` */
export const statsView = v.object({
  memoryBytes: v.number(),
  memoryLimitBytes: v.number(),
  cpuPercent: v.number(),
  pids: v.number(),
});
export type StatsView = v.InferOutput<typeof statsView>;

const gapView = v.object({
  field: v.string(),
  node: v.optional(v.string()),
  severity: v.picklist(["weaker", "impossible"]),
  message: v.string(),
  hint: v.string(),
});

/** What a bridge says about itself; the same fields as the wire's health frame. */
const bridgeHealth = v.looseObject({
  status: v.picklist(["ok", "draining", "unhealthy"]),
  version: v.string(),
  uptimeMs: count,
  processes: count,
  sessions: count,
  connections: count,
  inFlight: count,
  busy: v.optional(count, 0),
  spares: v.optional(count, 0),
  trouble: v.optional(v.object({ kind: v.string(), message: v.string(), sessions: count })),
});

/** `GET /servers/:name/inspect` */
export const inspection = v.object({
  view: serverView,
  /** Every default filled in; values of secrets masked. */
  spec: v.object({ ...serverSpec.entries, image: imageRef }),
  /** What the engine weakens or cannot do of the spec. */
  gaps: v.array(gapView),
  /** The engine's own description, environment values masked. */
  raw: v.optional(v.unknown()),
  /** Absent when no bridge answers. */
  health: v.optional(bridgeHealth),
});
export type Inspection = v.InferOutput<typeof inspection>;

/** `GET /health` and `GET /healthz` */
export const healthView = v.object({ status: v.literal("ok") });

/** `GET /readyz`: 200 when ready, 503 when not. */
export const readiness = v.object({
  ready: v.boolean(),
  reason: v.optional(v.string()),
  /** The manager's own. */
  version: v.optional(v.string()),
});
export type Readiness = v.InferOutput<typeof readiness>;

function isEmptyObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}
