/** The toolset as an MCP server of both eras, on the SDK's own machinery: it speaks MCP itself and relays nothing. */
import {
  inputRequired,
  inputResponse,
  Server,
  type ServerContext,
  type Tool as McpTool,
} from "@modelcontextprotocol/server";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { VERSION } from "../base/version.ts";
import { compactList, expand, help, HELP } from "./compact.ts";
import { CONFIRM_MS } from "./confirm.ts";
import { describe } from "./describe.ts";
import { sentences } from "./hints.ts";
import { page } from "./output.ts";
import { complete } from "./complete.ts";
import { servePrompts } from "./prompts/serve.ts";
import { serveResources } from "./resources/serve.ts";
import type { Outcome, Plan, Step } from "./tool.ts";
import { type Answer, CONFIRMATION, type Toolset } from "./toolset.ts";

/** Of `tools/list`: all tools are some 60 KB. */
const TOOLS_PAGE = 200;
const CONFIRM = "confirm";
/** Why nothing was done, as a program reads it. */
const REFUSAL = "linkspan/refusal";

const elicitation = v.object({ form: v.optional(v.unknown()), url: v.optional(v.unknown()) });
const clientCapabilities = v.object({ elicitation: v.optional(elicitation) });
const implementation = v.object({ name: v.string(), version: v.string() });
/** What a modern client says with each request (2026-07-28, basic/index: per-request metadata). */
const envelope = v.object({
  "io.modelcontextprotocol/clientCapabilities": v.optional(clientCapabilities),
  "io.modelcontextprotocol/clientInfo": v.optional(implementation),
});

export interface Shape {
  instructions: string;
  /** A tool for each category instead of one for each action. */
  compact: boolean;
  /** Whose calls these are, where the transport has one client; else it is the session, or what a client without one calls itself. */
  owner?: string;
}

export function toolsetServer(toolset: Toolset, { instructions, compact, owner }: Shape): Server {
  const { serverName: name, serverVersion: version = VERSION } = toolset.settings;
  const ofEngine = { prompts: {}, resources: { subscribe: true }, completions: {} };
  const capabilities = { tools: {}, ...(toolset.ofEngine ? ofEngine : {}) };
  const server = new Server({ name, version }, { capabilities, instructions });
  server.setRequestHandler("tools/list", ({ params }) => {
    const tools: McpTool[] = compact ? compactList(toolset.list()) : toolset.list().map(describe);
    const { items, next_cursor: nextCursor } = page(tools, { limit: TOOLS_PAGE, cursor: params?.cursor });
    return { tools: items, ...(nextCursor ? { nextCursor } : {}) };
  });
  server.setRequestHandler("tools/call", ({ params }, context) =>
    callTool(server, toolset, { ...params, compact, owner }, context),
  );
  if (!toolset.ofEngine) return server;
  const who = (context: ServerContext) => clientOf(server, context);
  servePrompts(server, toolset, who);
  serveResources(server, toolset, who);
  server.setRequestHandler("completion/complete", ({ params }, { mcpReq }) => complete(toolset, params, mcpReq.signal));
  return server;
}

interface CallParams {
  name: string;
  arguments?: Record<string, unknown> | undefined;
  compact: boolean;
  owner: string | undefined;
}

async function callTool(
  server: Server,
  toolset: Toolset,
  { name: asked, arguments: given = {}, compact, owner }: CallParams,
  context: ServerContext,
) {
  const { mcpReq } = context;
  const who = clientOf(server, context);
  const caller = {
    who,
    owner: owner ?? context.sessionId ?? `client ${who}`,
    signal: mcpReq.signal,
    report: reporter(context),
  };
  try {
    if (compact && asked === HELP) return done(help(toolset.list(), given));
    const { name, args } = compact ? expand(toolset.tools, toolset.list(), asked, given) : { name: asked, args: given };
    const answered = inputResponse(mcpReq.inputResponses, CONFIRM);
    const token = mcpReq.requestState();
    if (answered.kind === "elicit" && (answered.action !== "accept" || answered.content?.[CONFIRM] !== true)) {
      if (typeof token === "string") toolset.decline(token);
      throw new Fault("cancelled", "nothing was done: the plan was declined", {
        hint: "Do not call it again unless you are asked to.",
      });
    }
    const confirmed =
      answered.kind === "elicit" && typeof token === "string" ? { ...args, [CONFIRMATION]: token } : args;
    const answer = await toolset.call(name, confirmed, caller);
    if (answer.kind === "ask") return ask(answer, canElicit(server, context));
    return done(answer.outcome);
  } catch (error) {
    const fault = Fault.from(error);
    return failure(fault, compact && fault.kind === "invalid" ? `${HELP} tells the arguments.` : undefined);
  }
}

function done({ structured, text, isError }: Outcome) {
  const failed = isError ? { isError } : {};
  return { content: [{ type: "text" as const, text }], structuredContent: structured, ...failed };
}

/** The person decides where the client can ask; else the caller, with the token. */
function ask({ plan, token, again }: Extract<Answer, { kind: "ask" }>, elicit: boolean) {
  if (elicit) {
    const changed = again ? "This was confirmed too late, or what would be done has changed. Now it is:\n\n" : "";
    const question = inputRequired.elicit({
      message: `${changed}${planText(plan)}\n\nDo it?`,
      requestedSchema: {
        type: "object",
        properties: {
          [CONFIRM]: { type: "boolean", title: "Do it", description: "This cannot be taken back without docker_undo." },
        },
        required: [CONFIRM],
      },
    });
    return inputRequired({ inputRequests: { [CONFIRM]: question }, requestState: token });
  }
  const worthless = again
    ? `That ${CONFIRMATION} is not for this: it holds once, for ${CONFIRM_MS / 60_000} minutes, for the same arguments and the same plan. The plan now:\n\n`
    : "";
  const text = `${worthless}${planText(plan)}\n\nNothing was done yet. If this is what was asked for, make the same call again with "${CONFIRMATION}": "${token}" added to its arguments.`;
  return refusal(text, { kind: "confirmation-required", plan, [CONFIRMATION]: token });
}

export function planText({ summary, objects }: Plan): string {
  const lines = objects.map(
    ({ kind, name, id, detail }) =>
      `- ${kind} ${name === id ? name : `${name} (${id.slice(0, 19)})`}${detail ? `: ${detail}` : ""}`,
  );
  return [summary, ...lines].join("\n");
}

/** `otherwise`: the hint where the fault has none. */
function failure(fault: Fault, otherwise?: string) {
  return refusal(sentences(fault.message, fault.hint ?? otherwise), { ...fault.report() });
}

/**
 * For programs it is in `_meta`: what is structured has to be as the tool's output schema says (2025-11-25, tools), and
 * clients that check that would show their own error instead of this one.
 */
function refusal(text: string, why: Record<string, unknown>) {
  return { content: [{ type: "text" as const, text }], isError: true, _meta: { [REFUSAL]: why } };
}

function canElicit(server: Server, context: ServerContext): boolean {
  const asked = envelopeOf(context)?.["io.modelcontextprotocol/clientCapabilities"] ?? server.getClientCapabilities();
  // `{}` means form, the only mode before 2025-11-25.
  return (
    asked?.elicitation !== undefined && (asked.elicitation.form !== undefined || asked.elicitation.url === undefined)
  );
}

function clientOf(server: Server, context: ServerContext): string {
  const info = envelopeOf(context)?.["io.modelcontextprotocol/clientInfo"] ?? server.getClientVersion();
  return info ? `${info.name} ${info.version}` : "unknown";
}

function envelopeOf({ mcpReq }: ServerContext): v.InferOutput<typeof envelope> | undefined {
  const parsed = v.safeParse(envelope, mcpReq.envelope);
  return parsed.success ? parsed.output : undefined;
}

/** Progress must grow: a step that does not is one more than the last. */
function reporter({ mcpReq }: ServerContext): (step: Step) => void {
  const progressToken = mcpReq._meta?.progressToken;
  if (progressToken === undefined) return () => {};
  let last = 0;
  return ({ text, current, total }) => {
    last = current !== undefined && current > last ? current : last + 1;
    const params = {
      progressToken,
      progress: last,
      message: text,
      ...(total !== undefined && total >= last ? { total } : {}),
    };
    mcpReq.notify({ method: "notifications/progress", params }).catch(() => {});
  };
}
