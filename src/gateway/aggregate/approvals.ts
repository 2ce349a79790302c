/**
 * Trust on first use: the tools of a server are remembered as they were when it was first asked, and one that changes
 * later is held back until somebody has looked at it. A server that is defined anew begins anew; so does nothing else.
 *
 * One small file per server. Without a writable disk the first use is that of this manager.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { replaceFile } from "../../base/files.ts";
import type { Log } from "../../base/log.ts";
import { similar } from "../../base/similar.ts";
import type { ApprovalBody, ApprovalPolicy, ApprovalView, PendingTool } from "../../model/approval.ts";
import { definitionHash, definitionOf, differences, differInResultsOnly, hiddenIn } from "./definition.ts";
import type { Member } from "./member.ts";
import { idOf, type Item } from "./offer.ts";

/** Of one tool: a server may describe it otherwise in another era. The oldest goes first. */
const ACCEPTED_MAX = 4;
/** Tools that are remembered of one server; what comes after is held back as new. */
const TOOLS_MAX = 4_000;
const PROFILES_MAX = 32;
/** What a server says about itself, as if it were a tool. */
export const INSTRUCTIONS = "(instructions)";

const change = v.picklist(["changed", "added", "flagged"]);
const item = v.record(v.string(), v.unknown());
/** By the names of tools. Valibot's own records leave out what is called `constructor` or the like. */
const byTool = <T extends v.GenericSchema>(of: T) =>
  v.custom<Record<string, v.InferOutput<T>>>(
    (value) => typeof value === "object" && value !== null && Object.values(value).every((one) => v.is(of, one)),
  );
const record = v.strictObject({
  version: v.literal(1),
  spec: v.string(),
  /** Kinds of clients for whom it was asked: what it shows only to a new kind is no change. */
  profiles: v.array(v.string()),
  accepted: byTool(v.object({ hashes: v.array(v.string()), last: item })),
  pending: byTool(v.object({ hash: v.string(), now: item, change })),
});
type Record_ = v.InferOutput<typeof record>;

export interface ApprovalRules {
  policy: ApprovalPolicy;
  /** By server. */
  servers: Readonly<Record<string, ApprovalPolicy>>;
}

/** What of an offer is words for a model. */
export interface Words {
  instructions: string | undefined;
  /** Undefined: nobody has asked for them yet, so that this is not the first use. */
  tools: readonly Item[] | undefined;
}

/** Whoever has seen what has this digest has seen every form that is pending. */
function digestOf(pending: Record_["pending"]): string {
  const forms = Object.entries(pending).map(([tool, { hash }]) => JSON.stringify([tool, hash]));
  if (forms.length === 0) return "";
  return createHash("sha256").update(forms.toSorted().join("\n")).digest("hex").slice(0, 16);
}

/** Whose words they are. */
export type Speaker = Pick<Member, "name" | "own" | "spec">;

export class Approvals {
  /** Another one means that what is held back may be another. */
  revision = 0;
  private readonly known = new Map<string, Record_>();
  private readonly listeners = new Set<(server: string) => void>();

  constructor(
    private readonly folder: string,
    private readonly rules: ApprovalRules,
    private readonly log: Log,
    /** Hears of what is held back, once. */
    private readonly report: (server: string, message: string) => void = () => {},
  ) {}

  policyOf({ name, own }: Pick<Speaker, "name" | "own">): ApprovalPolicy {
    return own ? "off" : (this.rules.servers[name] ?? this.rules.policy);
  }

  /** Takes note of what the server offers now, and says which tools are to be held back. Never throws. */
  held(member: Speaker, profile: string, { instructions, tools }: Words): ReadonlySet<string> {
    const policy = this.policyOf(member);
    if (policy === "off") return NONE;
    const known = this.entryOf(member);
    const first = !known.profiles.includes(profile);
    const isUse = !first || tools !== undefined;
    const entry = isUse ? known : structuredClone(known);
    const news: string[] = [];
    const seen = new Map((tools ?? []).map((tool) => [idOf("tools", tool), tool]));
    if (instructions !== undefined) seen.set(INSTRUCTIONS, { description: instructions });
    let changed = first;
    for (const [name, tool] of seen) {
      const isKnown = Object.hasOwn(entry.pending, name);
      if (!look(entry, name, tool, first)) continue;
      changed = true;
      // One that changes again and again is told of once.
      if (!isKnown && Object.hasOwn(entry.pending, name)) news.push(name);
    }
    if (first) entry.profiles = [...entry.profiles, profile].slice(-PROFILES_MAX);
    if (changed && isUse) {
      this.revision += 1;
      this.write(member.name, entry);
    }
    if (news.length > 0 && isUse) this.tell(member.name, policy, news);
    return policy === "block" ? new Set(Object.keys(entry.pending).filter((name) => seen.has(name))) : NONE;
  }

  /** Never throws: without a record nothing is accepted and nothing pending. */
  view(server: string, spec: string): ApprovalView {
    const policy = this.policyOf({ name: server, own: false });
    const entry = this.known.get(server) ?? this.read(server);
    if (entry?.spec !== spec || policy === "off") return { server, policy, accepted: 0, pending: [], digest: "" };
    const pending = Object.entries(entry.pending).map(([tool, { now, change: how }]): PendingTool => {
      const before = Object.hasOwn(entry.accepted, tool) ? entry.accepted[tool]?.last : undefined;
      return {
        tool,
        change: how,
        findings: hiddenIn(now),
        differences: how === "flagged" ? [] : differences(before, now),
      };
    });
    const digest = digestOf(entry.pending);
    return { server, policy, accepted: Object.keys(entry.accepted).length, pending, digest };
  }

  /**
   * Accepts what is pending, or those of it that are named. Faults: `not-found`; `conflict` where what is pending is not
   * what has the digest any more.
   */
  approve(server: string, spec: string, { tools, digest }: ApprovalBody = {}): ApprovalView {
    const entry = this.known.get(server) ?? this.read(server);
    const pending = entry?.spec === spec ? entry.pending : {};
    if (digest !== undefined && digest !== digestOf(pending))
      throw new Fault("conflict", `the tools of ${server} have changed again since they were looked at`, {
        hint: `linkspan inspect ${server} shows what waits for approval now.`,
      });
    for (const name of tools ?? [])
      if (!Object.hasOwn(pending, name)) throw notPending(server, name, Object.keys(pending));
    if (entry) {
      for (const name of tools ?? Object.keys(pending)) {
        const one = pending[name];
        if (one) accept(entry, name, one.now, one.hash);
        delete pending[name];
      }
      this.known.set(server, entry);
      this.revision += 1;
      this.write(server, entry);
      for (const listener of this.listeners) listener(server);
    }
    return this.view(server, spec);
  }

  /** Called with the server whose tools were approved. Returns how to stop that. */
  onApproved(listener: (server: string) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  private tell(server: string, policy: ApprovalPolicy, names: readonly string[]): void {
    const list = names.slice(0, 5).join(", ") + (names.length > 5 ? `, and ${names.length - 5} more` : "");
    const what = policy === "block" ? "held back" : "reported";
    const message = `${server}: ${list} changed since the first use and ${names.length === 1 ? "is" : "are"} ${what}; linkspan inspect ${server} shows it, linkspan approve ${server} accepts it`;
    this.log.warn("tools have changed", { server, tools: list, policy });
    this.report(server, message);
  }

  private entryOf({ name, spec }: Speaker): Record_ {
    const known = this.known.get(name) ?? this.read(name);
    const entry: Record_ = known?.spec === spec ? known : { version: 1, spec, profiles: [], accepted: {}, pending: {} };
    this.known.set(name, entry);
    return entry;
  }

  /** A server that is forgotten takes what was accepted of it along. */
  forget(server: string): void {
    this.known.delete(server);
    rmSync(this.path(server), { force: true });
  }

  private read(name: string): Record_ | undefined {
    try {
      const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), record), readFileSync(this.path(name), "utf8"));
      return parsed.success ? parsed.output : undefined;
    } catch {
      return undefined;
    }
  }

  private write(name: string, entry: Record_): void {
    try {
      mkdirSync(this.folder, { recursive: true, mode: 0o700 });
      replaceFile(this.path(name), JSON.stringify(entry));
    } catch (error) {
      this.log.error("accepted tools cannot be kept", { server: name, reason: Fault.from(error).message });
    }
  }

  private path(name: string): string {
    return join(this.folder, `${name}.json`);
  }
}

const NONE: ReadonlySet<string> = new Set();

/** True if something has to be remembered. */
function look(entry: Record_, name: string, tool: Item, first: boolean): boolean {
  const hash = definitionHash(tool);
  const accepted = Object.hasOwn(entry.accepted, name) ? entry.accepted[name] : undefined;
  const pending = Object.hasOwn(entry.pending, name) ? entry.pending[name] : undefined;
  if (accepted?.hashes.includes(hash)) {
    delete entry.pending[name];
    return pending !== undefined;
  }
  if (pending?.hash === hash) return false;
  const room = Object.keys(entry.accepted).length < TOOLS_MAX;
  const otherEra = accepted !== undefined && differInResultsOnly(accepted.last, tool);
  const trusted = (!accepted || otherEra) && !pending && first && room;
  if (trusted && hiddenIn(tool).length === 0) accept(entry, name, tool, hash);
  else
    put(entry.pending, name, {
      hash,
      now: definitionOf(tool),
      change: accepted ? "changed" : trusted ? "flagged" : "added",
    });
  return true;
}

function accept(entry: Record_, name: string, tool: Item, hash: string): void {
  const before = Object.hasOwn(entry.accepted, name) ? (entry.accepted[name]?.hashes ?? []) : [];
  put(entry.accepted, name, { hashes: [...before, hash].slice(-ACCEPTED_MAX), last: definitionOf(tool) });
}

/** Names come from servers: one called `__proto__` is a name like any other. */
function put<T>(into: Record<string, T>, name: string, value: T): void {
  Object.defineProperty(into, name, { value, enumerable: true, writable: true, configurable: true });
}

function notPending(server: string, tool: string, pending: readonly string[]): Fault {
  const near = similar(tool, pending);
  const hint =
    near.length > 0 ? `Did you mean ${near.join(" or ")}?` : `linkspan inspect ${server} shows what has changed.`;
  return new Fault("not-found", `${server} has no change of ${JSON.stringify(tool)} to approve`, { hint });
}
