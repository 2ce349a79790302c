import { expect, test } from "bun:test";
import { Pace } from "../../src/front/pace.ts";

const start = (afterMs: number) => ({ kind: "start" as const, afterMs });
const rest = (ms: number) => ({ kind: "rest" as const, ms });
const useless = (pace: Pace) => pace.next(false, 20);

test("a server that was of use is started again at once, however often it ends", () => {
  const pace = new Pace();
  for (let count = 0; count < 100; count += 1) expect(pace.next(true, 50)).toEqual(start(0));
  // Nobody asked it anything, but it lived.
  for (let count = 0; count < 100; count += 1) expect(pace.next(false, 10_000)).toEqual(start(0));
});

test("useless starts slow down; the fifth is the last before a rest, then there is one trial at a time", () => {
  const pace = new Pace();
  expect(pace.next(true, 50)).toEqual(start(0));
  expect([1, 2, 3].map(() => useless(pace))).toEqual([start(100), start(300), start(1_000)]);
  expect([1, 2, 3, 4, 5, 6].map(() => useless(pace))).toEqual([5, 10, 20, 40, 60, 60].map((s) => rest(s * 1_000)));
});

test("one start that is of use makes up for all", () => {
  const pace = new Pace();
  for (let count = 0; count < 8; count += 1) useless(pace);
  expect(pace.next(true, 50)).toEqual(start(0));
  expect(useless(pace)).toEqual(start(100));
});

test("what another start cannot change is not tried five times", () => {
  const pace = new Pace();
  pace.next(true, 50);
  expect([pace.rest(), pace.rest()]).toEqual([rest(5_000), rest(10_000)]);
  expect(useless(pace)).toEqual(rest(20_000));
});
