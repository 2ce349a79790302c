/**
 * The first words with a server process, which fix its era for good. Modern: `server/discover`, also where the era is
 * known, because servers of the legacy era have been seen to carry out a modern `tools/call` that came first. Legacy:
 * `initialize`.
 */
import { isRecord } from "../clients/message.ts";
import * as v from "valibot";
import type { Deadline } from "../../base/deadline.ts";
import { isTooDeep } from "../../base/depth.ts";
import { Fault, isFaultKind } from "../../base/fault.ts";
import { VERSION } from "../../base/version.ts";
import type { Client, Description, Era, Params, RpcError } from "../exchange.ts";
import { META } from "../clients/meta.ts";
import type { Answer, Conversation } from "./conversation.ts";

export const MODERN_VERSION = "2026-07-28";
/** What we ask for, and what we take. */
const LEGACY_VERSION = "2025-11-25";
const LEGACY_VERSIONS: ReadonlySet<string> = new Set([
  "2024-10-07",
  "2024-11-05",
  "2025-03-26",
  "2025-06-18",
  LEGACY_VERSION,
]);
const OURSELVES = { name: "linkspan", version: VERSION };

/** It has answered `initialize`: an answer to what came before would be there by now. */
const OVERDUE_MS = 500;

/** The server has answered, or ended, in a way that means that it does not speak this era. */
export class Refused extends Error {
  override readonly name = "Refused";

  constructor(
    readonly era: Era,
    readonly fault: Fault,
  ) {
    super(fault.message);
  }
}

/** It speaks this era, but was asked in both while it was slow: this process must not be used. */
export class Spoiled extends Error {
  override readonly name = "Spoiled";
}

const initialized = v.looseObject({
  protocolVersion: v.string(),
  capabilities: v.optional(v.record(v.string(), v.unknown()), {}),
  serverInfo: v.optional(v.record(v.string(), v.unknown())),
  instructions: v.optional(v.string()),
});

const discovered = v.looseObject({
  supportedVersions: v.array(v.string()),
  capabilities: v.optional(v.record(v.string(), v.unknown()), {}),
  instructions: v.optional(v.string()),
  _meta: v.optional(v.record(v.string(), v.unknown())),
});

/** What a modern client says with each request. */
export function envelope(client: Pick<Client, "info">, capabilities: Params): Params {
  return {
    [META.version]: MODERN_VERSION,
    [META.info]: client.info ?? OURSELVES,
    [META.capabilities]: capabilities,
  };
}

/** Throws `Refused`; faults: `timeout`, those of the bridge. */
export async function initialize(
  conversation: Conversation,
  capabilities: Params,
  info: Client["info"],
  deadline: Deadline,
): Promise<Description> {
  const params = { protocolVersion: LEGACY_VERSION, capabilities, clientInfo: info ?? OURSELVES };
  const work = answered("legacy", conversation.call("initialize", params));
  const result = await deadline.race("the server's answer to `initialize`", work);
  const parsed = v.safeParse(initialized, result);
  if (!parsed.success || isTooDeep(result)) throw refusal("legacy", "its answer to `initialize` is not one");
  const { protocolVersion, serverInfo, instructions } = parsed.output;
  if (!LEGACY_VERSIONS.has(protocolVersion)) {
    throw refusal("legacy", `it wants to speak ${protocolVersion.slice(0, 40)}, which nobody knows`);
  }
  conversation.notify("notifications/initialized", {});
  return {
    era: "legacy",
    serverInfo: serverInfo ?? unnamed(),
    capabilities: parsed.output.capabilities,
    instructions,
  };
}

/**
 * A server that is silent for `patienceMs` is asked in the other era, too, which tells one that is still starting from one
 * that ignores what it does not know; either way this process is of no more use. `Infinity`: it is known to speak this era. Throws `Refused`, `Spoiled`; faults: `timeout`, those of the bridge.
 */
export async function discover(
  conversation: Conversation,
  patienceMs: number,
  deadline: Deadline,
): Promise<Description> {
  const asked = conversation.call("server/discover", { _meta: envelope({ info: undefined }, {}) });
  const work = answered("modern", asked).then(discoveryOf);
  const what = "the server's answer to `server/discover`";
  if (patienceMs === Infinity) return await deadline.race(what, work);
  if (await settled(work, Math.min(patienceMs, deadline.remainingMs))) return await work;
  const params = { protocolVersion: LEGACY_VERSION, capabilities: {}, clientInfo: OURSELVES };
  const other = conversation.call("initialize", params).then(
    () => "initialize" as const,
    () => "ended" as const,
  );
  await deadline.race(what, Promise.race([other, settled(work, deadline.remainingMs)]));
  if (!(await settled(work, OVERDUE_MS))) throw refusal("modern", "it ignores `server/discover`");
  await work;
  throw new Spoiled("the server was slow, and was asked in both eras");
}

function discoveryOf(result: unknown): Description {
  const parsed = v.safeParse(discovered, result);
  if (!parsed.success || isTooDeep(result)) throw refusal("modern", "its answer to `server/discover` is not one");
  const { supportedVersions, capabilities, instructions, _meta } = parsed.output;
  if (!supportedVersions.includes(MODERN_VERSION)) {
    throw refusal("modern", `it speaks ${supportedVersions.slice(0, 8).join(", ").slice(0, 120)}`);
  }
  const serverInfo = _meta?.[META.serverInfo];
  return { era: "modern", serverInfo: isRecord(serverInfo) ? serverInfo : unnamed(), capabilities, instructions };
}

/** Whether it has an outcome within this time; it is not an error here if that is one. */
async function settled(work: Promise<unknown>, ms: number): Promise<boolean> {
  const outcome = work.then(
    () => true,
    () => true,
  );
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
  try {
    return await Promise.race([outcome, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function answered(era: Era, call: Promise<Answer>): Promise<unknown> {
  let answer: Answer;
  try {
    answer = await call;
  } catch (thrown) {
    const fault = Fault.from(thrown);
    // That it ended is how some servers say no. All else says nothing about the server.
    throw fault.kind === "server-failed" ? new Refused(era, fault) : fault;
  }
  if ("result" in answer) return answer.result.value;
  throw ofBridge(era, answer.error) ?? refusal(era, `it answered: ${answer.error.message} (${answer.error.code})`);
}

/** The bridge answers for a server that has ended, and where it cannot take a request. */
function ofBridge(era: Era, { message, data }: RpcError): Error | undefined {
  if (!isRecord(data) || typeof data.kind !== "string" || !isFaultKind(data.kind)) return undefined;
  const { kind, ...facts } = data;
  const fault = new Fault(data.kind, message, { data: facts });
  return kind === "server-failed" ? new Refused(era, fault) : fault;
}

function refusal(era: Era, why: string): Refused {
  return new Refused(era, new Fault("server-failed", `the server does not speak MCP's ${era} era: ${why}`));
}

function unnamed(): Params {
  return { name: "mcp-server", version: "0" };
}
