/** An image that is not there: what a client gets while it is pulled, and when that fails. */
import { describe, expect } from "bun:test";
import { engineTest } from "../support/engine.ts";
import { until } from "../support/until.ts";
import { ABSENT, begin, withAbsent } from "./absence.ts";

describe("an image that is absent", () => {
  engineTest(
    "initialize and tools/list are answered while it is pulled, a call waits for it and hears of the progress",
    () =>
      withAbsent(async (stage, registry, options) => {
        const gate = Promise.withResolvers<void>();
        options.stalls = gate.promise;
        const before = registry.asked.length;
        await begin(stage, async (front) => {
          const params = { name: "echo", arguments: { text: "late" }, _meta: { progressToken: "t" } };
          const call = front.ask("tools/call", params);
          await until("the pull", () => registry.asked.length > before);
          const notices = () => front.messages.filter(({ method }) => method === "notifications/progress");
          expect(front.messages.some(({ id }) => id === call)).toBe(false);
          gate.resolve();
          expect(JSON.stringify((await front.answered(call, 60_000)).result)).toContain("late");
          expect(notices()).not.toEqual([]);
          const values = notices().map(({ params: told }) => told?.progress as number);
          expect(values).toEqual(values.toSorted((a, b) => a - b));
          expect(Math.max(...values)).toBeLessThan(0);
          front.endInput();
          expect(await front.ended()).toBe(0);
        });
      }),
    120_000,
  );

  engineTest(
    "when it cannot be pulled, a call gets the reason, and the front stays for the next one",
    () =>
      withAbsent(async (stage, _, options) => {
        const gate = Promise.withResolvers<void>();
        options.limited = gate.promise;
        await begin(stage, async (front) => {
          const call = front.ask("tools/call", { name: "echo", arguments: { text: "never" } });
          gate.resolve();
          expect((await front.answered(call)).error?.message).toContain(ABSENT);
          expect(front.process.exitCode).toBeNull();
          expect((await front.call("echo", { text: "never" })).error?.message).toContain(ABSENT);
          front.endInput();
          expect(await front.ended()).toBe(0);
        });
      }),
    120_000,
  );
});
