/** Tools that run servers and end them. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { nameOfRef } from "../../model/ref-name.ts";
import { output } from "../output.ts";
import { tool, type ToolCall } from "../tool.ts";
import { factsOf, isolationNote, progressOf, serverFacts, type ServerFacts, serverName } from "./common.ts";
import { bodyOf, serverSpec } from "./spec.ts";

const changed = output(serverFacts);
const sentence = ({ name, state, runtime, reason }: ServerFacts) =>
  `${name} is ${state}${reason === undefined ? "" : ` (${reason})`}.${isolationNote(state === "ready" ? runtime : "")}`;

export const runServerTool = tool({
  name: "run_server",
  category: "servers",
  title: "Run a server",
  description:
    "Defines an MCP server from an image, npm:PACKAGE or pypi:PACKAGE and starts it in a container of its own, with limits and, unless asked otherwise, without network. Its definition stays. A name that is taken is refused: start_server starts what is defined already.",
  level: "moderate",
  time: "long",
  openWorld: true,
  input: v.strictObject(serverSpec),
  output: changed,
  example: { image: "npm:@modelcontextprotocol/server-everything", name: "everything", memory: "256m" },
  async handle(wanted, call) {
    const door = await call.servers();
    const name = wanted.name ?? nameOfRef(wanted.image);
    const body = await bodyOf(wanted, door, call);
    const known = (await door.servers({ deadline: call.deadline })).find((one) => one.name === name);
    if (known)
      throw new Fault("conflict", `there is a server called ${name} already (${known.image}, ${known.state})`, {
        hint: "Start it with start_server, or take another name.",
      });
    return factsOf(await door.start(name, body, progressOf(call)));
  },
  text: sentence,
});

export const startServerTool = tool({
  name: "start_server",
  category: "servers",
  title: "Start a server",
  description:
    "Starts a server that is defined, also one that remove_server has removed. Servers start by themselves at their first use, so this is for one that is to run before.",
  level: "moderate",
  time: "long",
  idempotent: true,
  openWorld: true,
  input: v.strictObject({ name: serverName }),
  output: changed,
  example: { name: "everything" },
  handle: async ({ name }, call) => factsOf(await (await call.servers()).start(name, undefined, progressOf(call))),
  text: sentence,
});

export const stopServerTool = tool({
  name: "stop_server",
  category: "servers",
  title: "Stop a server",
  description:
    "Stops a server, whoever uses it: requests under way are answered with an error. Its container stays, for its logs. It is started again when somebody uses it.",
  level: "moderate",
  time: "work",
  idempotent: true,
  input: v.strictObject({ name: serverName }),
  output: changed,
  example: { name: "everything" },
  handle: async ({ name }, call) => factsOf(await (await call.servers()).stop(name, { deadline: call.deadline })),
  text: sentence,
});

export const restartServerTool = tool({
  name: "restart_server",
  category: "servers",
  title: "Restart a server",
  description: "Stops a server, if it runs, and starts it. Requests under way are answered with an error.",
  level: "moderate",
  time: "long",
  openWorld: true,
  input: v.strictObject({ name: serverName }),
  output: changed,
  example: { name: "everything" },
  handle: async ({ name }, call) => factsOf(await (await call.servers()).restart(name, progressOf(call))),
  text: sentence,
});

export const removeServerTool = tool({
  name: "remove_server",
  category: "servers",
  title: "Remove a server",
  description:
    "Stops a server and removes its container and log. Its definition stays, so that start_server or docker_undo brings it back, unless forget is asked for. Named volumes stay.",
  level: "destructive",
  time: "long",
  input: v.strictObject({
    name: serverName,
    forget: v.optional(
      v.pipe(v.boolean(), v.description("Its definition goes, too, with its secrets; that cannot be undone")),
      false,
    ),
  }),
  output: output({ name: v.string(), forgotten: v.boolean(), undo: v.optional(v.string()) }),
  example: { name: "everything" },
  async plan({ name, forget }, call) {
    const { state, sessions, container } = await serverOf(name, call);
    const after = forget ? "its definition goes, too, and cannot be brought back" : "start_server brings it back";
    const object = { kind: "server", id: container ?? name, name, detail: `${state}, ${sessions} sessions; ${after}` };
    return { summary: `Remove the server ${name}.`, objects: [{ ...object, kind: "server" as const }] };
  },
  async handle({ name, forget }, call) {
    const door = await call.servers();
    await door.server(name, { deadline: call.deadline });
    if (forget) {
      await door.remove(name, { deadline: call.deadline });
      return { name, forgotten: true };
    }
    const draft = await call.recovery.begin("remove_server");
    try {
      await draft.seal(`the server ${name}`, [{ kind: "server", name }]);
      await door.remove(name, { deadline: call.deadline, keep: true });
    } catch (error) {
      await call.recovery.remove(draft.id);
      throw error;
    }
    return { name, forgotten: false, undo: draft.id };
  },
  text: ({ name, forgotten }) =>
    `${name} was removed${forgotten ? ", and its definition with it" : "; start_server brings it back"}.`,
});

async function serverOf(name: string, call: ToolCall) {
  return await (await call.servers()).server(name, { deadline: call.deadline });
}
