/** A flood of tiny lines is worked on in turns: in order, whole, and others are heard between. */
import { expect, test } from "bun:test";
import { Turns } from "../../bridge/turns.ts";
import { until } from "../support/until.ts";

const LINES = "{}\n".repeat(20_000);

test("usual chunks at once; a flood in pieces with the event loop between, in order; what comes meanwhile behind it", async () => {
  const pieces: number[] = [];
  let text = "";
  let changes = 0;
  const turns = new Turns(
    (bytes) => {
      text += Buffer.from(bytes).toString();
      pieces.push(bytes.length);
    },
    () => changes++,
  );
  const usual = `${"x".repeat(300)}\n`.repeat(500);
  turns.push(Buffer.from(usual));
  expect([pieces, turns.busy]).toEqual([[usual.length], false]);
  let between = 0;
  const other = () => {
    between++;
    if (turns.busy) setImmediate(other);
  };
  setImmediate(other);
  turns.push(Buffer.from(LINES));
  turns.push(Buffer.from(usual));
  expect(turns.busy).toBe(true);
  await until("the end of the flood", () => !turns.busy);
  expect(text).toBe(usual + LINES + usual);
  expect(Math.max(...pieces.slice(1))).toBeLessThanOrEqual(4_096);
  expect(between).toBeGreaterThan(5);
  expect(changes).toBe(1);
});

test("the end of the source leaves nothing", () => {
  let text = "";
  const turns = new Turns(
    (bytes) => (text += Buffer.from(bytes).toString()),
    () => {},
  );
  turns.push(Buffer.from(LINES));
  turns.finish();
  expect([text === LINES, turns.busy]).toEqual([true, false]);
});
