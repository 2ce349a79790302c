/** Places in JSON: whatever is written, they are where a parser sees the values. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { elementsOf, membersOf, stringOf, textAt } from "../../../bridge/shared/json.ts";
import { seeded } from "../../support/seed.ts";

/** JSON with random white space, escapes and nesting. */
const value: fc.Arbitrary<string> = fc.letrec<{ value: string; object: string; array: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom("null", "true", "1e400", "-0.0", "9007199254740993", '"\\u0061\\\\"', '"}]\\""'),
    fc.string().map((text) => JSON.stringify(text)),
    fc.array(fc.constantFrom("\\", '"', "long"), { maxLength: 30 }).map((words) => JSON.stringify(words.join("word"))),
    tie("object"),
    tie("array"),
  ),
  object: fc
    .array(fc.tuple(name(), space(), tie("value"), space()))
    .map((members) => `{${members.map((m) => `${m[0]}${m[1]}:${m[3]}${m[2]}`).join(` ,\t`)} }`),
  array: fc
    .array(fc.tuple(space(), tie("value")))
    .map((items) => `[${items.map((item) => item.join("")).join(" , ")} ]`),
})).value;

function name(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom('"id"', '"\\u0069d"', '"__proto__"', '"params"'),
    fc.string().map((text) => JSON.stringify(text)),
  );
}

function space(): fc.Arbitrary<string> {
  return fc.constantFrom("", " ", "\t", "  ");
}

test("members and elements are where a parser sees them, and what is between them is left", () => {
  const check = (text: string) => {
    const bytes = Buffer.from(`xx${text}yy`);
    const span = { start: 2, end: bytes.length - 2 };
    const parsed = JSON.parse(text) as unknown;
    const members = membersOf(bytes, span);
    const elements = elementsOf(bytes, span);
    if (Array.isArray(parsed)) {
      expect(elements?.map((one) => JSON.parse(textAt(bytes, one)) as unknown)).toEqual(parsed);
    } else expect(elements).toBeUndefined();
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return expect(members).toBeUndefined();
    const last = new Map((members ?? []).map((member) => [member.name, JSON.parse(textAt(bytes, member)) as unknown]));
    expect([...last].toSorted(byName)).toEqual(Object.entries(parsed).toSorted(byName));
    for (const { nameStart, start, name: found } of members ?? []) {
      expect(stringOf(bytes, { start: nameStart, end: bytes.indexOf('"', nameStart + 1) + 1 }) !== undefined).toBe(
        true,
      );
      expect(nameStart).toBeLessThan(start);
      expect(typeof found).toBe("string");
    }
  };
  fc.assert(fc.property(value, check), seeded("places in JSON", 500));
});

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

test.each(["{", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1}x', "{a:1}", '{"a":"b', '{"a":[1}', "[1,]", "[1", "", "{} {}"])(
  "%s is no whole object or array",
  (text) => {
    const bytes = Buffer.from(text);
    expect(membersOf(bytes, { start: 0, end: bytes.length })).toBeUndefined();
    expect(elementsOf(bytes, { start: 0, end: bytes.length })).toBeUndefined();
  },
);
