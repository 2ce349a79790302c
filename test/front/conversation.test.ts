import { expect, test } from "bun:test";
import { Conversation } from "../../src/front/conversation.ts";

const begin = () => new Conversation({ prefix: "x-", repeat: false });
const bytes = (...lines: string[]) => Buffer.from(lines.map((line) => `${line}\n`).join(""));

test("requests are in flight until their answer, and come out as they were written", () => {
  const flight = begin();
  const ids = ["0", "9007199254740993", '"a\\"b"', '"1"', "-1"];
  flight.passed(bytes(...ids.map((id) => `{"jsonrpc":"2.0","id":${id},"method":"m"}`)));
  flight.passed(bytes('{"jsonrpc":"2.0","method":"notifications/x"}', "", '{"jsonrpc":"2.0","id":7,"result":{}}'));
  expect(flight).toMatchObject({ size: 5, requests: 5 });
  expect(flight.countLines()).toBe(8);
  flight.received(
    bytes('{"result":{},"jsonrpc":"2.0","id":0}', '{"jsonrpc":"2.0","id":"1","error":{"code":1,"message":""}}'),
  );
  // A request of the server with the id of one of ours answers nothing.
  flight.received(bytes('{"jsonrpc":"2.0","id":-1,"method":"roots/list"}'));
  expect(flight.takeUnanswered()).toEqual(["9007199254740993", '"a\\"b"', "-1"]);
  expect(flight.size).toBe(0);
});

test("a batch counts with each of its requests", () => {
  const flight = begin();
  flight.passed(bytes('[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":2,"method":"b"}]'));
  flight.received(bytes('[{"jsonrpc":"2.0","id":2,"result":{}}]'));
  expect(flight.takeUnanswered()).toEqual(["1"]);
});

test("a cancelled request is waited for no more; another notification cancels nothing", () => {
  const flight = begin();
  const cancel = (id: number | string, method = "notifications/cancelled") =>
    JSON.stringify({ jsonrpc: "2.0", method, params: { requestId: id, reason: "notifications/cancelled" } });
  for (const id of [1, '"1"', 2, '"x"']) flight.passed(bytes(`{"jsonrpc":"2.0","id":${id},"method":"a"}`));
  flight.passed(bytes(cancel(1), cancel("x"), cancel(2, "notifications/other"), cancel(77)));
  expect(flight.takeUnanswered()).toEqual(['"1"', "2"]);
});

test("chunks may cut a message anywhere", () => {
  const whole = bytes('{"jsonrpc":"2.0","id":1,"method":"a","params":{"text":"ü"}}');
  for (let cut = 0; cut <= whole.length; cut += 1) {
    const flight = begin();
    flight.passed(whole.subarray(0, cut));
    flight.passed(whole.subarray(cut));
    expect(flight.takeUnanswered()).toEqual(["1"]);
  }
});

test("requests that are never answered do not pile up without end", () => {
  const flight = begin();
  for (let id = 0; id < 70_000; id += 1) flight.passed(bytes(`{"jsonrpc":"2.0","id":${id},"method":"a"}`));
  expect(flight.size).toBe(65_536);
  expect(flight.takeUnanswered().at(-1)).toBe("69999");
});
