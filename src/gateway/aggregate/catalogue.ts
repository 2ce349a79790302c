/**
 * What each server offers, kept over its end and over the manager's: so that nobody waits for a server that does not run,
 * is slow, or hangs. It is what a fresh session of the server offers, and not what one client's session has become.
 *
 * One small file per spec hash. Losing one costs a look at the server.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { Deadline, sleep } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { replaceFile } from "../../base/files.ts";
import type { Log } from "../../base/log.ts";
import { VERSION } from "../../base/version.ts";
import type { Client } from "../exchange.ts";
import type { Member } from "./member.ts";
import { faultOf, type Kind, KINDS, type Offer, offer, profileOf, surveyed } from "./offer.ts";

/** Files that are kept, and offers in memory; the longest unused go first. */
const FILES_MAX = 1_024;
const FILE_CHARS_MAX = 8 * 1024 * 1024;
/** Kinds of clients of one server. */
const PROFILES_MAX = 4;
/** A server that has not told by then what it offers is asked again at the next occasion. */
const SURVEY_MS = 60_000;
/** Servers that are looked at at the same time; one that is slow gives its place to the next. */
const SURVEYS_MAX = 8;
const SLOW_MS = 5_000;
/** One that has failed is left alone for so long. */
const REST_MS = 30_000;

const file = v.strictObject({
  version: v.literal(1),
  spec: v.string(),
  /** The newest last. */
  offers: v.array(v.object({ profile: v.string(), offer })),
});
type Entry = v.InferOutput<typeof file>;

export interface Found {
  offer: Offer;
  /** The kind of clients that it was made to. */
  profile: string;
}

interface Survey {
  startedAt: number;
  done: Promise<Offer>;
}

type Listener = (member: string, kinds: ReadonlySet<Kind>) => void;

export class Catalogue {
  private readonly entries = new Map<string, Entry>();
  private readonly surveys = new Map<string, Survey>();
  private readonly failures = new Map<string, { at: number; fault: Fault }>();
  private readonly listeners = new Set<Listener>();
  private running = 0;
  private readonly queue: (() => void)[] = [];

  constructor(
    private readonly folder: string,
    private readonly log: Log,
    private readonly surveyMs = SURVEY_MS,
  ) {}

  /** What clients of this kind are offered; else what others were. */
  find(member: Member, profile: string): Found | undefined {
    const offers = this.entryOf(member)?.offers ?? [];
    const exact = offers.find((one) => one.profile === profile);
    const era = profile.split("+")[0] ?? "";
    return exact ?? offers.findLast((one) => one.profile.startsWith(era)) ?? offers.at(-1);
  }

  /** Why nothing is known of it, if that is known. */
  failure(member: Member): Fault | undefined {
    return this.failures.get(keyOf(member))?.fault;
  }

  learn(member: Member, profile: string, found: Offer): void {
    const entry = this.entryOf(member) ?? { version: 1, spec: member.spec, offers: [] };
    const before = entry.offers.find((one) => one.profile === profile)?.offer ?? entry.offers.at(-1)?.offer;
    const known = entry.offers.some((one) => one.profile === profile);
    const kinds = new Set(KINDS.filter((kind) => !Bun.deepEquals(before?.[kind] ?? [], found[kind])));
    if (known && kinds.size === 0 && Bun.deepEquals(before?.description, found.description)) return;
    const others = entry.offers.filter((one) => one.profile !== profile);
    entry.offers = [...others, { profile, offer: found }].slice(-PROFILES_MAX);
    this.remember(member, entry);
    if (!member.own) this.write(entry);
    for (const listener of this.listeners) listener(member.id, kinds);
  }

  /**
   * Asks the server itself, in a session of its own; whoever asks at the same time gets the same answer. Rejects with the
   * last failure for a while after it.
   */
  survey(member: Member, client: Pick<Client, "era" | "capabilities">): Survey {
    const key = `${keyOf(member)} ${profileOf(client)}`;
    const running = this.surveys.get(key);
    if (running) return running;
    const failed = this.failures.get(keyOf(member));
    if (failed && performance.now() - failed.at < REST_MS)
      return { startedAt: failed.at, done: rejected(failed.fault) };
    const survey = { startedAt: performance.now(), done: this.look(member, client) };
    this.surveys.set(key, survey);
    survey.done.then(
      (found) => {
        this.surveys.delete(key);
        this.failures.delete(keyOf(member));
        this.learn(member, profileOf(client), found);
      },
      (error) => {
        this.surveys.delete(key);
        const fault = faultOf(error);
        this.failures.set(keyOf(member), { at: performance.now(), fault });
        for (const key of this.failures.keys()) if (this.failures.size > FILES_MAX) this.failures.delete(key);
        this.log.warn("a server does not say what it offers", { server: member.name, reason: fault.message });
      },
    );
    return survey;
  }

  /** It may be able to answer now: it is asked at once, though it has just failed. */
  again(member: Member, client: Pick<Client, "era" | "capabilities">): void {
    this.failures.delete(keyOf(member));
    this.survey(member, client).done.catch(() => {});
  }

  /** Called when a server turns out to offer something else. Returns how to stop that. */
  onChange(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  private async look(member: Member, { era, capabilities }: Pick<Client, "era" | "capabilities">): Promise<Offer> {
    await this.place();
    let left = false;
    const leave = () => {
      if (left) return;
      left = true;
      this.running -= 1;
      this.queue.shift()?.();
    };
    const slow = setTimeout(leave, SLOW_MS);
    const info = { name: "linkspan", version: VERSION };
    const attachment = member.upstream.attach({ era, principal: "linkspan:survey", info, capabilities });
    try {
      const deadline = Deadline.in(this.surveyMs);
      return await deadline.race(`asking ${member.name} what it offers`, surveyed(attachment, capabilities, deadline));
    } finally {
      clearTimeout(slow);
      leave();
      void attachment.close().catch(() => {});
    }
  }

  private async place(): Promise<void> {
    while (this.running >= SURVEYS_MAX) await new Promise<void>((resolve) => this.queue.push(resolve));
    this.running += 1;
  }

  private entryOf(member: Member): Entry | undefined {
    const key = keyOf(member);
    const known = this.entries.get(key);
    if (known || member.own) return known;
    const stored = this.read(member.spec);
    if (stored) this.remember(member, stored);
    return stored;
  }

  private remember(member: Member, entry: Entry): void {
    this.entries.delete(keyOf(member));
    this.entries.set(keyOf(member), entry);
    for (const key of this.entries.keys()) if (this.entries.size > FILES_MAX) this.entries.delete(key);
  }

  private read(spec: string): Entry | undefined {
    try {
      const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), file), readFileSync(this.path(spec), "utf8"));
      return parsed.success && parsed.output.spec === spec ? parsed.output : undefined;
    } catch {
      return undefined;
    }
  }

  private write(entry: Entry): void {
    try {
      let text = JSON.stringify(entry);
      if (text.length > FILE_CHARS_MAX) text = JSON.stringify({ ...entry, offers: entry.offers.slice(-1) });
      if (text.length > FILE_CHARS_MAX) return;
      mkdirSync(this.folder, { recursive: true, mode: 0o700 });
      replaceFile(this.path(entry.spec), text);
      const names = readdirSync(this.folder);
      if (names.length <= FILES_MAX) return;
      const age = (name: string) => statSync(join(this.folder, name)).mtimeMs;
      const oldest = names.map((name) => ({ name, at: age(name) })).toSorted((a, b) => a.at - b.at);
      for (const { name } of oldest.slice(0, names.length - FILES_MAX))
        rmSync(join(this.folder, name), { force: true });
    } catch {
      // A full disk: after the manager's end this server is looked at anew.
    }
  }

  private path(spec: string): string {
    return join(this.folder, `${spec.slice(0, 32)}.json`);
  }
}

function keyOf({ id, spec }: Member): string {
  return `${id} ${spec}`;
}

function rejected(fault: Fault): Promise<never> {
  const promise = Promise.reject(fault);
  promise.catch(() => {});
  return promise;
}

/** What is left of the patience with something that began then; undefined when that is over first. */
export async function patiently<T>(work: Promise<T>, startedAt: number, patienceMs: number): Promise<T | undefined> {
  const left = new AbortController();
  const ms = Math.max(0, startedAt + patienceMs - performance.now());
  try {
    const over = sleep(ms, left.signal).then(
      () => undefined,
      () => undefined,
    );
    return await Promise.race([work.catch(() => undefined), over]);
  } finally {
    left.abort();
  }
}
