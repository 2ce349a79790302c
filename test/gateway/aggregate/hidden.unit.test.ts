/** Characters that people do not see, and those that they need. */
import { expect, test } from "bun:test";
import { hiddenIn, visible } from "../../../src/gateway/aggregate/definition.ts";

const HIDDEN = [
  0x00, 0x1b, 0x7f, 0x9b, 0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x17b4, 0x180e, 0x200b, 0x200e, 0x202e, 0x2060, 0x2064,
  0x2065, 0x2066, 0x206f, 0x3164, 0xfe00, 0xfeff, 0xffa0, 0xfff9, 0x1d173, 0xe0001, 0xe0041, 0xe007f, 0xe0100,
];

test.each(HIDDEN.map((code) => [code.toString(16), code] as const))("U+%s is found, and shown", (hex, code) => {
  const text = `a${String.fromCodePoint(code)}b`;
  expect(hiddenIn({ description: text }).join()).toContain(`U+${hex.toUpperCase().padStart(4, "0")}`);
  expect(hiddenIn({ [text]: 1 })).toHaveLength(1);
  expect(visible(text)).toBe(`a\\u{${hex}}b`);
});

test("words, line ends and emoji of all the world are not", () => {
  const fine = ["a\tb\r\nc", "नमस्ते", "می‌خواهم", "👩‍👩‍👧‍👦 ❤️ ✔︎", "日本語 ㄱ ｱ", "שלום مرحبا", "é é", "\u2028"];
  expect(hiddenIn(fine)).toEqual([]);
});
