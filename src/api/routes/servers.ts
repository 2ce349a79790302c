/** Servers: what is known, what runs, starting and stopping it. */
import * as v from "valibot";
import { inspection, REQUEST_MS, START_MS, serverChange, startBody, statsView } from "../../model/rest.ts";
import { name } from "../../model/server-spec.ts";
import { serverView } from "../../model/views.ts";
import { requireDefinition } from "../../safety/definition.ts";
import { removeServer } from "../own-door.ts";
import { flag } from "../query.ts";
import { route } from "../route.ts";

const params = { name };
/** As that session sees the server: where each has a container of its own, the address of its container. */
const session = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._:-]{1,200}$/, "expected a session's id"));

export const serverRoutes = [
  route({
    method: "GET",
    path: "/servers",
    id: "servers",
    summary: "All known servers, by name",
    answers: "The servers.",
    answer: v.array(serverView),
    run: ({ manager }) => manager.servers(),
  }),
  route({
    method: "GET",
    path: "/servers/:name",
    id: "server",
    summary: "One server's state",
    params,
    query: v.strictObject({ session: v.optional(session) }),
    answers: "The server.",
    answer: serverView,
    faults: ["not-found"],
    run: ({ manager, name, query }) => manager.server(name, query.session),
  }),
  route({
    method: "GET",
    path: "/servers/:name/inspect",
    id: "inspect",
    summary: "Everything about one server: its spec with all defaults, what the engine says, its bridge's health",
    params,
    waitMs: REQUEST_MS,
    answers: "The server. Secrets and environment values are masked.",
    answer: inspection,
    faults: ["not-found", "unreachable"],
    run: async ({ manager, name, deadline }) => {
      const { raw, health, ...found } = await manager.inspect(name, deadline);
      return { ...found, ...(raw === undefined ? {} : { raw }), ...(health === undefined ? {} : { health }) };
    },
  }),
  route({
    method: "POST",
    path: "/servers/:name/start",
    id: "start",
    summary: "Start a server; with a spec as body, define it first. Idempotent",
    params,
    body: startBody,
    level: "moderate",
    tool: ({ body }) => (body ? "run_server" : "start_server"),
    waitMs: START_MS,
    progress: true,
    answers: "The server, which runs.",
    answer: serverChange,
    faults: ["not-found", "conflict", "unsupported", "server-failed", "unreachable", "exhausted"],
    run: async ({ manager, gate, name, body, report, deadline }) => {
      if (body) await requireDefinition(body, gate.safety);
      return { ...(await manager.start(name, body, report, deadline)), message: "server started" };
    },
  }),
  route({
    method: "POST",
    path: "/servers/:name/stop",
    id: "stop",
    summary: "Stop a server. Idempotent",
    params,
    level: "moderate",
    tool: "stop_server",
    waitMs: REQUEST_MS,
    answers: "The server, which does not run. Its container stays, for its logs.",
    answer: serverChange,
    faults: ["not-found", "unreachable"],
    run: async ({ manager, name, deadline }) => ({
      ...(await manager.stop(name, deadline)),
      message: "server stopped",
    }),
  }),
  route({
    method: "POST",
    path: "/servers/:name/restart",
    id: "restart",
    summary: "Stop a server, if it runs, and start it",
    params,
    level: "moderate",
    tool: "restart_server",
    waitMs: START_MS,
    progress: true,
    answers: "The server, which runs.",
    answer: serverChange,
    faults: ["not-found", "unsupported", "server-failed", "unreachable", "exhausted"],
    run: async ({ manager, name, report, deadline }) => ({
      ...(await manager.restart(name, report, deadline)),
      message: "server restarted",
    }),
  }),
  route({
    method: "DELETE",
    path: "/servers/:name",
    id: "remove",
    summary: "Stop a server, remove its container and forget it, unless the configuration file names it",
    params,
    /** Its definition stays, so that a start brings it back. */
    query: v.strictObject({ keep: v.optional(flag, "false") }),
    level: "destructive",
    tool: "remove_server",
    waitMs: REQUEST_MS,
    answers: "It is gone.",
    faults: ["not-found", "unreachable"],
    run: async ({ manager, calls, metrics, name, query, deadline }) => {
      await removeServer({ manager, calls, metrics }, name, deadline, query.keep);
      return undefined;
    },
  }),
  route({
    method: "GET",
    path: "/servers/:name/stats",
    id: "stats",
    summary: "Memory, CPU and processes of a running server",
    params,
    waitMs: REQUEST_MS,
    answers: "The figures now.",
    answer: statsView,
    faults: ["not-found", "conflict", "unsupported", "unreachable"],
    run: ({ manager, name, deadline }) => manager.stats(name, deadline),
  }),
];
