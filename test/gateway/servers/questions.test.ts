/** Questions and log messages of servers: who is asked, who is told, and who is not. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Exchange, Params } from "../../../src/gateway/exchange.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";
import { fixture, Person, type PersonOptions, Stage, type Subject, textOf } from "./stage.ts";

let stage: Stage;
let unruly: Subject;
let modern: Subject;

beforeAll(async () => {
  stage = await Stage.open("questions");
  unruly = await stage.start("unruly", fixture("unruly-server.ts"));
  modern = await stage.start("modern", fixture("modern-server.ts"));
});
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

const FORMS = { elicitation: {} };
const EVERYTHING = { elicitation: { form: {}, url: {} }, roots: { listChanged: true }, sampling: {} };
const accept = (content: Params = {}) => ({ action: "accept", content });
const echoing = (capabilities: Params): PersonOptions => ({
  capabilities,
  answer: ({ method, params }) => (method === "roots/list" ? { roots: [] } : accept({ heard: params.message })),
});
/** What a client hears of one call. */
const listener = (level: string) => {
  const heard: unknown[] = [];
  const log: Exchange["log"] = { level, tell: ({ data }) => void heard.push(data) };
  return { heard, log };
};

for (const era of ["legacy", "modern"] as const) {
  test(`a ${era} client is asked by a legacy server`, async () => {
    const person = new Person(unruly.upstream, era, echoing(EVERYTHING));
    expect(JSON.parse(textOf(await person.call("ask")))).toEqual(accept({ heard: "May I?" }));
    const [first, second] = JSON.parse(textOf(await person.call("ask-twice")));
    expect([first.content.heard, second.content.heard]).toEqual(["first", "second"]);
    expect(JSON.parse(textOf(await person.call("ask-both")))).toEqual([accept({ heard: "one" }), { roots: [] }]);
    expect(JSON.parse(textOf(await person.call("ping")))).toEqual({});
    expect(JSON.parse(textOf(await person.call("ask-vendor")))).toMatchObject({ code: -32601 });
    await person.attachment.close();
  });

  test(`a ${era} client hears that a legacy server has taken its question back`, async () => {
    let takenBack = false;
    const answer = (_question: unknown, signal: AbortSignal) =>
      new Promise<Params>((resolve) => {
        signal.addEventListener("abort", () => {
          takenBack = true;
          resolve(accept());
        });
      });
    const person = new Person(unruly.upstream, era, { capabilities: FORMS, answer });
    expect(textOf(await person.call("take-back"))).toBe("without an answer");
    expect(takenBack).toBeTrue();
    await person.attachment.close();
  });

  test(`a ${era} client answers the questions of a modern server`, async () => {
    const answer = () => accept({ colour: "blue" });
    const person = new Person(modern.upstream, era, { capabilities: FORMS, answer });
    expect(textOf(await person.call("ask"))).toBe("you said blue");
    expect(person.asked).toMatchObject([{ method: "elicitation/create", params: { message: "Which colour?" } }]);
    await person.attachment.close();
  });

  test(`a ${era} client that cannot be asked: the call of a modern server fails, and says why`, async () => {
    const person = new Person(modern.upstream, era);
    const reply = await person.call("ask");
    // The SDK's server looks at what the client has declared.
    expect(reply).toMatchObject({ kind: "error", error: { code: -32021 } });
    expect(person.asked).toEqual([]);
    await person.attachment.close();
  });
}

test("a modern client takes the rounds of a modern server itself", async () => {
  const person = new Person(modern.upstream, "modern", { capabilities: FORMS });
  const first = await person.call("ask", {}, { rounds: true });
  if (first.kind !== "input-required") throw new Error(Bun.inspect(first));
  expect(first.requests).toMatchObject({ colour: { method: "elicitation/create" } });
  const retry = { responses: { colour: accept({ colour: "red" }) }, state: first.state };
  expect(textOf(await person.call("ask", {}, { rounds: true, retry }))).toBe("you said red");
});

test("a modern server that asks for what the client has not declared is not passed on", async () => {
  const person = new Person(modern.upstream, "modern", { capabilities: { sampling: {} } });
  // The SDK's server refuses before; either way nobody is asked.
  expect(await person.call("ask", {}, { rounds: true })).toMatchObject({ kind: "error" });
});

test("a legacy server that asks outside a call: the client whose process it is, or nobody", async () => {
  const own = new Person(unruly.upstream, "legacy", echoing(EVERYTHING));
  await until("the answer to its first question", async () => textOf(await own.call("start")) === '{"roots":[]}');
  const shared = new Person(unruly.upstream, "modern", { ...echoing(EVERYTHING), principal: "outside" });
  await shared.request("tools/list");
  await until("the refusal", async () => textOf(await shared.call("start")).includes("-32601"));
  expect(shared.asked).toEqual([]);
  await own.attachment.close();
});

test("calls at the same time are asked apart, in processes of their own, and never more than four", async () => {
  const person = new Person(unruly.upstream, "modern", { ...echoing(FORMS), principal: "parallel" });
  const before = unruly.processes.length;
  const answers: Promise<unknown>[] = Array.from({ length: 12 }, async (_, index) => {
    const message = `question ${index}`;
    const ask = async ({ params }: { params: Params }) => {
      await Bun.sleep(20);
      return accept({ heard: `${params.message} by ${index}` });
    };
    const reply = await person.call("ask", { message }, { ask });
    expect(JSON.parse(textOf(reply)).content.heard).toBe(`${message} by ${index}`);
  });
  await Promise.all(answers);
  expect(unruly.processes.length - before).toBe(4);
});

test("while all processes wait for people, a further call is refused soon, and a list is not", async () => {
  const answer = (_question: unknown, signal: AbortSignal) =>
    new Promise<Params>((resolve) => signal.addEventListener("abort", () => resolve({ action: "cancel" })));
  const person = new Person(unruly.upstream, "modern", { capabilities: FORMS, answer, principal: "patient" });
  const abort = new AbortController();
  const { signal } = abort;
  const waiting = Array.from({ length: 4 }, () => rejection(person.call("ask", {}, { signal })));
  await until("four questions", () => person.asked.length === 4);
  expect((await person.request("tools/list")).kind).toBe("error");
  expect(await rejection(person.call("ask"))).toMatchObject({ kind: "exhausted" });
  abort.abort();
  for (const ended of waiting) expect(await ended).toMatchObject({ kind: "cancelled" });
  const patient = new Person(unruly.upstream, "modern", { ...echoing(FORMS), principal: "patient" });
  expect(textOf(await patient.call("ask"))).toContain("May I?");
}, 15_000);

test("clients with other abilities have other processes; those of other principals, too", async () => {
  const pid = async (principal: string, capabilities: Params) =>
    textOf(await new Person(unruly.upstream, "modern", { ...echoing(capabilities), principal }).call("process"));
  const [one, same, able, stranger] = [
    await pid("alice", { elicitation: { form: {}, url: {} }, roots: {} }),
    await pid("alice", { roots: { listChanged: true }, elicitation: { url: {}, form: {} }, other: {} }),
    await pid("alice", FORMS),
    await pid("bob", { elicitation: { form: {}, url: {} }, roots: {} }),
  ];
  expect(same).toBe(one);
  expect(new Set([one, able, stranger]).size).toBe(3);
});

test("pages that a legacy server wants to be visited first become questions of a modern client's call", async () => {
  const same = { capabilities: { elicitation: { url: {} } }, principal: "visitor" };
  // The page, as it were: where nobody can be asked a call needs no process for itself, so it goes to the same one.
  const page = new Person(unruly.upstream, "modern", same);
  const visitor = new Person(unruly.upstream, "modern", {
    ...same,
    answer: () => {
      void page.call("visit");
      return accept();
    },
  });
  expect(textOf(await visitor.call("pages"))).toBe("seen");
  expect(visitor.asked).toEqual([
    { method: "elicitation/create", params: { mode: "url", message: "Look", url: "https://example.test/a" } },
  ]);
  const old = new Person(unruly.upstream, "legacy");
  expect(await old.call("pages")).toMatchObject({ kind: "error", error: { code: -32042 } });
  await old.attachment.close();
});

test("log messages go to the call that wants any, and the server hears from which level on; without one, to nobody", async () => {
  const person = new Person(unruly.upstream, "modern", { principal: "logs" });
  const { heard, log } = listener("warning");
  await person.call("log", {}, { log });
  // This server says more than it was asked for; the leg leaves it out.
  expect(heard).toEqual(["small", "large"]);
  await person.call("log");
  expect(heard).toHaveLength(2);
  expect(textOf(await person.call("level"))).toBe("warning");
});

test("a legacy client is told by its own process: in a call that wants to hear, and outside", async () => {
  const person = new Person(unruly.upstream, "legacy");
  await person.call("log");
  expect(person.told.map(({ params }) => params.data)).toEqual(["small", "large"]);
  await person.request("logging/setLevel", { level: "notice" });
  expect(textOf(await person.call("level"))).toBe("notice");
  const { heard, log } = listener("debug");
  await person.call("log", {}, { log });
  expect(heard).toEqual(["small", "large"]);
  expect(person.told).toHaveLength(2);
  await person.attachment.close();
});

test("progress is that of the call", async () => {
  const person = new Person(unruly.upstream, "modern", { principal: "progress" });
  const steps: number[] = [];
  await person.call("progress", {}, { progress: ({ progress }) => void steps.push(progress) });
  await person.call("progress");
  expect(steps).toEqual([1, 2, 3]);
});
