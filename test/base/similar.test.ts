import { expect, test } from "bun:test";
import { similar } from "../../src/base/similar.ts";

const known = ["run", "start", "stop", "restart", "rm", "ps", "stats", "tools"];

test.each([
  ["stp", ["stop"]],
  ["satrt", ["start"]],
  ["tool", ["tools"]],
  ["stat", ["stats", "start"]],
  ["kubernetes", []],
  ["", []],
])("%p may have meant %p", (wanted, expected) => {
  expect(similar(wanted, known, 2)).toEqual(expected);
});

test("never more than asked for", () => {
  expect(similar("a", ["b", "c", "d", "e"], 2)).toHaveLength(2);
});
