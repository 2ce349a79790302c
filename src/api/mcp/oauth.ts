/**
 * Linkspan as an OAuth 2.1 resource server: tokens are made by an issuer elsewhere, and checked here by its keys. Clients
 * find the issuer through the metadata of the resource (RFC 9728), which a refusal points at.
 */
import { createHash } from "node:crypto";
import { createRemoteJWKSet, customFetch, errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from "jose";
import * as v from "valibot";
import { abortAt } from "../../base/expiry.ts";
import { Fault } from "../../base/fault.ts";
import type { OAuthSection } from "../../model/http-config.ts";
import type { Caller } from "./callers.ts";

export const METADATA_PATH = "/.well-known/oauth-protected-resource";

/** Signatures of key pairs only: with a shared secret, whoever can check could also sign. */
const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
const CLOCK_SKEW_S = 30;
const FETCH_MS = 5_000;
/** Metadata and key sets are small; what is larger is something else. */
const DOCUMENT_BYTES_MAX = 512 * 1024;
const KEYS_AGE_MS = 10 * 60_000;
/** A token with an unknown key makes us ask for keys again, at most this often. */
const KEYS_COOLDOWN_MS = 30_000;
/** An issuer that does not answer is asked again after this. */
const RETRY_MS = 5_000;
const CALLERS_MAX = 1_000;
/** Longer ones are nobody's. */
const TOKEN_CHARS_MAX = 16 * 1024;

const metadata = v.object({ issuer: v.string(), jwks_uri: v.pipe(v.string(), v.url()) });

export class OAuth {
  private keys: Promise<JWTVerifyGetKey> | undefined;
  /** By the token's digest, oldest first: a signature costs more than all the rest of a call. */
  private readonly callers = new Map<string, Caller>();

  constructor(private readonly options: OAuthSection) {}

  /** Whether it has the form of a JWT. */
  mayKnow(token: string): boolean {
    return token.length <= TOKEN_CHARS_MAX && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token);
  }

  /** Faults: `unauthenticated`, `forbidden` for want of a scope, `unreachable` when the issuer cannot be asked. */
  async caller(token: string, resource: string): Promise<Caller> {
    const digest = createHash("sha256").update(token).digest("base64");
    const known = this.callers.get(digest);
    if (known && !known.ended?.aborted) return known;
    const caller = this.callerOf(await this.verify(token, resource), resource);
    this.callers.set(digest, caller);
    const [oldest] = this.callers.keys();
    if (this.callers.size > CALLERS_MAX && oldest !== undefined) this.callers.delete(oldest);
    caller.ended?.addEventListener("abort", () => this.callers.delete(digest), { once: true });
    return caller;
  }

  /** The document of RFC 9728 for a resource such as `https://host/mcp`. */
  document(resource: string): Record<string, unknown> {
    return {
      resource,
      authorization_servers: [this.options.issuer],
      scopes_supported: Object.keys(this.options.scopes ?? DEFAULT_SCOPES),
      bearer_methods_supported: ["header"],
      resource_name: "Linkspan",
    };
  }

  /** What `WWW-Authenticate` says; `error` as in RFC 6750. */
  challenge(resource: string, error?: string, scope?: string): string {
    const { origin, pathname } = new URL(resource);
    const parts = [`realm="linkspan"`, `resource_metadata="${origin}${METADATA_PATH}${pathname}"`];
    if (error !== undefined) parts.unshift(`error="${error}"`);
    if (scope !== undefined) parts.push(`scope="${scope}"`);
    return `Bearer ${parts.join(", ")}`;
  }

  /** How clients reach us: as configured, or as this one has. */
  resource(origin: string, path: string): string {
    return `${this.options.url ?? origin}${path}`;
  }

  private async verify(token: string, resource: string): Promise<JWTPayload> {
    const keys = await this.keySet();
    const { issuer, audience } = this.options;
    try {
      const options = {
        issuer,
        audience: typeof audience === "string" ? [audience] : audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_SKEW_S,
        requiredClaims: ["exp", "sub"],
      };
      return (await jwtVerify(token, keys, options)).payload;
    } catch (error) {
      if (error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError)) throw unreachable(error);
      throw new Fault("unauthenticated", `the access token is not valid: ${reasonOf(error)}`, {
        data: { challenge: this.challenge(resource, "invalid_token") },
      });
    }
  }

  private callerOf({ iss, sub, exp, ...claims }: JWTPayload, resource: string): Caller {
    const table = this.options.scopes ?? DEFAULT_SCOPES;
    const allow = scopesOf(claims).flatMap((scope) => grantsOf(scope, table));
    if (allow.length === 0) {
      const scope = Object.keys(table).join(" ");
      throw new Fault("forbidden", "the access token has no scope for this", {
        data: { challenge: this.challenge(resource, "insufficient_scope", scope), scopes: Object.keys(table) },
      });
    }
    const controller = new AbortController();
    // It is one of the claims that have to be there.
    const endsAt = ((exp ?? 0) + CLOCK_SKEW_S) * 1000;
    abortAt(controller, endsAt);
    return {
      principal: `oauth:${iss}#${sub}`,
      allow: allow.includes(EVERYTHING) ? undefined : [...new Set(allow)],
      readOnly: false,
      ended: controller.signal,
      endsAt,
    };
  }

  private keySet(): Promise<JWTVerifyGetKey> {
    if (this.keys) return this.keys;
    const keys = this.discover();
    this.keys = keys;
    // Whoever comes within that time gets the same answer: a dead issuer is not asked for each request.
    keys.catch(() => setTimeout(() => (this.keys = undefined), RETRY_MS).unref());
    return keys;
  }

  private async discover(): Promise<JWTVerifyGetKey> {
    const jwks = this.options.jwks ?? (await this.findKeys());
    return createRemoteJWKSet(new URL(jwks), {
      timeoutDuration: FETCH_MS,
      cooldownDuration: KEYS_COOLDOWN_MS,
      cacheMaxAge: KEYS_AGE_MS,
      [customFetch]: async (url: string, init: RequestInit) =>
        Response.json(await fetchDocument(new URL(url), init.signal ?? undefined)),
    });
  }

  /** RFC 8414 puts the well-known part before the issuer's path, OpenID Connect after it. */
  private async findKeys(): Promise<string> {
    const issuer = new URL(this.options.issuer);
    const path = issuer.pathname.replace(/\/$/, "");
    const places = [
      `/.well-known/oauth-authorization-server${path}`,
      `/.well-known/openid-configuration${path}`,
      `${path}/.well-known/openid-configuration`,
    ];
    let last: unknown;
    for (const place of new Set(places)) {
      try {
        const found = v.parse(metadata, await fetchDocument(new URL(place, issuer)));
        // Otherwise one issuer could speak for another (RFC 8414, 3.3).
        if (found.issuer !== this.options.issuer) throw new Error("the metadata names another issuer");
        return found.jwks_uri;
      } catch (error) {
        last = error;
      }
    }
    throw unreachable(last);
  }
}

/** What a scope grants unless the configuration says otherwise: `mcp` is everything, `mcp:NAME` a server or a tool. */
const EVERYTHING = "*";
const DEFAULT_SCOPES: Record<string, string[]> = { mcp: [EVERYTHING] };

function grantsOf(scope: string, table: Record<string, string[]>): string[] {
  if (Object.hasOwn(table, scope)) return table[scope] ?? [];
  return table === DEFAULT_SCOPES && /^mcp:[a-zA-Z0-9]/.test(scope) ? [scope.slice("mcp:".length)] : [];
}

/** `scope` is RFC 9068's; some issuers say `scp`, as text or as a list. */
function scopesOf({ scope, scp }: Record<string, unknown>): string[] {
  const given = scope ?? scp;
  if (typeof given === "string") return given.split(" ").filter((one) => one !== "");
  return Array.isArray(given) ? given.filter((one): one is string => typeof one === "string") : [];
}

async function fetchDocument(url: URL, signal = AbortSignal.timeout(FETCH_MS)): Promise<unknown> {
  const headers = { accept: "application/json" };
  // Somebody who answers for the issuer's host could otherwise send us elsewhere.
  const response = await fetch(url, { headers, signal, redirect: "error" });
  if (!response.ok) throw new Error(`${url.pathname} answers ${response.status}`);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    if (length > DOCUMENT_BYTES_MAX) throw new Error(`${url.pathname} is larger than ${DOCUMENT_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString());
}

/** Which check has failed, without a word of the token. */
function reasonOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return "it has expired";
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim ${error.claim} is not as it has to be`;
  if (error instanceof errors.JWKSNoMatchingKey) return "its key is none of the issuer's";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "its signature is wrong";
  return "it cannot be read";
}

function unreachable(cause: unknown): Fault {
  return new Fault("unreachable", "the issuer of access tokens cannot be asked for its keys", { cause });
}
