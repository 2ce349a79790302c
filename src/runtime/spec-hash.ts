/** The identity of what runs: two specs with one hash can share one container. */
import { createHash, createHmac } from "node:crypto";
import * as v from "valibot";
import { SCHEDULING, type ServerSpec, serverBody } from "../model/server-spec.ts";

/**
 * Hex SHA-256 over everything that shapes the container or process. Neither the server's name nor when
 * it runs is in it: an instance is identified by owner, name and this hash together.
 *
 * What is as by default is left out, written or not: a later version that knows one field more gives the same hash to the
 * same file, and its upgrade restarts nothing.
 *
 * The hash stands in a label that everybody on the engine can read, so secret values enter only through an HMAC with
 * the manager's key: nobody can confirm a guess, and a changed secret still gives another hash.
 */
export function specHash(spec: ServerSpec, key: Uint8Array): string {
  const { name: _, secrets, ...rest } = spec;
  const scheduling: readonly string[] = SCHEDULING;
  const shape = Object.fromEntries(Object.entries(rest).filter(([field]) => !scheduling.includes(field)));
  const sealed = Object.fromEntries(Object.entries(secrets).map(([name, value]) => [name, seal(name, value, key)]));
  return createHash("sha256")
    .update(canonical({ ...chosen(shape, DEFAULTS), secrets: sealed }))
    .digest("hex");
}

const { image: _, ...DEFAULTS } = v.parse(serverBody, { image: "any" });

/** The members that differ from the defaults; of objects such as `limits` only those inside that do. */
function chosen(shape: object, defaults: object): object {
  const usual = new Map<string, unknown>(Object.entries(defaults));
  const kept = Object.entries(shape).flatMap(([key, value]): [string, unknown][] => {
    const standard = usual.get(key);
    if (usual.has(key) && Bun.deepEquals(value, standard)) return [];
    return [[key, isGroup(value) && isGroup(standard) ? chosen(value, standard) : value]];
  });
  return Object.fromEntries(kept);
}

function isGroup(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
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
