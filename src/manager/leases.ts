/** For how long a server runs on without a sign of those who own it. */
import type { ServerSpec } from "../model/server-spec.ts";
import type { Origin } from "./surroundings.ts";

/** Made for sessions, from a reference: when they and the manager are gone, nobody knows it by name. */
const SESSIONS_MS = 60_000;
/** Declared, or started by name: a manager may take its time to come back. */
const OWN_MS = 300_000;

interface Owned {
  origin: Origin;
  pinned: boolean;
}

/** Milliseconds; 0: for ever. A server that sessions have made becomes the manager's own when it is started by name. */
export function leaseMs({ lease }: Pick<ServerSpec, "lease">, { origin, pinned }: Owned): number {
  if (lease !== undefined) return lease === "none" ? 0 : lease;
  return origin === "ref" && !pinned ? SESSIONS_MS : OWN_MS;
}
