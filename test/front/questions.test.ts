import { expect, test } from "bun:test";
import { Questions, replaceId } from "../../src/front/questions.ts";

test.each([
  ['{"jsonrpc":"2.0","id":0,"method":"m"}', '"x"', '{"jsonrpc":"2.0","id":"x","method":"m"}'],
  ['{"params":{"id":7,"n":9007199254740993},"id" : 7}', '"x"', '{"params":{"id":7,"n":9007199254740993},"id" : "x"}'],
  ['{"id":"a\\"b","result":{"id":"a"}}', "12", '{"id":12,"result":{"id":"a"}}'],
  ['{"text":"\\"id\\":1","id":1.50}', "-3", '{"text":"\\"id\\":1","id":-3}'],
  ['{"a":[{"id":1},{"id":2}]}', '"x"', undefined],
  ['{"id":1', '"x"', undefined],
  ["", '"x"', undefined],
])("the id of %s becomes %s", (text, id, expected) => {
  expect(replaceId(text, id)).toBe(expected);
});

test("a process that ends takes its questions back; late answers go nowhere", () => {
  const questions = new Questions("q-");
  const line = (id: number) => `{"jsonrpc":"2.0","id":${id},"method":"roots/list"}`;
  const answer = (id: number | string) => `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{}}`;
  expect(questions.plain).toBe(true);
  for (const id of [0, 1]) expect(questions.ask(id, () => line(id))).toBeUndefined();
  expect(questions.answer(1, () => answer(1))).toBe("pass");
  const off = questions.ended().trimEnd().split("\n");
  expect(off.map((text) => JSON.parse(text).params.requestId)).toEqual([0]);
  expect(questions.plain).toBe(false);
  expect(questions.answer(0, () => answer(0))).toBe("drop");
  // The next process asks under the same id; what it has asked before and was answered keeps its id.
  const renamed = JSON.parse(questions.ask(0, () => line(0)) ?? "");
  expect(renamed).toEqual({ jsonrpc: "2.0", id: "q-1", method: "roots/list" });
  expect(questions.ask(1, () => line(1))).toBeUndefined();
  expect(questions.answer(0, () => answer(0))).toBe("drop");
  expect(questions.answer('"q-1', () => answer("q-1"))).toBe('{"jsonrpc":"2.0","id":0,"result":{}}');
  expect(questions.answer(1, () => answer(1))).toBe("pass");
  expect(questions.ended()).toBe("");
});

test("questions that nobody answers do not pile up", () => {
  const questions = new Questions("q-");
  for (let id = 0; id < 10_000; id += 1) questions.ask(id, () => "");
  expect(questions.ended().trimEnd().split("\n")).toHaveLength(4_096);
});
