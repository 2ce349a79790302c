/**
 * Access tokens: kept as digests, found by them. A digest of 32 random bytes needs no salt and no slow hash, and finding it
 * in a map tells nobody how far a guess was right.
 */
import type { Database } from "bun:sqlite";
import { createHash, randomBytes } from "node:crypto";
import * as v from "valibot";
import { abortAt } from "../base/expiry.ts";
import { Fault } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import { similar } from "../base/similar.ts";
import { type TokenBody, type TokenMade, type TokenView, tokenView } from "../model/tokens.ts";

/** So that scanners for leaked secrets can know one. */
const PREFIX = "lsp_";
const SECRET_BYTES = 32;
const TOKENS_MAX = 1_000;
/** The last use is written this often, so that calls do not wait for the disk. */
const USE_MS = 60_000;

const row = v.object({ digest: v.string(), view: v.pipe(v.string(), v.parseJson(), tokenView) });

/** What a token lets its holder do. */
export interface TokenGrant {
  /** Never given to another token, also not to one of the same name. */
  id: string;
  servers: readonly string[];
  tools: readonly string[];
  readOnly: boolean;
  /** Aborts when it is revoked or has expired. */
  ended: AbortSignal;
}

interface Entry {
  digest: string;
  view: TokenView;
  grant: TokenGrant;
  controller: AbortController;
  storedUseAt: number;
}

export class AccessTokens {
  private readonly byDigest = new Map<string, Entry>();

  /** Never fails: what cannot be read lets nobody in. */
  constructor(
    private readonly database: Database,
    private readonly log: Log,
  ) {
    try {
      database.run("CREATE TABLE IF NOT EXISTS tokens (digest TEXT PRIMARY KEY, view TEXT NOT NULL) STRICT");
      for (const found of database.query("SELECT digest, view FROM tokens").all()) {
        const parsed = v.safeParse(row, found);
        if (parsed.success) this.add(parsed.output.digest, parsed.output.view);
        else log.warn("a stored access token cannot be read and is not valid any more");
      }
    } catch (error) {
      log.error("access tokens cannot be read", { reason: Fault.from(error).message });
    }
  }

  /** Oldest first. */
  list(): TokenView[] {
    return [...this.byDigest.values()].map(({ view }) => view).sort((a, b) => a.createdAt - b.createdAt);
  }

  /** Faults: `conflict` for a name that is taken, `exhausted`, `unreachable` where it cannot be kept. */
  create({ name, servers = [], tools = [], readOnly, expires }: TokenBody): TokenMade {
    if (this.find(name)) {
      throw new Fault("conflict", `there is a token named ${name} already`, {
        hint: `Choose another name, or revoke it first: linkspan token revoke ${name}`,
      });
    }
    if (this.byDigest.size >= TOKENS_MAX) throw new Fault("exhausted", `there are ${TOKENS_MAX} tokens already`);
    const token = PREFIX + randomBytes(SECRET_BYTES).toString("base64url");
    const digest = digestOf(token);
    const createdAt = Date.now();
    const expiresAt = expires === undefined ? {} : { expiresAt: createdAt + expires };
    const view: TokenView = { name, servers, tools, readOnly, createdAt, ...expiresAt };
    this.store(`the token ${name} cannot be kept`, () => this.write(digest, view));
    this.add(digest, view);
    return { ...view, token };
  }

  /** Whoever uses it is cut off. Faults: `not-found`; `unreachable` when the disk would bring it back. */
  revoke(name: string): void {
    const entry = this.find(name);
    if (!entry) {
      const [close] = similar(
        name,
        this.list().map((one) => one.name),
        1,
      );
      throw new Fault("not-found", `there is no token named ${name}`, {
        hint: close === undefined ? "linkspan token ls lists them." : `Did you mean ${close}?`,
      });
    }
    this.byDigest.delete(entry.digest);
    entry.controller.abort();
    this.store(`the token ${name} is revoked until this manager ends, and then valid again`, () =>
      this.database.query("DELETE FROM tokens WHERE digest = ?").run(entry.digest),
    );
  }

  /** What the token allows; undefined when there is none, or none any more. Takes note of its use. */
  grant(token: string): TokenGrant | undefined {
    const entry = this.byDigest.get(digestOf(token));
    if (!entry || entry.controller.signal.aborted || expired(entry.view)) return undefined;
    const now = Date.now();
    entry.view.usedAt = now;
    if (now - entry.storedUseAt >= USE_MS) this.keepUse(entry, now);
    return entry.grant;
  }

  /** Writes what is not written yet; the database is closed by its owner. */
  flush(): void {
    for (const entry of this.byDigest.values()) {
      if (entry.view.usedAt !== undefined && entry.view.usedAt > entry.storedUseAt) {
        this.keepUse(entry, entry.view.usedAt);
      }
    }
  }

  private find(name: string): Entry | undefined {
    return [...this.byDigest.values()].find(({ view }) => view.name === name);
  }

  private add(digest: string, view: TokenView): void {
    const controller = new AbortController();
    if (view.expiresAt !== undefined) abortAt(controller, view.expiresAt);
    const { servers, tools, readOnly } = view;
    const grant = { id: digest.slice(0, 16), servers, tools, readOnly, ended: controller.signal };
    this.byDigest.set(digest, { digest, view, grant, controller, storedUseAt: view.usedAt ?? 0 });
  }

  private keepUse(entry: Entry, now: number): void {
    entry.storedUseAt = now;
    try {
      this.write(entry.digest, entry.view);
    } catch (error) {
      this.log.warn("the use of a token cannot be kept", { reason: Fault.from(error).message });
    }
  }

  private write(digest: string, view: TokenView): void {
    this.database
      .query("INSERT INTO tokens (digest, view) VALUES (?, ?) ON CONFLICT (digest) DO UPDATE SET view = excluded.view")
      .run(digest, JSON.stringify(view));
  }

  private store(otherwise: string, work: () => void): void {
    try {
      work();
    } catch (cause) {
      throw new Fault("unreachable", otherwise, { cause, hint: "The state cannot be written: is the disk full?" });
    }
  }
}

function expired({ expiresAt }: TokenView): boolean {
  return expiresAt !== undefined && expiresAt <= Date.now();
}

function digestOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
