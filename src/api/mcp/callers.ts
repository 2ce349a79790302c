/** Who asks: the manager's own token, an access token, or one of an OAuth issuer. */
import { createHash } from "node:crypto";
import { Fault } from "../../base/fault.ts";
import type { Door } from "../../base/guard.ts";
import type { AccessTokens } from "../../manager/access-tokens.ts";
import type { OAuth } from "./oauth.ts";

export interface Caller {
  /** What belongs to one principal is never given to another. */
  principal: string;
  /** Server names, and tools as `server__tool` with `*` at the end; undefined: everything. */
  allow: readonly string[] | undefined;
  /** Only tools that say that they change nothing. */
  readOnly: boolean;
  /** Aborts when the credentials end; undefined: never. */
  ended: AbortSignal | undefined;
  /** When that is known, milliseconds since 1970. */
  endsAt: number;
}

/** Whether both may do the same: a session that one has opened is no more than the other could have. */
export function sameCaller(one: Caller, other: Caller): boolean {
  if (one.principal !== other.principal || one.readOnly !== other.readOnly) return false;
  return one.allow === other.allow || JSON.stringify(one.allow) === JSON.stringify(other.allow);
}

/** Whoever has the manager's own token, or may open its socket. */
const OWNER: Caller = { principal: "owner", allow: undefined, readOnly: false, ended: undefined, endsAt: Infinity };

export class Callers {
  private ownDigest: { token: string; digest: string } | undefined;

  constructor(
    private readonly tokens: AccessTokens,
    private readonly oauth: OAuth | undefined,
  ) {}

  /** A promise only where a token of an issuer has to be looked at. Faults: `unauthenticated`, `forbidden`. */
  find(headers: Headers, door: Door, resource: string): Caller | Promise<Caller> {
    if (door.token === undefined) return OWNER;
    const given = /^Bearer +([^\s]+) *$/i.exec(headers.get("authorization") ?? "")?.[1];
    if (given === undefined) throw this.unknown("a bearer token is needed", resource);
    if (digestOf(given) === this.digestOfOwn(door.token)) return OWNER;
    const grant = this.tokens.grant(given);
    if (grant) {
      const { id, servers, tools, readOnly, ended } = grant;
      const all = servers.length + tools.length === 0;
      const allow = all ? undefined : [...servers, ...tools];
      return { principal: `token:${id}`, allow, readOnly, ended, endsAt: Infinity };
    }
    if (this.oauth?.mayKnow(given)) return this.oauth.caller(given, resource);
    throw this.unknown("the bearer token is not valid", resource);
  }

  /** The fault for whoever is let in no further. */
  unknown(message: string, resource: string): Fault {
    return new Fault("unauthenticated", message, {
      hint: "Send `Authorization: Bearer TOKEN`; `linkspan token create NAME` makes one.",
      data: { challenge: this.oauth?.challenge(resource) ?? 'Bearer realm="linkspan"' },
    });
  }

  /** Digests are compared: how far a guess is right cannot be measured. */
  private digestOfOwn(token: string): string {
    if (this.ownDigest?.token !== token) this.ownDigest = { token, digest: digestOf(token) };
    return this.ownDigest.digest;
  }
}

function digestOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
