/** Tools that use servers, and those about the manager as a whole. */
import * as v from "valibot";
import type { ServersDoor } from "../../api/client/door.ts";
import { imageRef } from "../../model/server-spec.ts";
import { toolFacts, toolsOf } from "../created/common.ts";
import { output, page, paged, paging } from "../output.ts";
import { passedOn, resultOf } from "../passed-on.ts";
import { type Planned, tool, type ToolCall } from "../tool.ts";
import { isoTime, progressOf, serverName } from "./common.ts";

const EVENTS = 50;
/** Looked through for those of one server. */
const EVENTS_MAX = 1_000;

export const listServerToolsTool = tool({
  name: "list_server_tools",
  category: "servers",
  title: "Tools of a server",
  description:
    "The tools of an MCP server with the JSON Schema of their arguments. The server is started for it if it does not run.",
  level: "moderate",
  time: "long",
  idempotent: true,
  openWorld: true,
  input: v.strictObject({ name: serverName, ...paging }),
  output: output({ tools: toolFacts, ...paged }),
  example: { name: "everything" },
  async handle({ name, ...asked }, call) {
    const { items, ...rest } = page(
      toolsOf(await (await call.servers()).tools(name, { deadline: call.deadline })),
      asked,
    );
    return { tools: items, ...rest };
  },
  text: ({ tools, total }) =>
    [`${total} tools`, ...tools.map(({ name, description = "" }) => `${name}  ${description}`.trim())].join("\n"),
});

export const callServerToolTool = tool({
  name: "call_server_tool",
  category: "servers",
  title: "Call a tool of a server",
  description:
    "Calls a tool of an MCP server, which is started if it does not run; list_server_tools shows the tools. What the tool does is the server's business: no level holds for it.",
  level: "moderate",
  time: "long",
  openWorld: true,
  input: v.strictObject({
    name: serverName,
    tool: v.pipe(v.string(), v.minLength(1), v.maxLength(256)),
    arguments: v.optional(v.record(v.string(), v.unknown()), {}),
  }),
  ...passedOn,
  example: { name: "everything", tool: "echo", arguments: { message: "hello" } },
  async handle({ name, tool: called, arguments: args }, call) {
    const door = await call.servers();
    return resultOf(await door.call(name, { tool: called, arguments: args }, progressOf(call)));
  },
});

export const listSessionsTool = tool({
  name: "list_sessions",
  category: "servers",
  title: "List sessions",
  description: "Who talks to which server now: one entry for each open session.",
  level: "safe",
  time: "quick",
  input: v.strictObject({
    name: v.optional(v.pipe(serverName, v.description("Only this server's"))),
    ...paging,
  }),
  output: output({
    sessions: v.array(
      v.object({
        session: v.string(),
        server: v.string(),
        kind: v.pipe(v.string(), v.description("front: a stdio client; tcp, http; manager: tool calls over REST")),
        since: v.string(),
      }),
    ),
    ...paged,
  }),
  example: {},
  async handle({ name, ...asked }, call) {
    const door = await call.servers();
    // An unknown name is told from one that nobody uses.
    if (name !== undefined) await door.server(name, { deadline: call.deadline });
    const all = await door.sessions({ deadline: call.deadline });
    const { items, ...rest } = page(
      all.filter(({ server }) => name === undefined || server === name),
      asked,
    );
    return {
      sessions: items.map(({ session, server, kind, since }) => ({ session, server, kind, since: isoTime(since) })),
      ...rest,
    };
  },
  text: ({ sessions, total }) =>
    [
      `${total} sessions`,
      ...sessions.map(({ server, kind, since, session }) => `${server}  ${kind}  since ${since}  ${session}`),
    ].join("\n"),
});

export const serverEventsTool = tool({
  name: "server_events",
  category: "servers",
  title: "Events of servers",
  description:
    "What has happened to servers and sessions lately, oldest first: starts, stops, failures with their reasons, cleanups.",
  level: "safe",
  time: "quick",
  input: v.strictObject({
    name: v.optional(v.pipe(serverName, v.description("Only this server's"))),
    limit: v.optional(
      v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(EVENTS_MAX), v.description("The newest so many")),
      EVENTS,
    ),
  }),
  output: output({
    events: v.array(
      v.object({ at: v.string(), kind: v.string(), server: v.optional(v.string()), message: v.string() }),
    ),
  }),
  example: { limit: 20 },
  async handle({ name, limit }, call) {
    const door = await call.servers();
    const found = await door.events(name === undefined ? limit : EVENTS_MAX, { deadline: call.deadline });
    const wanted = found.filter(({ server }) => name === undefined || server === name);
    // Events outlive their server; of a name that never was there are none.
    if (name !== undefined && wanted.length === 0) await door.server(name, { deadline: call.deadline });
    return {
      events: wanted.slice(-limit).map(({ at, kind, server, message }) => ({
        at: isoTime(at),
        kind,
        ...(server === undefined ? {} : { server }),
        message,
      })),
    };
  },
  text: ({ events }) => events.map(({ at, kind, message }) => `${at} ${kind}: ${message}`).join("\n") || "No events.",
});

const item = v.object({
  kind: v.picklist(["container", "network"]),
  id: v.string(),
  name: v.string(),
  why: v.string(),
});

const cleanupInput = v.strictObject({
  force: v.optional(v.pipe(v.boolean(), v.description("Also orphans that do not answer")), false),
  image: v.optional(
    v.pipe(imageRef, v.description("With force: also containers of this image that Linkspan has not made")),
  ),
});

export const cleanupTool = tool({
  name: "cleanup",
  category: "servers",
  title: "Remove leftovers",
  description:
    "Removes containers and networks of servers whose manager is gone, and servers that nobody has used for too long. What is in use stays, and so does every container that is none of Linkspan's.",
  level: "destructive",
  time: "long",
  input: cleanupInput,
  output: output({ removed: v.array(item), failed: v.array(item), kept: v.number() }),
  example: {},
  async plan(asked, call) {
    const { removed } = await clean(asked, true, await call.servers(), call);
    const objects = removed.map(({ kind, id, name, why }): Planned => ({ kind, id, name, detail: why }));
    return { summary: `Remove ${objects.length} things that nobody uses.`, objects };
  },
  async handle(asked, call) {
    const { removed, failed, kept } = await clean(asked, false, await call.servers(), call);
    return { removed, failed, kept };
  },
  failed: ({ failed }) => failed.length > 0,
  text: ({ removed, failed, kept }) =>
    [
      `${removed.length} removed, ${failed.length} could not be removed, ${kept} kept`,
      ...[...removed, ...failed].map(({ name, kind, why }) => `${name} (${kind}): ${why}`),
    ].join("\n"),
});

function clean(
  { force, image }: v.InferOutput<typeof cleanupInput>,
  dryRun: boolean,
  door: ServersDoor,
  { deadline, confirmed }: ToolCall,
) {
  const only = confirmed?.objects.map(({ id }) => id);
  const body = { dryRun, force, ...(image === undefined ? {} : { image }), ...(only ? { only } : {}) };
  return door.cleanup(body, { deadline });
}

export const serverStatusTool = tool({
  name: "server_status",
  category: "servers",
  title: "Status of the manager",
  description:
    "The whole at a glance: the manager of the servers, how many servers there are in which state, sessions, and what cleanup would remove.",
  level: "safe",
  time: "quick",
  input: v.strictObject({}),
  output: output({
    version: v.string(),
    runtime: v.string(),
    since: v.string(),
    ready: v.boolean(),
    reason: v.optional(v.string()),
    memory_bytes: v.number(),
    servers: v.record(v.string(), v.number()),
    sessions: v.number(),
    containers_running: v.number(),
    volumes: v.optional(v.number()),
    leftovers: v.optional(v.pipe(v.array(item), v.description("Absent where the engine does not answer"))),
  }),
  example: {},
  async handle(_, call) {
    const found = await (await call.servers()).status({ deadline: call.deadline });
    const { version, runtime, since, ready, reason, memoryBytes } = found.manager;
    return {
      version,
      runtime,
      since: isoTime(since),
      ready,
      ...(reason === undefined ? {} : { reason }),
      memory_bytes: memoryBytes,
      servers: Object.fromEntries(Object.entries(found.servers).map(([state, count]) => [state, count ?? 0])),
      sessions: found.sessions,
      containers_running: found.containers.running,
      ...(found.volumes === undefined ? {} : { volumes: found.volumes }),
      ...(found.orphans === undefined ? {} : { leftovers: found.orphans }),
    };
  },
  text: ({ version, runtime, ready, reason, servers, sessions, leftovers = [] }) =>
    [
      `Linkspan ${version} (${runtime}) is ${ready ? "ready" : `not ready: ${reason}`}`,
      `servers: ${
        Object.entries(servers)
          .map(([state, count]) => `${count} ${state}`)
          .join(", ") || "none"
      }`,
      `${sessions} sessions, ${leftovers.length} leftovers`,
    ].join("\n"),
});
