import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { plan, type Tenant } from "../../src/manager/budget.ts";
import { Turns } from "../../src/manager/turns.ts";
import { seeded } from "../support/seed.ts";

const tenant = (who: string, memory: number, idleMs: number, movable = true): Tenant<string> => ({
  who,
  memory,
  idleMs,
  movable,
});

describe("the plan for one more", () => {
  const busy = tenant("busy", 4, 99, false);
  const old = tenant("old", 1, 50);
  const newer = tenant("newer", 1, 10);
  const big = tenant("big", 8, 5);

  test.each([
    ["no budget", {}, [busy, old], 100, { kind: "fits" }],
    ["room is left", { containers: 3, memory: 10 }, [busy, old], 5, { kind: "fits" }],
    ["the least recently used goes", { containers: 3 }, [newer, busy, old], 1, { kind: "evict", victims: ["old"] }],
    ["as many as it takes", { memory: 6 }, [newer, busy, old], 2, { kind: "evict", victims: ["old", "newer"] }],
    ["nobody goes in vain", { memory: 14 }, [old, newer, busy, big], 8, { kind: "evict", victims: ["big"] }],
    ["nobody is idle", { containers: 1 }, [busy], 1, { kind: "wait" }],
    ["the idle ones are too small", { memory: 6 }, [busy, old], 4, { kind: "wait" }],
    ["too big for the whole", { memory: 6 }, [old], 7, { kind: "never" }],
  ] as const)("%s", (_, budget, tenants, memory, expected) => {
    expect(plan(budget, [...tenants], memory)).toEqual(expected as ReturnType<typeof plan<string>>);
  });

  test("whatever there is: it fits afterwards, nobody in use goes, nobody goes who could stay", () => {
    const tenants = fc.array(
      fc.record({
        memory: fc.integer({ min: 1, max: 50 }),
        idleMs: fc.integer({ min: 0, max: 1_000 }),
        movable: fc.boolean(),
      }),
      { maxLength: 12 },
    );
    const bound = (max: number) => fc.option(fc.integer({ min: 1, max }), { nil: undefined });
    const check = (
      list: Omit<Tenant<number>, "who">[],
      containers: number | undefined,
      memory: number | undefined,
      need: number,
    ) => {
      const all = list.map((one, who) => ({ ...one, who }));
      const fits = (others: Tenant<number>[]) =>
        others.length < (containers ?? Infinity) &&
        others.reduce((sum, one) => sum + one.memory, need) <= (memory ?? Infinity);
      const decided = plan({ containers, memory }, all, need);
      expect(decided.kind === "fits").toBe(fits(all));
      expect(decided.kind === "never").toBe(!fits([]));
      const still = all.filter((one) => !one.movable);
      if (decided.kind === "wait") expect(fits(still)).toBe(false);
      if (decided.kind !== "evict") return;
      const stay = all.filter(({ who }) => !decided.victims.includes(who));
      expect(fits(stay)).toBe(true);
      for (const victim of decided.victims) {
        const one = all[victim];
        expect(one?.movable).toBe(true);
        if (one) expect(fits([...stay, one])).toBe(false);
      }
      // With equal sizes those that go have been idle for longer than those that stay.
      if (new Set(all.map((one) => one.memory)).size > 1) return;
      const leastGone = Math.min(...decided.victims.map((victim) => all[victim]?.idleMs ?? 0));
      for (const one of stay) if (one.movable) expect(one.idleMs).toBeLessThanOrEqual(leastGone);
    };
    fc.assert(
      fc.property(tenants, bound(12), bound(200), fc.integer({ min: 1, max: 60 }), check),
      seeded("plans", 3_000),
    );
  });
});

describe("turns", () => {
  test("a client that wants much does not keep another one waiting", () => {
    const turns = new Turns<string>();
    for (const item of ["a1", "a2", "a3"]) turns.add("a", item);
    turns.add("b", "b1");
    turns.add("c", "c1");
    turns.add("b", "b2");
    expect(turns.list()).toEqual(["a1", "b1", "c1", "a2", "b2", "a3"]);
    expect(turns.remove("b1")).toBe(true);
    expect(turns.remove("b1")).toBe(false);
    expect([turns.head(), turns.size]).toEqual(["a1", 5]);
    const served = Array.from({ length: 5 }, () => turns.take());
    expect(served).toEqual(["a1", "b2", "c1", "a2", "a3"]);
    expect([turns.take(), turns.head(), turns.size]).toEqual([undefined, undefined, 0]);
  });

  test("everybody is served once, in the order of coming within a client, and nobody is passed more than once a turn", () => {
    type Step = { kind: "add"; client: string } | { kind: "take" } | { kind: "leave"; index: number };
    const client = fc.constantFrom("a", "b", "c", "d");
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({ kind: fc.constant("add" as const), client }),
      fc.record({ kind: fc.constant("take" as const) }),
      fc.record({ kind: fc.constant("leave" as const), index: fc.nat(30) }),
    );
    const check = (steps: Step[]) => {
      const turns = new Turns<{ client: string; number: number; passed: Map<string, number> }>();
      let waiting: { client: string; number: number; passed: Map<string, number> }[] = [];
      steps.forEach((one, number) => {
        if (one.kind === "add") {
          const item = { client: one.client, number, passed: new Map<string, number>() };
          waiting.push(item);
          turns.add(one.client, item);
        } else if (one.kind === "leave") {
          const [item] = waiting.splice(one.index % Math.max(1, waiting.length), 1);
          if (item) expect(turns.remove(item)).toBe(true);
        } else {
          const head = turns.head();
          const item = turns.take();
          expect(item).toBe(head as typeof item);
          if (!item) return expect(waiting).toEqual([]);
          const own = waiting.filter((other) => other.client === item.client);
          expect(own[0]).toBe(item);
          waiting = waiting.filter((other) => other !== item);
          // Whoever is the first of a client sees each other client served at most twice: in a turn that was under way, and in one of its own.
          for (const other of new Set(waiting.map((rest) => rest.client))) {
            const first = waiting.find((rest) => rest.client === other);
            if (!first || other === item.client) continue;
            first.passed.set(item.client, (first.passed.get(item.client) ?? 0) + 1);
            expect(first.passed.get(item.client)).toBeLessThanOrEqual(2);
          }
        }
        expect(turns.size).toBe(waiting.length);
        expect(turns.list()).toHaveLength(waiting.length);
      });
    };
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), check), seeded("turns", 1_000));
  });
});
