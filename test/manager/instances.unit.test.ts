import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ALIVE, type Condition, type Happening, isNews, next } from "../../src/manager/instances.ts";
import type { ServerState } from "../../src/model/views.ts";
import type { Instance } from "../../src/runtime/runtime.ts";
import { seeded } from "../support/seed.ts";

const RETRIES = 3;
const start: Happening = { kind: "start" };
const created: Happening = { kind: "created" };
const answered: Happening = { kind: "answered", serving: false };
const serving: Happening = { kind: "answered", serving: true };
const missed: Happening = { kind: "missed", reason: "no answer" };
const troubled: Happening = { kind: "troubled", reason: "it is stopped" };
const failed: Happening = { kind: "failed", reason: "no image" };
const crashed: Happening = { kind: "process-ended", reason: "exit code 7" };
const unanswered: Happening = { kind: "unanswered", reason: "refused" };
const stop: Happening = { kind: "stop" };
const stopped: Happening = { kind: "stopped" };
const engine = (state: Instance["state"], anew = false, exit?: Instance["exit"]): Happening => ({
  kind: "engine",
  state,
  anew,
  exit,
});
const oom = engine("ended", false, { code: 137, reason: "oom", message: "killed for memory" });
const killed = (code: number) => engine("ended", false, { code, reason: "killed", message: `signal ${code - 128}` });
const found = (happening: Happening): Happening =>
  happening.kind === "engine" ? { kind: "found", state: happening.state, exit: happening.exit } : happening;
const finished = engine("ended", false, { code: 0, reason: "finished", message: "ended with exit code 0" });

/** From a state, through happenings, to a state (and its reason). */
const TABLE: [from: ServerState, through: Happening[], to: ServerState, reason?: string][] = [
  // The way up and down.
  ["defined", [start], "creating"],
  ["creating", [created], "starting"],
  ["starting", [answered], "ready"],
  ["ready", [stop], "stopping"],
  ["stopping", [stopped], "stopped"],
  ["stopped", [start, created, answered], "ready"],
  ["failed", [start], "creating"],
  ["creating", [failed], "failed", "no image"],
  ["starting", [failed], "failed", "no image"],
  // Stops where there is nothing to stop.
  ["defined", [stop], "defined"],
  ["defined", [stopped], "defined"],
  ["stopped", [stop], "stopped"],
  ["failed", [stop], "failed"],
  ["creating", [stop, stopped], "stopped"],
  ["starting", [stop, stopped], "stopped"],
  ["unhealthy", [stop, stopped], "stopped"],
  // Probes: three misses in a row.
  ["ready", [missed, missed], "ready", "no answer"],
  ["ready", [missed, missed, answered], "ready"],
  ["ready", [missed, missed, missed], "unhealthy", "no answer"],
  ["ready", [missed, missed, answered, missed, missed], "ready", "no answer"],
  ["ready", [troubled], "unhealthy", "it is stopped"],
  ["ready", [troubled, answered], "ready"],
  ["unhealthy", [troubled], "unhealthy", "it is stopped"],
  ["starting", [troubled], "starting"],
  ["stopped", [troubled], "stopped"],
  ["unhealthy", [answered], "ready"],
  ["unhealthy", [missed], "unhealthy", "no answer"],
  ["starting", [missed, missed, missed, missed], "starting"],
  ["stopping", [missed, answered], "stopping"],
  ["stopped", [answered], "stopped"],
  ["failed", [answered], "failed"],
  ["creating", [answered], "creating"],
  // Found running, but silent.
  ["starting", [unanswered], "unhealthy", "refused"],
  ["starting", [unanswered, answered], "ready"],
  ["ready", [unanswered], "ready"],
  // A server process that ended does not change the bridge's state; the next one that runs clears it.
  ["ready", [crashed], "ready", "exit code 7"],
  ["ready", [crashed, answered], "ready", "exit code 7"],
  ["ready", [crashed, serving], "ready"],
  ["stopping", [crashed], "stopping"],
  // The engine's word.
  ["ready", [engine("running")], "ready"],
  ["ready", [engine("running", true)], "starting"],
  ["unhealthy", [engine("running", true)], "starting"],
  ["ready", [oom], "failed", "killed for memory"],
  ["ready", [finished], "stopped", "ended with exit code 0"],
  ["ready", [killed(137)], "failed", "signal 9"],
  ["ready", [killed(143)], "stopped", "signal 15"],
  ["defined", [found(engine("running"))], "starting"],
  ["defined", [found(engine("paused")), unanswered], "unhealthy", "refused"],
  ["defined", [found(engine("pending"))], "defined"],
  ["defined", [found(killed(137))], "stopped", "signal 9"],
  ["defined", [found(oom)], "failed", "killed for memory"],
  ["defined", [found(finished)], "stopped", "ended with exit code 0"],
  ["ready", [engine("ended")], "failed", "it ended without a word"],
  ["unhealthy", [oom], "failed", "killed for memory"],
  ["ready", [engine("lost")], "failed", "it was removed by somebody else"],
  ["ready", [engine("paused")], "unhealthy", "it is paused"],
  ["ready", [engine("paused"), answered], "ready"],
  ["starting", [engine("paused")], "starting"],
  ["stopping", [oom], "stopping"],
  ["stopping", [engine("lost")], "stopped"],
  ["creating", [engine("lost")], "creating"],
  ["creating", [engine("ended")], "creating"],
  ["stopped", [engine("lost")], "stopped"],
  ["failed", [engine("lost")], "failed"],
  ["defined", [engine("lost")], "defined"],
  ["defined", [engine("running")], "starting"],
  // Somebody else starts it again; late word of the incarnation that we ended does not.
  ["stopped", [engine("running", true)], "starting"],
  ["failed", [engine("running", true)], "starting"],
  ["stopped", [engine("running")], "stopped"],
  ["failed", [engine("running")], "failed"],
  ["stopping", [engine("running", true)], "stopping"],
];

for (const [from, through, to, reason] of TABLE) {
  const words = through.map((one) => (one.kind === "engine" ? `engine says ${one.state}` : one.kind)).join(", ");
  test(`${from}, ${words} → ${to}`, () => {
    const begin: Condition = { state: from, misses: 0 };
    const end = through.reduce((now, happening) => next(now, happening, RETRIES), begin);
    expect(end.state).toBe(to);
    if (reason !== undefined || to === "ready") expect(end.reason).toBe(reason);
  });
}

test("whatever happens: no reason is carried into a new start, failed and unhealthy always have one, a start can follow", () => {
  const happening = fc.oneof(
    fc.constantFrom(
      start,
      created,
      answered,
      serving,
      missed,
      failed,
      crashed,
      unanswered,
      stop,
      stopped,
      oom,
      finished,
    ),
    fc
      .tuple(
        fc.constantFrom("pending", "starting", "running", "paused", "draining", "ended", "lost" as const),
        fc.boolean(),
      )
      .map(([state, anew]) => engine(state as Instance["state"], anew)),
  );
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60 }), (all) => {
      let now: Condition = { state: "defined", misses: 0 };
      for (const one of all) {
        const before = now;
        now = next(now, one, RETRIES);
        if (now.state === "failed" || now.state === "unhealthy") expect(now.reason).toBeTruthy();
        if (now.state === "creating" || now.state === "starting") expect(now.reason).toBeUndefined();
        if (one.kind === "stop") expect(ALIVE.has(now.state)).toBe(ALIVE.has(before.state));
      }
      expect(next(now, start, RETRIES).state).toBe("creating");
    }),
    seeded("instance states", 2_000),
  );
});

describe("whose word counts", () => {
  const instance = (id: string, incarnation: string, state: Instance["state"], since = 0): Instance => ({
    id,
    name: id,
    incarnation,
    specHash: "",
    labels: {},
    node: "",
    state,
    addresses: [],
    since,
  });
  const one = (state: Instance["state"], since = 0) => instance("a", `a@${since}`, state, since);
  const other = (state: Instance["state"], since = 0) => instance("b", `b@${since}`, state, since);
  const CASES: [what: string, known: Instance | undefined, heard: Instance, busy: boolean, news: boolean][] = [
    ["nothing is known, something runs", undefined, one("running"), false, true],
    ["nothing is known, something is over", undefined, one("ended"), false, false],
    ["an operation makes its own", undefined, one("running"), true, false],
    ["the known one ends", one("running"), one("ended"), false, true],
    ["the known one ends during an operation", one("running"), one("ended"), true, true],
    ["the known one starts again", one("ended", 1), one("running", 2), false, true],
    ["late word of an earlier incarnation", one("running", 2), one("ended", 1), true, false],
    ["another one runs beside it", one("running"), other("running"), false, false],
    ["another one runs in its place", one("ended"), other("running"), false, true],
    ["another one during an operation", one("ended"), other("running"), true, false],
    ["another one is over", one("ended"), other("ended"), false, false],
  ];
  test.each(CASES)("%s", (_what, known, heard, busy, news) => expect(isNews(known, heard, busy)).toBe(news));
});
