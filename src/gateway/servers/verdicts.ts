/**
 * Which eras servers speak, by what they are made from. It outlives the manager, so that nobody is started in vain after a
 * restart; what a server has said of itself does not, since another image may be behind the same words by then. A start
 * is a test of it either way (eras.ts).
 */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { replaceFile } from "../../base/files.ts";
import type { Description, Era } from "../exchange.ts";

/** What is not there fails loudly when it is used; that a newer era is there is seen only by asking again. */
const LEGACY_ONLY_MS = 24 * 3_600_000;
const VERDICT_MS = 7 * LEGACY_ONLY_MS;
const VERDICTS_MAX = 1_024;

type Finding = Description | "yes" | "no";

export interface Verdict {
  legacy?: Finding;
  modern?: Finding;
  /** When it was found out, monotonic. */
  at: number;
}

const era = v.optional(v.picklist(["yes", "no"]));
const file = v.strictObject({
  version: v.literal(1),
  /** `at`: Unix time in milliseconds. */
  verdicts: v.array(v.object({ identity: v.string(), at: v.number(), legacy: era, modern: era })),
});

export class Verdicts {
  private readonly known = new Map<string, Verdict>();

  /** Without a path they are kept in memory only. */
  constructor(private readonly path?: string) {
    if (path !== undefined) this.read(path);
  }

  get(identity: string): Verdict | undefined {
    const verdict = this.known.get(identity);
    if (!verdict) return undefined;
    const ageMs = performance.now() - verdict.at;
    if (ageMs < (verdict.modern === "no" ? LEGACY_ONLY_MS : VERDICT_MS)) return verdict;
    this.known.delete(identity);
    return undefined;
  }

  note(identity: string, era: Era, finding: Description | "no"): void {
    const before = this.get(identity);
    this.known.delete(identity);
    this.known.set(identity, { at: performance.now(), ...before, [era]: finding });
    const [oldest] = this.known.keys();
    if (this.known.size > VERDICTS_MAX && oldest !== undefined) this.known.delete(oldest);
    if (shortOf(before?.[era]) !== shortOf(finding)) this.write();
  }

  drop(identity: string): void {
    if (this.known.delete(identity)) this.write();
  }

  private read(path: string): void {
    try {
      const { verdicts } = v.parse(v.pipe(v.string(), v.parseJson(), file), readFileSync(path, "utf8"));
      for (const { identity, at, legacy, modern } of verdicts.slice(-VERDICTS_MAX)) {
        // A clock that was set back makes nothing younger than it is now.
        const found = performance.now() - Math.max(0, Date.now() - at);
        this.known.set(identity, { at: found, ...(legacy ? { legacy } : {}), ...(modern ? { modern } : {}) });
      }
    } catch {
      // None yet, or none that can be read: it is found out anew.
    }
  }

  private write(): void {
    if (this.path === undefined) return;
    const now = Date.now() - performance.now();
    const verdicts = [...this.known].map(([identity, { at, legacy, modern }]) => {
      return { identity, at: Math.round(now + at), legacy: shortOf(legacy), modern: shortOf(modern) };
    });
    try {
      replaceFile(this.path, JSON.stringify({ version: 1, verdicts }));
    } catch {
      // A full disk: after the manager's end it is found out anew.
    }
  }
}

function shortOf(finding: Finding | undefined): "yes" | "no" | undefined {
  return typeof finding === "object" ? "yes" : finding;
}
