import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { IdleClock } from "../../src/manager/idle.ts";
import { clientOf } from "../../src/manager/legacy.ts";
import { type Evidence, judge, type Policy } from "../../src/manager/reaper.ts";
import { startedAtMs } from "../../src/runtime/process/identity.ts";
import { ownerLabel, parseOwner } from "../../src/runtime/owner.ts";
import { seeded } from "../support/seed.ts";

const POLICY: Policy = { maxAgeMs: 3_600_000, patienceMs: 300_000, force: false };
const BASE: Evidence = {
  kind: "server",
  owner: "self",
  ownerDeadMs: 0,
  runs: true,
  needed: true,
  busy: false,
  pinned: false,
  sessions: 0,
  client: "unnamed",
  idleMs: 0,
};
const HOURS = 3_600_000;
const dead = { owner: "dead", ownerDeadMs: 300_000, needed: false } as const;
const stranger = { kind: "stranger", owner: "none", sessions: undefined, needed: false } as const;

describe("verdicts", () => {
  test.each([
    ["ours, used not long ago", { idleMs: HOURS - 1 }, {}, undefined],
    ["ours, unused for the whole time", { idleMs: HOURS }, {}, "aged"],
    ["ours, and ages are not counted", { idleMs: 99 * HOURS }, { maxAgeMs: 0 }, undefined],
    ["ours, started by name", { idleMs: HOURS, pinned: true }, {}, undefined],
    ["ours, stopped by name, its log unread for long", { idleMs: HOURS, pinned: true, runs: false }, {}, "aged"],
    ["ours, with a session that an earlier manager gave", { idleMs: HOURS, sessions: 1 }, {}, undefined],
    ["ours, does not answer", { idleMs: HOURS, sessions: undefined }, { force: true }, undefined],
    ["ours, in somebody's hand", { idleMs: HOURS, busy: true }, {}, undefined],
    ["ours, a second one of the same server", { needed: false }, {}, "orphaned"],
    ["ours, a second one that has sessions", { needed: false, sessions: 2 }, {}, undefined],
    ["ours, a second one that does not answer", { needed: false, sessions: undefined }, {}, undefined],
    ["ours, a second one that has ended", { needed: false, runs: false }, {}, "orphaned"],
    ["ours, a network", { kind: "network", needed: false }, {}, undefined],
    ["ours, a helper at work", { kind: "helper", runs: false, needed: false }, {}, undefined],
    ["of another one that runs", { owner: "alive", needed: false, idleMs: HOURS }, { force: true }, undefined],
    ["of who knows whom", { owner: "unknown", needed: false, runs: false }, { force: true }, undefined],
    ["left, unused", dead, {}, "orphaned"],
    ["left a moment ago", { ...dead, ownerDeadMs: 299_999 }, {}, undefined],
    ["left a moment ago, and somebody asks", { ...dead, ownerDeadMs: 0 }, { patienceMs: 0 }, "orphaned"],
    ["left, in use", { ...dead, sessions: 1 }, { force: true }, undefined],
    ["left, does not answer", { ...dead, sessions: undefined }, {}, undefined],
    ["left, does not answer, by force", { ...dead, sessions: undefined }, { force: true }, "orphaned"],
    ["left to outlive its manager", { ...dead, pinned: true }, {}, undefined],
    ["left to outlive its manager, but it has ended", { ...dead, pinned: true, runs: false }, {}, "orphaned"],
    ["left, has ended", { ...dead, runs: false, sessions: undefined }, {}, "orphaned"],
    ["left, a helper", { ...dead, kind: "helper", runs: false }, {}, "orphaned"],
    ["left, a network", { ...dead, kind: "network" }, {}, "orphaned"],
    ["left, a network that something uses", { ...dead, kind: "network", needed: true }, { force: true }, undefined],
    ["a stranger", { ...stranger, idleMs: 9 * HOURS }, {}, undefined],
    ["a stranger whose client is gone, by force", { ...stranger, client: "gone" }, { force: true }, "legacy"],
    [
      "a stranger whose client lives, by force",
      { ...stranger, client: "alive", idleMs: 9 * HOURS },
      { force: true },
      undefined,
    ],
    ["a stranger that has ended, by force", { ...stranger, runs: false }, { force: true }, "legacy"],
    ["a stranger of an hour, by force", { ...stranger, idleMs: HOURS }, { force: true }, "legacy"],
    ["a stranger of a minute, by force", { ...stranger, idleMs: 60_000 }, { force: true }, undefined],
  ] satisfies [string, Partial<Evidence>, Partial<Policy>, string | undefined][])("%s", (_, seen, policy, reason) => {
    const verdict = judge({ ...BASE, ...seen }, { ...POLICY, ...policy });
    expect(verdict.reason).toBe(reason as never);
    expect(verdict.why).not.toBe("");
  });
});

const evidence: fc.Arbitrary<Evidence> = fc.record({
  kind: fc.constantFrom("server", "helper", "network", "stranger"),
  owner: fc.constantFrom("self", "alive", "dead", "unknown", "none"),
  ownerDeadMs: fc.nat(600_000),
  runs: fc.boolean(),
  needed: fc.boolean(),
  busy: fc.boolean(),
  pinned: fc.boolean(),
  sessions: fc.option(fc.nat(2), { nil: undefined }),
  client: fc.constantFrom("alive", "gone", "unnamed"),
  idleMs: fc.nat(8_000_000),
});
const policy: fc.Arbitrary<Policy> = fc.record({
  maxAgeMs: fc.nat(4_000_000),
  patienceMs: fc.nat(600_000),
  force: fc.boolean(),
});

test("whatever the evidence: what has a session, is in hand, belongs to a living manager or may do so, stays", () => {
  const rule = fc.property(evidence, policy, (seen, rules) => {
    const { reason } = judge(seen, rules);
    if (reason === undefined) return;
    expect(seen.sessions ?? 0).toBe(0);
    expect(seen.busy).toBe(false);
    if (seen.kind === "stranger")
      expect([reason, rules.force, seen.client === "alive"]).toEqual(["legacy", true, false]);
    else expect(["self", "dead"]).toContain(seen.owner);
    // What does not say whether it is in use is removed only because somebody said so.
    if (seen.runs && seen.sessions === undefined && seen.kind === "server") expect(rules.force).toBe(true);
    if (reason === "aged") expect(seen.idleMs).toBeGreaterThanOrEqual(rules.maxAgeMs);
    if (seen.owner === "dead" && seen.kind !== "stranger")
      expect(seen.ownerDeadMs).toBeGreaterThanOrEqual(rules.patienceMs);
  });
  fc.assert(rule, seeded("verdicts", 20_000));
});

test("idle time is counted from the last use that was heard of, or from the first question", () => {
  let now = 1_000;
  const clock = new IdleClock(() => now);
  expect(clock.idleMs("one")).toBe(0);
  now += 500;
  expect(clock.idleMs("one")).toBe(500);
  clock.heard({ at: 0, kind: "session.closed", server: "one", message: "" });
  clock.heard({ at: 0, kind: "server.unhealthy", server: "one", message: "" });
  now += 200;
  expect(clock.idleMs("one")).toBe(200);
});

describe("whose client a session label names", () => {
  const at = 1_700_000_000;
  const label = (text: string) => ({ "mcp-session": text });
  const started: Record<number, number> = { 10: (at - 50) * 1_000, 20: (at + 3_600) * 1_000, 1: 0 };
  const startOf = (pid: number) => started[pid];
  test.each([
    ["", "unnamed"],
    ["something else", "unnamed"],
    [`mcp-session-10-99-${at}`, "alive"],
    [`mcp-session-99-10-${at}-pts_1`, "alive"],
    [`mcp-session-98-99-${at}`, "gone"],
    // The number is another process's by now.
    [`mcp-session-20-99-${at}`, "gone"],
    [`mcp-session-20-99-${at + 3_600}000`, "alive"],
    // Whoever has lost its parent has this one.
    [`mcp-session-1-99-${at}`, "gone"],
  ])("%j: %s", (text, client) => {
    expect(clientOf(label(text), startOf)).toBe(client as never);
  });

  test("with real processes", async () => {
    const child = Bun.spawn(["sleep", "60"]);
    const now = Math.floor(Date.now() / 1000);
    expect(Math.abs((startedAtMs(child.pid) ?? 0) - Date.now())).toBeLessThan(5_000);
    expect(clientOf(label(`mcp-session-1-${child.pid}-${now}`))).toBe("alive");
    child.kill();
    await child.exited;
    expect(clientOf(label(`mcp-session-1-${child.pid}-${now}`))).toBe("gone");
  });
});

test("an owner's label says where and who, and anything else is no owner", () => {
  expect(parseOwner(ownerLabel("/some/where"))).toMatchObject({ dir: "/some/where", pid: process.pid });
  expect(parseOwner(ownerLabel())).not.toHaveProperty("dir");
  for (const text of [undefined, "", "{}", "[]", "null", '{"host":1}', ownerLabel("relative")]) {
    expect(parseOwner(text)).toBeUndefined();
  }
});
