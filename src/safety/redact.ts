/**
 * The last look at everything that leaves: texts that read like credentials are replaced. Environment values never get
 * here (masked where they are read); this is for logs, output of commands, health checks, events and engine messages.
 */
import { Fault } from "../base/fault.ts";

const HIDDEN = "***";
/** Deeper answers than this are none of the engine's. */
const DEPTH_MAX = 64;

/** A word by which people call a secret, at the end of a name: `DB_PASSWORD`, `splunk-token`, `apiKey`. */
const NAMED = String.raw`(?:password|passwd|passphrase|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?)`;

/** What is hidden where nobody has said otherwise: tokens with a form of their own, and what is named as a secret. */
const STANDARD: readonly RegExp[] = [
  // GitHub, GitLab, Slack, Stripe and OpenAI, npm, AWS, Google; Docker Hub and swarm.
  /\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|[sr]k[-_](?:live|test|proj|ant)[-_]|npm_|dckr_pat_|SWMTKN-)[\w-]{10,}/g,
  /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g,
  /\bAIza[\w-]{35}\b/g,
  // JSON Web Tokens; keys in PEM, as far as they are there.
  /\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*/g,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /(?<=\b(?:Bearer|Basic)\s)[\w.~+/-]{8,}=*/gi,
  // The password of a URL.
  /(?<=\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/@]{0,256}:)[^\s/@]{1,256}(?=@)/gi,
  new RegExp(String.raw`(?<=\b[\w.-]{0,64}${NAMED}["']?\s{0,3}[=:]\s{0,3}["']?)[^\s"',;&]+`, "gi"),
];
const SECRET_KEY = new RegExp(`${NAMED}$`, "i");

export class Redaction {
  private readonly patterns: readonly RegExp[];

  /** `more`: beside the standard ones. */
  constructor(more: readonly RegExp[]) {
    this.patterns = [...STANDARD, ...more];
  }

  text(text: string): string {
    return this.patterns.reduce((shown, pattern) => shown.replace(pattern, HIDDEN), text);
  }

  outcome<T extends { structured: Record<string, unknown>; text: string }>(outcome: T): T {
    return { ...outcome, structured: this.record(outcome.structured, 0), text: this.text(outcome.text) };
  }

  /** The same fault, of which nothing tells more than it may. */
  fault(thrown: unknown): Fault {
    const { kind, message, hint, data } = Fault.from(thrown);
    return new Fault(kind, this.text(message), {
      ...(hint === undefined ? {} : { hint: this.text(hint) }),
      ...(data === undefined ? {} : { data: this.record(data, 0) }),
      cause: thrown,
    });
  }

  private record(record: object, depth: number): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(record).map(([key, value]) => [
        key,
        typeof value === "string" && value !== "" && SECRET_KEY.test(key) ? HIDDEN : this.value(value, depth + 1),
      ]),
    );
  }

  private value(value: unknown, depth: number): unknown {
    if (typeof value === "string") return this.text(value);
    if (typeof value !== "object" || value === null) return value;
    if (depth > DEPTH_MAX) return HIDDEN;
    return Array.isArray(value) ? value.map((one) => this.value(one, depth + 1)) : this.record(value, depth);
  }
}
