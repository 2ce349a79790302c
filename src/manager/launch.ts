/** From a spec to a bridge that answers: check, prepare, create, start, connect. What fails leaves nothing half-made. */
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import { LABEL, MANAGED_BY } from "../runtime/labels.ts";
import { ownerLabel } from "../runtime/owner.ts";
import type { Facts, Gap, Instance, LogLine, Ownership, Report, Runtime } from "../runtime/runtime.ts";
import { specHash } from "../runtime/spec-hash.ts";
import { bridgeToken, newNonce, seal, sha256Hex } from "./tokens.ts";

/** What all servers of a manager share. */
export interface Ground {
  runtime: Runtime;
  /** Of the data directory: what tokens are derived from. */
  key: Uint8Array;
  /** The manager's instance id. */
  instance: string;
  /** The manager's own data directory. */
  home: string;
  /** Run servers although the engine cannot keep every setting. */
  allowWeaker: boolean;
  facts(deadline: Deadline): Promise<Facts>;
}

/** The client of those that are to be there always. */
export const ALWAYS = "always";

/** Who a start is for. */
export interface Cause {
  /** Whoever asks as one client has one turn where starts have to wait for each other. */
  client: string;
  /** The session that is going to be its first; absent when somebody asked for the server by name. */
  session?: string;
}

/** The last words of a container that did not come up. */
const TAIL_LINES = 20;
const TAIL_MS = 1_500;
const TIDY_MS = 15_000;

/** Faults: `unsupported` when the engine cannot run the spec, or only weaker than it says. */
export function refuseGaps(name: string, gaps: readonly Gap[], allowWeaker: boolean): void {
  const impossible = gaps.filter(({ severity }) => severity === "impossible");
  const refused = impossible.length > 0 ? impossible : allowWeaker ? [] : gaps;
  const [first] = refused;
  if (!first) return;
  const list = refused.map(({ field, message }) => `${field}: ${message}`).join("; ");
  const hint =
    impossible.length > 0
      ? first.hint
      : `${first.hint}; to run it all the same: linkspan serve --allow-weaker, or manager.allowWeaker in linkspan.yaml`;
  throw new Fault("unsupported", `${name} cannot run here as it is declared: ${list}`, {
    hint,
    data: { gaps: refused },
  });
}

/**
 * Makes everything ready that a start needs: image, network, bridge. What runs is stopped only after that; if it fails, it
 * runs on, and whoever asked is told why.
 */
export async function prepareLaunch(ground: Ground, spec: ServerSpec, report: Report, deadline: Deadline) {
  refuseGaps(spec.name, ground.runtime.check(spec, await ground.facts(deadline)), ground.allowWeaker);
  await ground.runtime.prepare(spec, report, deadline);
}

/** Creates (or adopts) and starts. `seen` hears of the instance as soon as it exists and whenever it changes. */
export async function launch(
  ground: Ground,
  spec: ServerSpec,
  cause: Cause & { leaseMs: number },
  report: Report,
  seen: (instance: Instance) => void,
  deadline: Deadline,
): Promise<Instance> {
  const { runtime } = ground;
  await prepareLaunch(ground, spec, report, deadline);
  report({ step: "creating", detail: spec.name });
  const created = await runtime.create(spec, ownership(ground, spec, cause), deadline);
  seen(created);
  if (created.state === "running") return created;
  report({ step: "starting", detail: created.name });
  const started = await runtime.start(created.id, deadline).catch(async (error: unknown) => {
    // A container that never ran has nothing to tell: it goes, whether the engine refused it or we were cancelled.
    if (created.state === "pending") await runtime.remove(created.id, Deadline.in(TIDY_MS)).catch(() => {});
    throw error;
  });
  seen(started);
  return started;
}

/** The token of an instance's bridge: from the nonce in its label, so an adopted one answers to its own. */
export function tokenOf(ground: Ground, instance: Instance): string {
  return bridgeToken(ground.key, instance.labels[LABEL.nonce] ?? "");
}

function ownership(ground: Ground, spec: ServerSpec, { session, leaseMs }: Cause & { leaseMs: number }): Ownership {
  const nonce = newNonce();
  const now = Date.now();
  const hash = specHash(spec, ground.key);
  const { secrets, ...open } = spec;
  const labels = {
    // Ours come last: a spec cannot claim to belong to another manager.
    ...spec.labels,
    [LABEL.managedBy]: MANAGED_BY,
    [LABEL.service]: spec.name,
    // Started by name it is the manager's own, in whose processes the same form names.
    [LABEL.session]: session ?? `mcp-session-${process.ppid}-${process.pid}-${now}`,
    [LABEL.started]: String(Math.floor(now / 1000)),
    [LABEL.instance]: ground.instance,
    [LABEL.owner]: ownerLabel(ground.home),
    [LABEL.server]: spec.name,
    [LABEL.spec]: hash,
    [LABEL.lease]: leaseMs === 0 ? "none" : String(leaseMs),
    [LABEL.nonce]: nonce,
    [LABEL.sealed]: seal(ground.key, JSON.stringify({ spec: open, secrets: Object.keys(secrets) })),
  };
  return {
    instance: ground.instance,
    ...(spec.session === "container" && session !== undefined ? { session } : {}),
    specHash: hash,
    tokenSha256: sha256Hex(bridgeToken(ground.key, nonce)),
    labels,
    configured: Object.keys(secrets).length > 0,
    leaseMs,
  };
}

/** Ends what a start has left and says why it failed, with the last words of the container where there are some. */
export async function endFailed(runtime: Runtime, instance: Instance | undefined, cause: Fault): Promise<Fault> {
  if (!instance) return cause;
  const tail = await lastWords(runtime, instance.id);
  await runtime.stop(instance.id, 0, Deadline.in(TIDY_MS)).catch(() => {});
  if (tail.length === 0) return cause;
  return new Fault(cause.kind, `${cause.message}; its last words: ${tail.slice(-3).join(" | ")}`, {
    cause,
    ...(cause.hint === undefined ? {} : { hint: cause.hint }),
    data: { ...cause.data, log: tail },
  });
}

/** Why waiting for the bridge of an instance is over; undefined while it may still answer. */
export function endedFault(name: string, instance: Instance | undefined): Fault | undefined {
  if (!instance) return new Fault("server-failed", `${name} was removed before its bridge answered`);
  if (instance.state !== "ended" && instance.state !== "lost") return undefined;
  const why = instance.exit?.message ?? "it ended without a word";
  const details = instance.exit ? { data: { ...instance.exit } } : {};
  return new Fault("server-failed", `${name} ended before its bridge answered: ${why}`, details);
}

export function lostSecretsFault(name: string, secrets: readonly string[]): Fault {
  return new Fault("conflict", `the secrets of ${name} were lost with the manager's state: ${secrets.join(", ")}`, {
    hint: "Start it again with its whole definition.",
  });
}

async function lastWords(runtime: Runtime, id: string): Promise<string[]> {
  const until = Deadline.in(TAIL_MS);
  const lines: string[] = [];
  const collect = async (source: AsyncIterable<LogLine>) => {
    for await (const { text } of source) lines.push(text);
  };
  const source = async () => collect(runtime.logs(id, { tail: TAIL_LINES, follow: false, signal: until.signal }));
  await until.race("reading the log", source()).catch(() => {});
  return lines.filter((line) => line.trim() !== "").slice(-TAIL_LINES);
}
