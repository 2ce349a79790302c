/** References in compose files, and `.env` files. */
import { describe, expect, test } from "bun:test";
import { parseDotenv } from "../../src/compose/dotenv.ts";
import { interpolate } from "../../src/compose/interpolate.ts";

const ENV: Record<string, string> = { A: "a", EMPTY: "", B: "b c" };
const lookup = (name: string) => ENV[name];

describe("references", () => {
  const good: [string, string][] = [
    ["plain", "plain"],
    ["$A-${A}", "a-a"],
    ["$$A $${A}", "$A ${A}"],
    ["${NO}", ""],
    ["${NO:-x}", "x"],
    ["${NO-x}", "x"],
    ["${EMPTY:-x}", "x"],
    ["${EMPTY-x}", ""],
    ["${A:-x}", "a"],
    ["${A:+x}", "x"],
    ["${NO:+x}", ""],
    ["${EMPTY:+x}${EMPTY+y}", "y"],
    ["${A:?no}", "a"],
    ["${NO:-${A}-${NO:-z}}", "a-z"],
    ["${NO:-$$}", "$"],
    ["$", "$"],
    ["a $ b $5", "a $ b $5"],
    ["${A:-${B:?x}}", "a"],
  ];
  for (const [text, expected] of good)
    test(text, () => expect(interpolate(text, lookup)).toMatchObject({ ok: true, text: expected }));

  const bad: [string, string][] = [
    ["${}", "name"],
    ["${1}", "name"],
    ["${A", "expected"],
    ["${A:-x", "missing"],
    ["${A!x}", "expected"],
    ["${NO:?give one}", "NO is required: give one"],
    ["${EMPTY:?}", "EMPTY is required"],
    ["${NO?x}", "NO is required: x"],
    ["${A:-".repeat(20), "deep"],
  ];
  for (const [text, message] of bad)
    test(text, () =>
      expect(interpolate(text, lookup)).toMatchObject({ ok: false, message: expect.stringContaining(message) }),
    );

  test("what came in is told, what was not taken is not", () => {
    expect(interpolate("${A}${NO:-$B}${A:+$EMPTY}${NO}", lookup)).toEqual({
      ok: true,
      text: "ab c",
      used: ["a", "b c"],
      unset: ["NO"],
    });
    expect(interpolate("${A:-$B}", lookup)).toMatchObject({ used: ["a"] });
  });
});

describe(".env files", () => {
  const good: [string, Record<string, string>][] = [
    ["A=1\n# comment\n\nexport B = 2 # two\nC=a#b", { A: "1", B: "2", C: "a#b" }],
    [`S='$A # "x"'\nD="a\\n\\"$S\\" \\$X"`, { S: '$A # "x"', D: 'a\n"$A # "x"" $X' }],
    ['M="one\ntwo"\nN=3', { M: "one\ntwo", N: "3" }],
    ["A=x\nB=${A}y\nEMPTY=", { A: "x", B: "ay", EMPTY: "" }],
    ["A\nNO", { A: "a" }],
  ];
  for (const [text, values] of good)
    test(JSON.stringify(text), () => expect(parseDotenv(text, lookup)).toEqual({ ok: true, values }));
  const bad: [string, number][] = [
    ["A=1\n=2", 2],
    ["A='x\ny", 1],
    ["A=${", 1],
  ];
  for (const [text, line] of bad)
    test(JSON.stringify(text), () => expect(parseDotenv(text, lookup)).toMatchObject({ ok: false, line }));
});
