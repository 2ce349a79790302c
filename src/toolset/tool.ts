/**
 * A tool is one literal: name, words, level, schemas, and what it does. The server, the policy, the reference page, the
 * golden files and the tests all come from it.
 */
import * as v from "valibot";
import type { ServersDoor } from "../api/client/door.ts";
import type { Deadline } from "../base/deadline.ts";
import type { Engine } from "../docker/engine.ts";
import type { Environment } from "../docker/endpoint.ts";
import { issueFault } from "../model/issues.ts";
import type { VolumeStore } from "../runtime/volume-store.ts";
import type { Workshop } from "../create/workshop.ts";
import type { Level } from "../safety/policy.ts";
import type { Settings } from "./settings.ts";
import type { Recovery } from "./recovery.ts";
import type { Logins } from "./registry/logins.ts";

export type Category =
  | "containers"
  | "images"
  | "networks"
  | "volumes"
  | "system"
  | "compose"
  | "swarm"
  | "registry"
  | "undo"
  | "servers"
  | "create";

/** How long a tool may take, ms: a question, a change, a transfer. `SAFETY_DEFAULT_TOOL_TIMEOUT` replaces the first. */
export const TOOL_MS = { quick: 30_000, work: 60_000, long: 300_000 } as const;

/** A part of the way of a long call. `current` and `total` in bytes or steps. */
export interface Step {
  text: string;
  current?: number | undefined;
  total?: number | undefined;
}

/** What a handler gets beside its input. */
export interface ToolCall {
  /** The engine; connected at the first use. Faults: `unreachable`, `forbidden`, `unsupported`, `timeout`. */
  engine(): Promise<Engine>;
  /** Ends at the tool's time and with the client's cancellation: hand it on to every call of the engine. */
  deadline: Deadline;
  /** Aborts with the client's cancellation and at the end of the call; for streams. */
  signal: AbortSignal;
  report(step: Step): void;
  /** What somebody has just confirmed; absent where nothing has to be confirmed. */
  confirmed?: Plan;
  settings: Settings;
  env: Environment;
  /** The files of volumes. */
  volumes(): Promise<VolumeStore>;
  /** Where a destructive tool leaves what is needed to make its work undone. */
  recovery: Recovery;
  /** This client's, to registries; they take the place of `docker login`'s. */
  logins(): Logins;
  /** The manager's; one is started where none runs. */
  servers(): Promise<ServersDoor>;
  /** The servers that this client has created. */
  created(): Promise<Workshop>;
}

/** One object that a destructive call would remove or change for good. */
export const planned = v.object({
  kind: v.picklist([
    "container",
    "image",
    "network",
    "volume",
    "build-cache",
    "service",
    "secret",
    "config",
    "file",
    "server",
    "saved-server",
  ]),
  id: v.string(),
  name: v.string(),
  /** Why it goes, or what goes with it. */
  detail: v.optional(v.string()),
  /** What removing it frees. */
  bytes: v.optional(v.number()),
});
export type Planned = v.InferOutput<typeof planned>;

/** What a destructive call would do, found out without doing it. */
export interface Plan {
  /** One sentence: `Remove 3 stopped containers (12 MB).` */
  summary: string;
  objects: Planned[];
}

type ObjectSchema = v.GenericSchema<Record<string, unknown>, Record<string, unknown>>;

interface Facts {
  /** What a client calls. */
  name: string;
  category: Category;
  /** Two or three words for people. */
  title: string;
  /** For a model that has to choose: what it does, when to take it, what it never does. */
  description: string;
  level: Level;
  time: keyof typeof TOOL_MS;
  /** A second equal call changes nothing more. Reading tools are, always. */
  idempotent?: boolean;
  /** It talks to something beyond the engine: a registry. */
  openWorld?: boolean;
}

/** The literal. `I` and `O` are what goes in and out as JSON. */
export interface ToolLiteral<I extends ObjectSchema, O extends ObjectSchema> extends Facts {
  input: I;
  output: O;
  /** Arguments that work wherever the objects named exist; shown in the reference. */
  example: v.InferInput<NoInfer<I>>;
  /** Destructive tools have one; it only reads. */
  plan?(input: v.InferOutput<NoInfer<I>>, call: ToolCall): Promise<Plan>;
  handle(input: v.InferOutput<NoInfer<I>>, call: ToolCall): Promise<v.InferInput<NoInfer<O>>>;
  /** A short text for models and people that do not read structured content. */
  text(output: v.InferOutput<NoInfer<O>>): string;
  /** Whether what it has done has failed all the same, and the result says so. */
  failed?(output: v.InferOutput<NoInfer<O>>): boolean;
}

export interface Outcome {
  structured: Record<string, unknown>;
  text: string;
  isError?: true;
}

/** A tool with its arguments parsed. */
interface Bound {
  plan: ((call: ToolCall) => Promise<Plan>) | undefined;
  run(call: ToolCall): Promise<Outcome>;
  /** The text of a result of which something was left out; undefined where too much was. */
  say(structured: Record<string, unknown>): string | undefined;
}

/** Any tool, whatever its types. */
export interface Tool extends Facts {
  input: ObjectSchema;
  output: ObjectSchema;
  example: Record<string, unknown>;
  hasPlan: boolean;
  /** Faults: `invalid`, naming the argument. */
  bind(args: unknown): Bound;
}

/** Checks a literal's types and closes over them, so that tools of all kinds fit into one list. */
export function tool<I extends ObjectSchema, O extends ObjectSchema>(literal: ToolLiteral<I, O>): Tool {
  const { input: schema, output, plan, handle, text, failed, ...facts } = literal;
  return {
    ...facts,
    input: schema,
    output,
    hasPlan: plan !== undefined,
    bind(args) {
      const parsed = v.safeParse(schema, withoutNulls(args));
      if (!parsed.success) throw issueFault(schema, parsed.issues, `the input of ${facts.name}`);
      const input = parsed.output;
      return {
        plan: plan && ((call) => plan(input, call)),
        async run(call) {
          const structured = v.parse(output, await handle(input, call));
          return { structured, text: said(text, structured), ...(failed?.(structured) ? { isError: true } : {}) };
        },
        say(structured) {
          const left = v.safeParse(output, structured);
          return left.success ? said(text, left.output) : undefined;
        },
      };
    },
  };
}

/** Of a page, who only reads the text is told of the next one, too. */
function said<O extends Record<string, unknown>>(text: (output: O) => string, output: O): string {
  const { next_cursor } = output;
  return typeof next_cursor === "string" ? `${text(output)}\nThere are more: cursor "${next_cursor}".` : text(output);
}

/** Clients made for the Python mcp-docker say null for what they leave out; no argument of ours means anything by it. */
function withoutNulls(args: unknown): unknown {
  if (typeof args !== "object" || args === null || Array.isArray(args)) return args;
  return Object.fromEntries(Object.entries(args).filter(([, value]) => value !== null));
}
