/** What the gateway itself says, in the modern shape. Pure. */
import { Fault } from "../../base/fault.ts";
import { similar } from "../../base/similar.ts";
import { Json, type Params, type Reply } from "../exchange.ts";
import type { Member } from "./member.ts";
import type { Menu, Source } from "./menu.ts";
import { type Kind, LISTINGS } from "./offer.ts";
import type { Page } from "./pages.ts";

/** Of what all servers together say about themselves, and of what one does. */
const INSTRUCTIONS_CHARS_MAX = 16_000;
const INSTRUCTIONS_OF_ONE_CHARS_MAX = 2_000;
export const METHOD_NOT_FOUND = -32601;
export const INVALID_PARAMS = -32602;
/** What a server says about itself, and how much of it is held back. */
export interface Said {
  member: Member;
  instructions: string | undefined;
  held: number;
}

export function instructionsOf(found: readonly Said[]): string {
  let left = INSTRUCTIONS_CHARS_MAX;
  const parts: string[] = [];
  for (const { member, instructions, held } of found) {
    const text = instructions?.trim().slice(0, Math.min(left, INSTRUCTIONS_OF_ONE_CHARS_MAX)) ?? "";
    const missing = held > 0 ? heldWords(member.name) : "";
    const lines = [text, missing].filter((line) => line !== "");
    if (lines.length === 0) continue;
    left -= text.length;
    parts.push([`# ${member.name}`, ...lines].join("\n"));
  }
  return parts.join("\n\n");
}

/** For who wants to know why a list is as it is. */
export function marks(sources: readonly Source[], { held, collisions }: Menu): Params {
  const stored = sources.filter((one) => one.stored).map(({ member }) => member.name);
  const absent = sources.filter(({ offer }) => !offer).map(({ member, reason }) => [member.name, reason]);
  const colliding = [...collisions.tools, ...collisions.prompts];
  return {
    ...(stored.length > 0 ? { "linkspan/stored": stored } : {}),
    ...(absent.length > 0 ? { "linkspan/absent": Object.fromEntries(absent) } : {}),
    ...(held.size > 0 ? { "linkspan/held": [...held.keys()] } : {}),
    ...(colliding.length > 0 ? { "linkspan/collisions": Object.fromEntries(colliding) } : {}),
  };
}

export function listing(kind: Kind, { items, nextCursor }: Page, meta: Params): Reply {
  return result({
    [LISTINGS[kind].field]: items,
    ...(nextCursor === undefined ? {} : { nextCursor }),
    // Nobody else's, and true for now only.
    ttlMs: 0,
    cacheScope: "private",
    ...(Object.keys(meta).length > 0 ? { _meta: meta } : {}),
  });
}

export function result(value: Params): Reply {
  return { kind: "result", era: "modern", result: Json.of({ resultType: "complete", ...value }) };
}

export function refusal(code: number, message: string, data?: Params): Reply {
  return { kind: "error", error: { code, message, ...(data ? { data } : {}) } };
}

export function unknownTool(name: string, { tools }: Menu): Reply {
  const near = similar(name, tools.keys());
  const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
  return refusal(INVALID_PARAMS, `there is no tool ${JSON.stringify(name)}${hint}`);
}

export function collision(name: string, whose: string): Fault {
  return new Fault("conflict", `${JSON.stringify(name)} is the name of several: ${whose}`, {
    hint: "Rename one of them: gateway.tools.rename in linkspan.yaml, or the server itself.",
  });
}

/** `name`: as the client has it; `tool`: as its server does. */
export function heldBack(name: string, server: string, tool: string): Fault {
  const message = `${name} is held back: its server describes it otherwise than when it was accepted`;
  const hint = `linkspan inspect ${server} shows what has changed, linkspan approve ${server} accepts it.`;
  return new Fault("forbidden", message, { hint, data: { server, tool } });
}

/** What a client is told at its start in place of, or beside, what is held back. */
export function heldWords(server: string): string {
  return `Some of it has changed and is held back until somebody approves it: linkspan inspect ${server}`;
}
