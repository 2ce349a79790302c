/**
 * What all servers together may have, and what has to be stopped for one more. Pure: room.ts tells who is there and does
 * what this says.
 */

/** What is left out has no bound. */
export interface Budget {
  /** Containers, or processes of the process runtime, at the same time. */
  containers?: number | undefined;
  /** The sum of their memory limits, bytes. */
  memory?: number | undefined;
}

/** Somebody who has a part of the budget now. */
export interface Tenant<T> {
  who: T;
  /** Its limit, bytes. */
  memory: number;
  /** For how long nobody has used it. */
  idleMs: number;
  /** Whether it may be stopped, as far as is known without asking it. */
  movable: boolean;
}

export type Plan<T> =
  | { kind: "fits" }
  /** These are to be stopped; then the plan is made again. */
  | { kind: "evict"; victims: T[] }
  /** It would fit if some of those that are in use were not. */
  | { kind: "wait" }
  /** It would not fit if it were alone. */
  | { kind: "never" };

/** Who has to go so that one more with `memory` fits: the least recently used first, and none that would not help. */
export function plan<T>(budget: Budget, tenants: readonly Tenant<T>[], memory: number): Plan<T> {
  const fits = (others: readonly Tenant<T>[]) =>
    others.length + 1 <= (budget.containers ?? Infinity) &&
    others.reduce((sum, tenant) => sum + tenant.memory, memory) <= (budget.memory ?? Infinity);
  if (fits(tenants)) return { kind: "fits" };
  if (!fits([])) return { kind: "never" };
  const movable = tenants.filter((tenant) => tenant.movable).toSorted((a, b) => b.idleMs - a.idleMs);
  const going = new Set<Tenant<T>>();
  const staying = () => tenants.filter((tenant) => !going.has(tenant));
  for (const tenant of movable) {
    if (fits(staying())) break;
    going.add(tenant);
  }
  if (!fits(staying())) return { kind: "wait" };
  // Small ones that went first may not have helped: the most recently used of them are spared first.
  for (const tenant of [...going].toReversed()) {
    going.delete(tenant);
    if (!fits(staying())) going.add(tenant);
  }
  return { kind: "evict", victims: movable.filter((tenant) => going.has(tenant)).map(({ who }) => who) };
}
