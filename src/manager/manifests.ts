/**
 * What servers answer to the questions by which clients begin, kept over their ends: clients that come while a server
 * starts, or its image is pulled, need not wait for that. Fronts read the answers off their sessions and bring them here.
 *
 * One small file per spec hash, and in it what the server was run from (an image's digest, a package's version). Losing
 * one costs a wait; one that was changed by hand, or torn, counts as lost.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { Deadline } from "../base/deadline.ts";
import { ANSWERS_MAX, type ManifestAnswers, manifestAnswers, type ManifestNews } from "../model/manifest.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import type { SessionRequest } from "../model/session-request.ts";
import { specHash } from "../runtime/spec-hash.ts";
import { replaceFile } from "../base/files.ts";
import type { Ground } from "./launch.ts";
import type { Registry } from "./registry.ts";
import type { Server } from "./server.ts";
import type { Sessions } from "./sessions.ts";

/** Files that are kept; the longest unused go first. */
const FILES_MAX = 128;
/** All answers of one server; the oldest go first. */
const FILE_CHARS_MAX = 4 * 1024 * 1024;
/** A client is waiting: an engine that does not answer in time is not asked what its image is. */
const LOOK_MS = 40;
const IDENTIFY_MS = 5_000;

const file = v.strictObject({
  version: v.literal(1),
  spec: v.string(),
  /** What it was run from; empty where that could not be said. */
  from: v.string(),
  answers: manifestAnswers,
});
type File = v.InferOutput<typeof file>;

interface House {
  ground: Ground;
  registry: Registry;
  books: Sessions;
}

export class Manifests {
  private readonly folder: string;
  /** By server: which instance was made from what. */
  private readonly origins = new Map<string, { id: string; from: string }>();

  constructor(private readonly house: House) {
    this.folder = join(house.ground.home, "manifests");
  }

  /** Empty where the server runs, was never seen, or would be run from something else than then. Never throws. */
  async find(request: SessionRequest): Promise<ManifestAnswers> {
    const server = this.wanted(request);
    if (!server?.spec || (server.isCurrent(server.spec) && !server.busy)) return {};
    const { spec } = server;
    const hash = specHash(spec, this.house.ground.key);
    const kept = this.read(hash);
    if (!kept) return {};
    const from = await this.identify(spec, LOOK_MS);
    return from === undefined || kept.from === "" || kept.from === from ? kept.answers : {};
  }

  /** What the server of an open session says now. Never throws: what cannot be kept is not. */
  async learn(session: string, news: ManifestNews): Promise<void> {
    const name = this.house.books.list().find((one) => one.session === session)?.server ?? "";
    const { spec, present } = this.house.registry.find(name) ?? {};
    if (!spec || !present) return;
    const hash = specHash(spec, this.house.ground.key);
    // One that runs on with an older definition teaches nothing about the new one.
    if (present.specHash !== hash) return;
    const from = await this.originOf(spec, present.id);
    const kept = this.read(hash);
    const before = kept?.from === from ? kept.answers : {};
    const answers = merged(before, news, Object.values(spec.secrets));
    if (kept?.from === from && JSON.stringify(answers) === JSON.stringify(before)) return;
    this.write({ version: 1, spec: hash, from, answers });
  }

  private wanted({ server, definition }: SessionRequest): Server | undefined {
    try {
      return this.house.registry.resolve(server, definition);
    } catch {
      // Who asks for a session hears why not.
      return undefined;
    }
  }

  /** A look at the engine for each instance, not for each session. */
  private async originOf(spec: ServerSpec, id: string): Promise<string> {
    const known = this.origins.get(spec.name);
    if (known?.id === id) return known.from;
    const from = (await this.identify(spec, IDENTIFY_MS)) ?? "";
    this.origins.set(spec.name, { id, from });
    return from;
  }

  private identify(spec: ServerSpec, ms: number): Promise<string | undefined> {
    const deadline = Deadline.in(ms);
    const identified = this.house.ground.runtime.identify(spec, deadline);
    return deadline.race("looking at the image", identified).catch(() => undefined);
  }

  private read(hash: string): File | undefined {
    try {
      const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), file), readFileSync(this.path(hash), "utf8"));
      return parsed.success && parsed.output.spec === hash ? parsed.output : undefined;
    } catch {
      return undefined;
    }
  }

  private write(content: File): void {
    try {
      mkdirSync(this.folder, { recursive: true, mode: 0o700 });
      replaceFile(this.path(content.spec), JSON.stringify(content));
      const age = (name: string) => statSync(join(this.folder, name)).mtimeMs;
      const names = readdirSync(this.folder);
      if (names.length <= FILES_MAX) return;
      const oldest = names.map((name) => ({ name, at: age(name) })).toSorted((a, b) => a.at - b.at);
      for (const { name } of oldest.slice(0, names.length - FILES_MAX))
        rmSync(join(this.folder, name), { force: true });
    } catch {
      // A full disk: clients wait for this server as they would for one that nobody has seen.
    }
  }

  private path(hash: string): string {
    return join(this.folder, `${hash.slice(0, 32)}.json`);
  }
}

/** The newest answers last, as many as there is room for, and none that repeats a secret. */
function merged(before: ManifestAnswers, news: ManifestNews, secrets: readonly string[]): ManifestAnswers {
  const all = new Map(Object.entries(before));
  for (const [question, answer] of Object.entries(news)) {
    if (answer !== null && all.get(question) === answer) continue;
    all.delete(question);
    if (answer !== null && !tells(answer, secrets)) all.set(question, answer);
  }
  let chars = 0;
  const newest = [...all].toReversed().filter(([, answer], index) => {
    chars += answer.length;
    return index < ANSWERS_MAX && chars <= FILE_CHARS_MAX;
  });
  return Object.fromEntries(newest.toReversed());
}

/** In JSON a secret may be written with escapes. */
function tells(answer: string, secrets: readonly string[]): boolean {
  return secrets.some((secret) => {
    const escaped = JSON.stringify(secret).slice(1, -1);
    return secret !== "" && (answer.includes(secret) || answer.includes(escaped));
  });
}
