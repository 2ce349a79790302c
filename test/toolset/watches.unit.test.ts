/** Subscriptions: one watch for each URI, told at most once a second, begun anew, ended with the last subscriber, bounded. */
import { expect, test } from "bun:test";
import { Fault } from "../../src/base/fault.ts";
import { Watches } from "../../src/toolset/resources/watches.ts";
import { until } from "../support/until.ts";

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

test("many changes are told at once and then together; the last one is never lost", async () => {
  let change = () => {};
  let begun = 0;
  const watches = new Watches(async (_, signal, changed) => {
    begun += 1;
    change = changed;
    await untilAborted(signal);
  });
  const told = [0, 0];
  const ends = told.map((_, index) => watches.add("a", () => void (told[index] = (told[index] ?? 0) + 1)));
  for (let count = 0; count < 1_000; count += 1) change();
  expect(told).toEqual([1, 1]);
  await until("the changes that came within the second", () => told[0] === 2);
  expect(told).toEqual([2, 2]);
  expect(begun).toBe(1);
  ends[0]?.();
  ends[0]?.();
  expect(watches.size).toBe(1);
  ends[1]?.();
  expect(watches.size).toBe(0);
  change();
  expect(told).toEqual([2, 2]);
});

test("a watch that fails is begun anew and tells, one of what is not there only waits", async () => {
  const begun = { lost: 0, absent: 0 };
  const told: string[] = [];
  const watches = new Watches(async (uri) => {
    if (uri === "lost") begun.lost += 1;
    else begun.absent += 1;
    throw new Fault(uri === "lost" ? "unreachable" : "not-found", "as it is");
  });
  for (const uri of ["lost", "absent"]) watches.add(uri, () => void told.push(uri));
  await until("second tries", () => begun.lost >= 2 && begun.absent >= 2);
  expect(new Set(told)).toEqual(new Set(["lost"]));
  watches.close();
});

test("there are only so many, and a place that was given up is free again", () => {
  const watches = new Watches((_, signal) => untilAborted(signal));
  const ends = Array.from({ length: 256 }, (_, index) => watches.add(`uri-${index}`, () => {}));
  expect(() => watches.add("one-more", () => {})).toThrow("watched already");
  ends[0]?.();
  watches.add("one-more", () => {});
  expect(watches.size).toBe(256);
  watches.close();
  expect(watches.size).toBe(0);
});
