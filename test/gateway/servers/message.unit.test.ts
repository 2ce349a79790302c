/** Reading lines of servers: whatever they send, what is passed on as text is the one value that it is taken for. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { read, requestLine } from "../../../src/gateway/servers/message.ts";
import { seeded } from "../../support/seed.ts";

const json = fc.jsonValue({ maxDepth: 4 }).filter((value) => JSON.stringify(value) !== undefined);
const result = fc.dictionary(fc.string(), json);
const id = fc.nat();

test("a result is found in every order of members, and its text is kept", () => {
  fc.assert(
    fc.property(result, id, (given, about) => {
      const text = JSON.stringify(given);
      for (const line of [
        `{"jsonrpc":"2.0","id":${about},"result":${text}}`,
        `{"result":${text},"jsonrpc":"2.0","id":${about}}`,
      ]) {
        const [message, ...others] = read(line);
        expect(others).toEqual([]);
        if (message?.kind !== "result") throw new Error(`no result: ${line}`);
        expect(message.id).toBe(about);
        expect(message.result.text).toBe(text);
      }
      const [odd] = read(`{ "id" : ${about}, "result" : ${text}, "jsonrpc" : "2.0" }`);
      expect(odd).toMatchObject({ kind: "result", id: about });
    }),
    seeded("results", 200),
  );
});

test("no line, however it was tampered with, has a text that is not exactly its value", () => {
  const parts = fc.constantFrom(
    '{"a":1}',
    "{}",
    '"id":2',
    '"result":{}',
    '"jsonrpc":"2.0"',
    ",",
    "}",
    "{",
    "[",
    "]",
    '"',
  );
  const tampered = fc
    .tuple(result, id, fc.array(parts, { maxLength: 6 }), fc.boolean())
    .map(([given, about, more, first]) => {
      const text = JSON.stringify(given) + more.join("");
      return first
        ? `{"result":${text},"jsonrpc":"2.0","id":${about}}`
        : `{"jsonrpc":"2.0","id":${about},"result":${text}}`;
    });
  fc.assert(
    fc.property(tampered, (line) => {
      for (const message of read(line)) {
        if (message.kind !== "result") continue;
        const alone = JSON.parse(message.result.text);
        expect(JSON.parse(`{"id":"mine","result":${message.result.text}}`)).toEqual({ id: "mine", result: alone });
      }
    }),
    seeded("tampered results", 500),
  );
});

test("numbers that a double does not hold, and names that objects do not like, stay as they are", () => {
  const text = '{"n":9007199254740993,"e":1e400,"__proto__":{"x":1},"a":1,"a":2}';
  const [message] = read(`{"result":${text},"jsonrpc":"2.0","id":3}`);
  expect(message?.kind === "result" && message.result.text).toBe(text);
});

test("answers to ids that are not ours, and what is no message, are nothing", () => {
  for (const line of [
    '{"jsonrpc":"2.0","id":"1","result":{}}',
    '{"jsonrpc":"2.0","id":1,"result":3}',
    "[]",
    "1",
    "{",
    "",
  ]) {
    expect(read(line)).toEqual([]);
  }
  expect(read('{"jsonrpc":"2.0","id":1.0,"result":{}}')).toMatchObject([{ id: 1 }]);
  expect(read('{"jsonrpc":"2.0","id":1,"error":{}}')).toMatchObject([{ kind: "error", error: { code: -32603 } }]);
});

test("what is sent is one line", () => {
  expect(requestLine(1, "x", { text: "a\nb\u2028" })).not.toContain("\n");
});

test("white space that ends a line elsewhere is not passed on", () => {
  for (const line of [
    '{"jsonrpc":"2.0","id":1,"result":{\r"a":\r"b\\r"}}',
    '{"result":{\r"a":"b\\r"},"jsonrpc":"2.0","id":1}',
  ]) {
    const [message] = read(line);
    expect(message?.kind === "result" && message.result.text).toBe('{"a":"b\\r"}');
  }
});
