/** What the tools about servers share. */
import * as v from "valibot";
import { name as nameSchema } from "../../model/server-spec.ts";
import { type ProgressView, type ServerView, serverState } from "../../model/views.ts";
import type { ToolCall } from "../tool.ts";

export const serverName = v.pipe(nameSchema, v.description("Its name, as list_servers shows it"));

export const serverFacts = {
  name: v.string(),
  image: v.string(),
  state: serverState,
  reason: v.optional(v.pipe(v.string(), v.description("Why it is in this state"))),
  runtime: v.pipe(v.string(), v.description("docker: a container of its own; process: none")),
  container: v.optional(v.string()),
  sessions: v.number(),
  network: v.string(),
  since: v.optional(v.pipe(v.string(), v.description("ISO 8601: when what runs was started"))),
};
const facts = v.object(serverFacts);
export type ServerFacts = v.InferOutput<typeof facts>;

/** Without addresses: nobody but Linkspan gets in there. */
export function factsOf({ name, image, state, reason, runtime, container, sessions, network, since }: ServerView) {
  return {
    name,
    image,
    state,
    ...(reason === undefined ? {} : { reason }),
    runtime,
    ...(container === undefined ? {} : { container }),
    sessions,
    network,
    ...(since === undefined ? {} : { since: isoTime(since) }),
  };
}

export function factsText({ name, state, image, sessions, reason }: ServerFacts): string {
  const users = sessions === 0 ? "" : `, ${sessions} session${sessions === 1 ? "" : "s"}`;
  return `${name}  ${state}${users}  ${image}${reason === undefined ? "" : `  (${reason})`}`;
}

/** For the manager: what it reports becomes steps of the call. */
export function progressOf({ deadline, report }: ToolCall) {
  return {
    deadline,
    report: ({ step, detail, current, total }: ProgressView) => report({ text: detail ?? step, current, total }),
  };
}

/** `ms`: Unix time. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

export function isolationNote(runtime: string): string {
  return runtime === "process"
    ? " It runs as a process of the manager's machine WITHOUT isolation, limits or a closed network: no container engine is used."
    : "";
}
