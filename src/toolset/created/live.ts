/** Tools that make servers and use them. */
import * as v from "valibot";
import { output, page, paged, paging } from "../output.ts";
import { passedOn, resultOf } from "../passed-on.ts";
import { tool } from "../tool.ts";
import { protect } from "../undo/keep.ts";
import {
  code,
  dependencies,
  isolationNote,
  language,
  serverFacts,
  serverId,
  sourceFacts,
  sourceView,
  toolFacts,
  toolsOf,
  workOf,
} from "./common.ts";

const answer = output({ ...serverFacts, tools: toolFacts });

function answerText(verb: string) {
  return ({ serverId: id, isolation, tools }: v.InferOutput<typeof answer>) =>
    `${id} ${verb}. Its tools: ${tools.map(({ name }) => name).join(", ") || "none"}.${isolationNote(isolation)}`;
}

export const createServerTool = tool({
  name: "create-server-from-template",
  category: "create",
  title: "Create a server",
  description:
    "Makes an MCP server of a template, or of your own code, and starts it in a container of its own with limits and without network. Packages are installed first. Code that does not run is answered with its error and line numbers, and leaves nothing behind.",
  level: "moderate",
  time: "long",
  openWorld: true,
  input: v.strictObject({ language, code: v.optional(code), dependencies: v.optional(dependencies) }),
  output: answer,
  example: { language: "typescript" },
  async handle({ language: spoken, ...change }, call) {
    const workshop = await call.created();
    const { tools, ...view } = await workshop.create(spoken, change, workOf(call));
    return { ...view, tools: toolsOf(tools) };
  },
  text: answerText("runs"),
});

export const updateServerTool = tool({
  name: "update-server",
  category: "create",
  title: "Change a created server",
  description:
    "Puts new code or packages in the place of a created server's. The old one serves until the new one answers, and stays if that does not; what it kept in memory is lost with it.",
  level: "moderate",
  time: "long",
  openWorld: true,
  input: v.pipe(
    v.strictObject({ serverId, code: v.optional(code), dependencies: v.optional(dependencies) }),
    v.check(
      ({ code: text, dependencies: packages }) => text !== undefined || packages !== undefined,
      "expected code or dependencies",
    ),
  ),
  output: answer,
  example: { serverId: "typescript-1a2b3c4d", code: "// the whole program" },
  async handle({ serverId: id, ...change }, call) {
    const workshop = await call.created();
    const { tools, ...view } = await workshop.update(id, change, workOf(call));
    return { ...view, tools: toolsOf(tools) };
  },
  text: answerText("has been changed and runs"),
});

export const executeToolTool = tool({
  name: "execute-tool",
  category: "create",
  title: "Call a tool of a created server",
  description:
    "Calls a tool of a created server. The arguments are checked against the tool's schema first; get-server-tools shows it. A server that has ended is started again.",
  level: "moderate",
  time: "long",
  input: v.strictObject({
    serverId,
    toolName: v.pipe(v.string(), v.maxLength(256)),
    args: v.optional(v.record(v.string(), v.unknown()), {}),
  }),
  ...passedOn,
  example: { serverId: "typescript-1a2b3c4d", toolName: "add", args: { a: 1, b: 2 } },
  async handle({ serverId: id, toolName, args }, call) {
    return resultOf(await (await call.created()).call(id, toolName, args, workOf(call)));
  },
});

export const serverToolsTool = tool({
  name: "get-server-tools",
  category: "create",
  title: "Tools of a created server",
  description: "The tools of a created server with the JSON Schema of their arguments.",
  level: "safe",
  time: "work",
  input: v.strictObject({ serverId, ...paging }),
  output: output({ tools: toolFacts, ...paged }),
  example: { serverId: "typescript-1a2b3c4d" },
  async handle({ serverId: id, ...asked }, call) {
    const { items, ...rest } = page(toolsOf(await (await call.created()).tools(id, workOf(call))), asked);
    return { tools: items, ...rest };
  },
  text: ({ tools, total }) =>
    [`${total} tools`, ...tools.map(({ name, description = "" }) => `${name}  ${description}`.trim())].join("\n"),
});

export const deleteServerTool = tool({
  name: "delete-server",
  category: "create",
  title: "Delete a created server",
  description:
    "Ends a created server and its container. A saved one stays saved. Its code and packages are in the answer, and kept: docker_undo starts it again. What it held in memory is lost.",
  level: "destructive",
  time: "work",
  input: v.strictObject({ serverId }),
  output: output({ serverId: v.string(), source: sourceFacts, undo: v.string() }),
  example: { serverId: "typescript-1a2b3c4d" },
  async plan({ serverId: id }, call) {
    const { language: spoken, savedAs } = (await call.created()).get(id);
    const detail = savedAs === undefined ? "it is not saved" : `saved as ${savedAs}`;
    return {
      summary: `End the created server ${id}.`,
      objects: [{ kind: "server", id, name: id, detail: `${spoken}; ${detail}` }],
    };
  },
  async handle({ serverId: id }, call) {
    const workshop = await call.created();
    const source = await workshop.keep(id);
    const kept = { kind: "created-server", name: id, source } as const;
    const undo = await protect("delete-server", `the created server ${id}`, call, async () => [kept]);
    await workshop.delete(id);
    return { serverId: id, source: sourceView(source), undo };
  },
  text: ({ serverId: id, undo }) => `${id} has ended. docker_undo ${undo} starts it again.`,
});

export const listServersTool = tool({
  name: "list-servers",
  category: "create",
  title: "List created servers",
  description: "The servers that were created or loaded in this session. Saved ones are in list-saved-servers.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ ...paging }),
  output: output({ servers: v.array(v.object(serverFacts)), ...paged }),
  example: {},
  async handle(asked, call) {
    const { items, ...rest } = page((await call.created()).list(), asked);
    return { servers: items, ...rest };
  },
  text: ({ servers, total }) =>
    [
      `${total} created servers`,
      ...servers.map(({ serverId: id, running, isolation }) => `${id}  ${running ? "running" : "ended"}  ${isolation}`),
    ].join("\n"),
});
