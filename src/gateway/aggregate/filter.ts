/** Which part of everything a client gets. Pure. */
import type { GatewayGroup } from "../../model/gateway-section.ts";
import type { Member } from "./member.ts";
import { matches } from "./names.ts";

export type View = GatewayGroup;

/** The toolsets of a view are one member: it is they together that have one list of prompts and resources. */
export function toolsetId(names: readonly string[]): string {
  return `toolset:${[...new Set(names)].toSorted().join("+")}`;
}

function toolsetsOf(id: string): string[] {
  return id.slice("toolset:".length).split("+");
}

export function isMember(member: Member, { servers, toolsets }: Pick<View, "servers" | "toolsets">): boolean {
  if (member.own) return toolsets.length > 0 && member.id === toolsetId(toolsets);
  return servers === undefined || servers.some((pattern) => matches(pattern, member.name));
}

/** `name` as it is without being renamed. */
export function isWanted(name: string, { allow, deny }: View["tools"]): boolean {
  if (deny.some((pattern) => matches(pattern, name))) return false;
  return allow === undefined || allow.some((pattern) => matches(pattern, name));
}

/**
 * Whether the scopes of a token take in the whole server. No server's name can mean the toolsets; of these, every one of the
 * view has to be named, since they are one list of prompts and resources.
 */
export function mayUse(member: Member, scopes: readonly string[] | undefined): boolean {
  if (scopes === undefined || scopes.includes("*")) return true;
  if (member.own) return toolsetsOf(member.id).every((name) => scopes.includes(`toolset:${name}`));
  // A server called a__b is not what a scope for the tool b of a means.
  return !member.id.includes("__") && scopes.includes(member.id);
}

/** Whether they take in this one of its tools, by the name that it has without being renamed. */
export function mayCall(member: Member, exposed: string, scopes: readonly string[] | undefined): boolean {
  if (mayUse(member, scopes)) return true;
  const patterns = (scopes ?? []).filter((scope) => mayMean(scope, member));
  return patterns.some((scope) => (scope.endsWith("*") ? exposed.startsWith(scope.slice(0, -1)) : scope === exposed));
}

/** Whether anything of it can be reached with these scopes. */
export function mayMeet(member: Member, scopes: readonly string[] | undefined): boolean {
  if (mayUse(member, scopes)) return true;
  return (scopes ?? []).some((scope) => mayMean(scope, member));
}

/** Whether the scope can be for a tool of this member. */
function mayMean(scope: string, { prefix }: Member): boolean {
  const isPattern = scope.endsWith("*");
  // A plain name could be a server's.
  if (!scope.includes("__") && !isPattern) return false;
  if (prefix === undefined) return true;
  const start = `${prefix}__`;
  const wanted = isPattern ? scope.slice(0, -1) : scope;
  if (wanted.startsWith(start)) return true;
  // All that begin so; but all tools of a are none of the server a__b.
  return isPattern && !wanted.includes("__") && start.startsWith(wanted);
}
