/** What an MCP path leads to, and how much of it the caller gets. */
import { Fault } from "../../base/fault.ts";
import type { Gateways, Upstream } from "../../gateway/exchange.ts";
import { scoped } from "../../gateway/scope.ts";
import type { Caller } from "./callers.ts";

/** Everything, a group of it, or one server. */
export type Target = { kind: "all"; group: string | undefined } | { kind: "one"; server: string };

/** Between the name of a server and that of its tool, on `/mcp`. */
const SEPARATOR = "__";

export function targetKey(target: Target): string {
  return target.kind === "one" ? `one:${target.server}` : `all:${target.group ?? ""}`;
}

/** Faults: `not-found`, and `forbidden` for a server that the caller's credentials do not name. */
export function openTarget(gateways: Gateways, target: Target, { allow, readOnly }: Caller): Upstream {
  if (target.kind === "all") {
    return scoped(gateways.all({ group: target.group, allow }), { tools: undefined, readOnly });
  }
  const { server } = target;
  // A name that has it would be taken for a tool's.
  const named = !server.includes(SEPARATOR) && allow?.includes(server);
  if (allow === undefined || named) {
    return scoped(gateways.one(server), { tools: undefined, readOnly });
  }
  const prefix = server + SEPARATOR;
  const tools = allow.filter((one) => one.startsWith(prefix)).map((one) => one.slice(prefix.length));
  // Also where there is no such server: what is there is no business of who may not reach it.
  if (tools.length === 0) throw new Fault("forbidden", "this token does not reach the server");
  return scoped(gateways.one(server), { tools, readOnly });
}
