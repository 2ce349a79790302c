/**
 * Who may ask: Host and Origin against web pages (DNS rebinding, CSRF), the bearer token against everybody else.
 * Pure: headers in, a fault or nothing out.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import { Fault } from "./fault.ts";

export interface Door {
  /** What the token must be; undefined on the unix socket, whose file mode says who may. */
  token: string | undefined;
  /** Host names, beside this machine's own and plain addresses, under which it may be asked (lower case, no port). */
  hosts: readonly string[];
}

/**
 * A page that was rebound to our address still sends its own name as Host. An address cannot be rebound, and
 * `localhost` resolves to this machine, so only other names have to be listed.
 */
export function checkHost(host: string | null, door: Door): Fault | undefined {
  if (door.token === undefined) return undefined;
  const name = host === null ? undefined : hostName(host);
  if (name === undefined) return new Fault("forbidden", "the Host header is missing or malformed");
  if (name === "localhost" || name.endsWith(".localhost") || isIP(name) !== 0 || door.hosts.includes(name)) {
    return undefined;
  }
  return new Fault("forbidden", "the manager does not answer under this host name", {
    hint: "Ask it by its address, or start it with the name allowed.",
  });
}

/** Browsers send Origin with whatever can change something; only a page of the manager itself may ask. */
export function checkOrigin(origin: string | null, host: string | null): Fault | undefined {
  if (origin === null) return undefined;
  const url = URL.parse(origin);
  if (url && (url.protocol === "http:" || url.protocol === "https:") && host && url.host === normalHost(url, host)) {
    return undefined;
  }
  return new Fault("forbidden", "requests from web pages of other origins are refused");
}

/** Compares digests, so that neither content nor length of the token shows in the time it takes. */
export function checkToken(authorization: string | null, door: Door): Fault | undefined {
  if (door.token === undefined) return undefined;
  const given = /^Bearer +([^\s]+) *$/i.exec(authorization ?? "")?.[1];
  if (given !== undefined && timingSafeEqual(digest(given), digest(door.token))) return undefined;
  const message = given === undefined ? "a bearer token is needed" : "the bearer token is not this manager's";
  return new Fault("unauthenticated", message, {
    hint: 'Send `Authorization: Bearer TOKEN`; `linkspan token` prints the token, as in -H "Authorization: Bearer $(linkspan token)".',
  });
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** `example.org:8080` → `example.org`, `[::1]:8080` → `::1`. */
function hostName(host: string): string | undefined {
  const url = /[\s/@\\?#]/.test(host) ? null : URL.parse(`http://${host}`);
  const name = url?.hostname.toLowerCase().replace(/^\[|\]$/g, "");
  return name || undefined;
}

/** The Host header as a URL of the origin's scheme would write it, so that a default port makes no difference. */
function normalHost(origin: URL, host: string): string | undefined {
  return URL.parse(`${origin.protocol}//${host}`)?.host;
}
