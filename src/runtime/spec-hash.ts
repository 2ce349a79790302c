/** The identity of what runs: two specs with one hash can share one container. */
import { createHash, createHmac } from "node:crypto";
import type { ServerSpec } from "../model/server-spec.ts";

/**
 * Hex SHA-256 over everything that shapes the container or process, defaults filled in. The server's name is not in
 * it: an instance is identified by owner, name and this hash together.
 *
 * The hash stands in a label that everybody on the engine can read, so secret values enter only through an HMAC with
 * the manager's key: nobody can confirm a guess, and a changed secret still gives another hash.
 */
export function specHash(spec: ServerSpec, key: Uint8Array): string {
  const { name: _, secrets, ...shape } = spec;
  const sealed = Object.fromEntries(Object.entries(secrets).map(([name, value]) => [name, seal(name, value, key)]));
  return createHash("sha256")
    .update(canonical({ ...shape, secrets: sealed }))
    .digest("hex");
}

function seal(name: string, value: string, key: Uint8Array): string {
  // NUL ends the name: no other pair of name and value gives these bytes.
  return createHmac("sha256", key).update(`linkspan.secret\0${name}\0${value}`).digest("hex");
}

/** JSON with the members of every object in one order; what is undefined is left out, as if it were not written. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
}
