/**
 * Callers in a process of their own, so that nothing but the machine is shared with what they measure. Arguments: their
 * doors as JSON, and the time from one call to the next. Each line on stdin is answered with the figures since the last
 * one; the end of stdin ends it.
 */
import { createInterface } from "node:readline";
import { Caller, type Door } from "./caller.ts";
import type { Figures } from "./callers.ts";

const [doors = "[]", periodMs = "20"] = process.argv.slice(2);
const callers = await Promise.all((JSON.parse(doors) as Door[]).map((door) => Caller.open(door)));
for (const [at, caller] of callers.entries()) caller.begin(Number(periodMs), at / callers.length);
process.stdout.write("{}\n");
for await (const _ of createInterface({ input: process.stdin })) {
  const times = callers.flatMap((caller) => caller.times.splice(0)).toSorted((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  const figures: Figures = {
    calls: times.length,
    errors: callers.reduce((sum, { errors }) => sum + errors, 0),
    unanswered: callers.reduce((sum, { unanswered }) => sum + unanswered, 0),
    lost: callers.filter(({ ended }) => ended).length,
    p50: at(0.5),
    p99: at(0.99),
    slowest: at(1),
  };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}
process.exit(0);
