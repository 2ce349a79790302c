/** Tools: the manager as an MCP client for whoever speaks only REST. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { callAnswer, callBody, REQUEST_MS, START_MS, type ToolResult, toolView } from "../../model/rest.ts";
import { name } from "../../model/server-spec.ts";
import { type Asked, route } from "../route.ts";

const params = { name };
const faults = ["not-found", "invalid", "server-failed", "unsupported", "unreachable", "exhausted"] as const;

export const toolRoutes = [
  route({
    method: "GET",
    path: "/servers/:name/tools",
    id: "tools",
    summary: "The tools of a server, which is started if it does not run",
    params,
    level: "moderate",
    tool: "list_server_tools",
    waitMs: START_MS,
    answers: "The tools, as MCP describes them.",
    answer: v.array(toolView),
    faults,
    run: ({ calls, manager, name, deadline, signal }) => {
      // An unknown name is told from a known one before anything is started.
      manager.server(name);
      return calls.tools(name, { deadline, signal });
    },
  }),
  route({
    method: "POST",
    path: "/servers/:name/call",
    id: "call",
    summary:
      "Call a tool of a server, which is started if it does not run. Without timeoutMs a call has 60 s, and as much again " +
      "after each progress notification, ten minutes in all",
    params,
    body: callBody,
    level: "moderate",
    tool: "call_server_tool",
    waitMs: REQUEST_MS,
    progress: true,
    answers: "What the tool answered. With `isError` the tool itself says that it failed.",
    answer: callAnswer,
    faults,
    run: async (asked) => ({ result: await callTool(asked) }),
  }),
];

async function callTool(asked: Asked<unknown, v.InferOutput<typeof callBody>>): Promise<ToolResult> {
  const { manager, calls, metrics, name, body, report, deadline, timed, signal } = asked;
  manager.server(name);
  const startedAt = performance.now();
  const seconds = () => (performance.now() - startedAt) / 1000;
  try {
    const result = await calls.call(name, body.tool, body.arguments, {
      report,
      signal,
      deadline: timed ? deadline : undefined,
      onProgress: ({ progress, total, message }) =>
        report({ step: body.tool, detail: message, current: progress, total }),
    });
    metrics.call(name, result.isError ? "tool-error" : "ok", seconds());
    return result;
  } catch (error) {
    metrics.call(name, Fault.from(error).kind, seconds());
    throw error;
  }
}
