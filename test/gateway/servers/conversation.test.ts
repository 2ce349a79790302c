/** Requests that take long, over an end of a pair: what keeps one alive, and what ends it. */
import { expect, test } from "bun:test";
import { Conversation } from "../../../src/gateway/servers/conversation.ts";
import { linePair, type Lines } from "../../../src/gateway/servers/lines.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";

const QUIET_MS = 400;

/** A conversation, and the other end of it as a list of what has come. */
function converse(): { conversation: Conversation; far: Lines; heard: any[] } {
  const [near, far] = linePair();
  const heard: any[] = [];
  far.open({ line: (line) => void heard.push(JSON.parse(line)), drained() {}, ended() {} });
  const conversation = new Conversation(near, { question() {}, note() {}, ended() {} }, QUIET_MS);
  return { conversation, far, heard };
}

test("a request of which nothing is heard is given up, and cancelled; one that goes on is not", async () => {
  const { conversation, far, heard } = converse();
  const silent = rejection(conversation.call("silent", {}));
  const steps: number[] = [];
  const busy = conversation.call("busy", {}, { progress: ({ progress }) => void steps.push(progress) });
  await until("both requests", () => heard.length === 2);
  const [{ id: first }, { id: second, params }] = heard;
  expect(params._meta.progressToken).toBe(second);
  const sending = setInterval(() => {
    const progress = { progressToken: second, progress: steps.length + 1 };
    far.send(JSON.stringify({ jsonrpc: "2.0", method: "notifications/progress", params: progress }));
  }, QUIET_MS / 8);
  expect(await silent).toMatchObject({ kind: "timeout" });
  expect(heard[2]).toMatchObject({ method: "notifications/cancelled", params: { requestId: first } });
  clearInterval(sending);
  far.send(`{"result":{"done":true},"jsonrpc":"2.0","id":${second}}`);
  const answer = await busy;
  expect("result" in answer && answer.result.value).toEqual({ done: true });
  expect(steps.length).toBeGreaterThan(3);
  conversation.close();
});

test("more than 1,024 requests at the same time are refused, and the server gets none of those", async () => {
  const { conversation, heard } = converse();
  const calls = Array.from({ length: 1_024 }, () => rejection(conversation.call("x", {})));
  expect(await rejection(conversation.call("x", {}))).toMatchObject({ kind: "exhausted" });
  await until("the others", () => heard.length === 1_024);
  conversation.close();
  for (const ended of await Promise.all(calls)) expect(ended).toMatchObject({ kind: "cancelled" });
  expect(await rejection(conversation.call("x", {}))).toMatchObject({ kind: "cancelled" });
});
