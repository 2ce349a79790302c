/** What servers tell unasked: who hears it, over the ends of processes too. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Note } from "../../../src/gateway/exchange.ts";
import { until } from "../../support/until.ts";
import { fixture, Person, Stage, type Subject, textOf } from "./stage.ts";

let stage: Stage;
let unruly: Subject;
let modern: Subject;

beforeAll(async () => {
  stage = await Stage.open("listens");
  unruly = await stage.start("unruly", fixture("unruly-server.ts"));
  modern = await stage.start("modern", fixture("telling-server.ts"));
});
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

const ALL = { toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: ["x://one", "x://refused"] };
const TOOLS = "notifications/tools/list_changed";
const UPDATED = "notifications/resources/updated";

async function listen(person: Person, filter = ALL as object) {
  const heard: Note[] = [];
  const stop = new AbortController();
  let ends = 0;
  const granted = await person.attachment.listen(
    filter,
    (note) => void heard.push(note),
    stop.signal,
    () => void (ends += 1),
  );
  return {
    heard,
    granted,
    stop: () => stop.abort(),
    ends: () => ends,
    methods: () => heard.map(({ method }) => method),
  };
}

for (const era of ["legacy", "modern"] as const) {
  test(`a ${era} client hears of a legacy server what it has asked for and is granted`, async () => {
    const person = new Person(unruly.upstream, era, { principal: `listens ${era}` });
    const { heard, granted, stop } = await listen(person);
    // No prompts there, and one resource that it will not tell of.
    expect(granted).toEqual({ toolsListChanged: true, resourceSubscriptions: ["x://one"] });
    const narrow = await listen(person, { resourceSubscriptions: ["x://other"] });
    await person.call("change");
    expect(heard).toEqual([
      { method: TOOLS, params: {} },
      { method: UPDATED, params: { uri: "x://one/part" } },
    ]);
    expect(narrow.heard).toEqual([]);
    expect(JSON.parse(textOf(await person.call("subscribed")))).toEqual(["x://one", "x://other"]);
    stop();
    expect(JSON.parse(textOf(await person.call("subscribed")))).toEqual(["x://other"]);
    await person.call("change");
    expect(heard).toHaveLength(2);
    await person.attachment.close();
  });

  test(`a ${era} client hears of a modern server`, async () => {
    const person = new Person(modern.upstream, era, { principal: `listens ${era}` });
    const filter = { toolsListChanged: true, resourceSubscriptions: ["note://one"] };
    const { heard, granted, stop, methods } = await listen(person, filter);
    expect(granted).toEqual(filter);
    await person.call("change");
    await until("both", () => heard.length === 2);
    expect(methods().toSorted()).toEqual([UPDATED, TOOLS]);
    expect(JSON.stringify(heard)).not.toContain("subscriptionId");
    stop();
    await person.call("change");
    await person.call("change");
    expect(heard).toHaveLength(2);
    await person.attachment.close();
  });
}

test("two listeners subscribe once, and the last one unsubscribes", async () => {
  const person = new Person(unruly.upstream, "legacy");
  const [one, other] = await Promise.all([
    listen(person, { resourceSubscriptions: ["x://one"] }),
    listen(person, { resourceSubscriptions: ["x://one"] }),
  ]);
  one.stop();
  expect(textOf(await person.call("subscribed"))).toContain("x://one");
  other.stop();
  expect(textOf(await person.call("subscribed"))).toBe("[]");
  const sent = unruly.processes.at(-1)?.filter((line) => line.includes("resources/subscribe"));
  expect(sent).toHaveLength(1);
  await person.attachment.close();
});

test("a change that one process of a pool tells of is heard by who listens to the others", async () => {
  const same = { principal: "pool", capabilities: { elicitation: {} } };
  const person = new Person(unruly.upstream, "modern", same);
  const { heard } = await listen(person);
  const abort = new AbortController();
  const busy = new Person(unruly.upstream, "modern", { ...same, answer: () => new Promise(() => {}) });
  const waiting = busy.call("ask", {}, { signal: abort.signal }).catch(() => {});
  await until("the question", () => busy.asked.length === 1);
  await busy.call("change");
  await until("the change", () => heard.length === 2);
  expect(unruly.processes.at(-1)?.some((line) => line.includes("resources/subscribe"))).toBeTrue();
  abort.abort();
  await waiting;
});

test("a legacy client's listening goes on with the next process, and it is told that it may have missed something", async () => {
  const person = new Person(unruly.upstream, "legacy");
  const { methods, ends } = await listen(person);
  await person.call("die", { code: 1 });
  // Nobody starts the server again only to listen to it.
  const before = unruly.processes.length;
  expect(textOf(await person.call("subscribed"))).toBe('["x://one"]');
  expect(unruly.processes).toHaveLength(before + 1);
  expect(methods()).toEqual([TOOLS, UPDATED]);
  await person.call("change");
  expect(methods()).toEqual([TOOLS, UPDATED, TOOLS, UPDATED]);
  expect(ends()).toBe(0);
  await person.attachment.close();
});

test("a modern client is told that its listening has ended with the process, of either era", async () => {
  for (const { upstream } of [unruly, modern]) {
    const person = new Person(upstream, "modern", { principal: "ends" });
    const { ends } = await listen(person);
    await person.call("die", { code: 1 }).catch(() => {});
    await until("the end", () => ends() === 1);
    expect((await listen(person)).granted).toMatchObject({ toolsListChanged: true });
  }
});

test("a legacy client's listening to a modern server outlives its process, too", async () => {
  const person = new Person(modern.upstream, "legacy", { principal: "outlives" });
  const { methods, ends } = await listen(person, { toolsListChanged: true });
  await person.call("die").catch(() => {});
  await person.call("change");
  await until("what was missed, or the change", () => methods().includes(TOOLS));
  expect(ends()).toBe(0);
  await person.attachment.close();
});

test("a subscription that a modern server has ended, in either way, is begun again for a legacy client", async () => {
  for (const how of ["result", "cancelled"]) {
    const person = new Person(modern.upstream, "legacy", { principal: how });
    const { methods } = await listen(person, { toolsListChanged: true });
    await person.call("end", { how });
    await until("what may have been missed", () => methods().length === 1);
    await person.call("change");
    await until("the change", () => methods().length === 2);
    await person.attachment.close();
  }
});
