/** Tools about created servers that stay. */
import * as v from "valibot";
import { language as languages } from "../../create/source.ts";
import { output, page, paged, paging } from "../output.ts";
import { tool } from "../tool.ts";
import { protect } from "../undo/keep.ts";
import {
  isolationNote,
  savedName,
  serverFacts,
  serverId,
  sourceFacts,
  sourceView,
  toolFacts,
  toolsOf,
  workOf,
} from "./common.ts";

const savedFacts = {
  name: v.string(),
  language: languages,
  saved: v.string(),
  description: v.optional(v.string()),
  dependencies: v.record(v.string(), v.string()),
};

export const saveServerTool = tool({
  name: "save-server",
  category: "create",
  title: "Save a created server",
  description:
    "Keeps a created server's code, packages and their exact versions on this machine, in the place of one saved under the same name. What it holds in memory is not kept.",
  level: "moderate",
  time: "quick",
  idempotent: true,
  input: v.strictObject({
    serverId,
    name: v.optional(v.pipe(savedName, v.description("The server's id where absent"))),
    description: v.optional(v.pipe(v.string(), v.maxLength(1_000))),
  }),
  output: output({ name: v.string(), saved: v.string() }),
  example: { serverId: "typescript-1a2b3c4d", name: "adder" },
  async handle({ serverId: id, name = id, description }, call) {
    const { at } = await (await call.created()).save(id, name, description);
    return { name, saved: at };
  },
  text: ({ name }) => `Saved as ${name}`,
});

export const listSavedServersTool = tool({
  name: "list-saved-servers",
  category: "create",
  title: "List saved servers",
  description: "The servers that save-server has kept, of this session and earlier ones.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ ...paging }),
  output: output({ servers: v.array(v.object(savedFacts)), ...paged }),
  example: {},
  async handle(asked, call) {
    const { items, ...rest } = page(await (await call.created()).saved.list(), asked);
    const servers = items.map(({ name, at, description, source: { language, dependencies } }) => ({
      name,
      language,
      saved: at,
      ...(description === undefined ? {} : { description }),
      dependencies,
    }));
    return { servers, ...rest };
  },
  text: ({ servers, total }) =>
    [
      `${total} saved servers`,
      ...servers.map(({ name, language, description = "" }) => `${name}  ${language}  ${description}`.trim()),
    ].join("\n"),
});

export const loadSavedServerTool = tool({
  name: "load-saved-server",
  category: "create",
  title: "Start a saved server",
  description: "Starts a saved server, with the versions of its packages that it was saved with, under a new id.",
  level: "moderate",
  time: "long",
  openWorld: true,
  input: v.strictObject({ name: savedName }),
  output: output({ ...serverFacts, tools: toolFacts }),
  example: { name: "adder" },
  async handle({ name }, call) {
    const { tools, ...view } = await (await call.created()).load(name, workOf(call));
    return { ...view, tools: toolsOf(tools) };
  },
  text: ({ serverId: id, isolation, savedAs, tools }) =>
    `${savedAs} runs as ${id}. Its tools: ${tools.map(({ name }) => name).join(", ") || "none"}.${isolationNote(isolation)}`,
});

export const deleteSavedServerTool = tool({
  name: "delete-saved-server",
  category: "create",
  title: "Delete a saved server",
  description:
    "Forgets a saved server. One that runs goes on. Its code and packages are in the answer, and kept: docker_undo saves it again.",
  level: "destructive",
  time: "quick",
  input: v.strictObject({ name: savedName }),
  output: output({ name: v.string(), source: sourceFacts, undo: v.string() }),
  example: { name: "adder" },
  async plan({ name }, call) {
    const { source, at } = await (await call.created()).saved.get(name);
    const detail = `${source.language}; saved at ${at}`;
    return {
      summary: `Forget the saved server ${name}.`,
      objects: [{ kind: "saved-server", id: name, name, detail }],
    };
  },
  async handle({ name }, call) {
    const { saved } = await call.created();
    const found = await saved.get(name);
    const kept = { kind: "saved-server", name, saved: found } as const;
    const undo = await protect("delete-saved-server", `the saved server ${name}`, call, async () => [kept]);
    await saved.remove(name);
    return { name, source: sourceView(found.source), undo };
  },
  text: ({ name, undo }) => `${name} is not saved any more. docker_undo ${undo} saves it again.`,
});
