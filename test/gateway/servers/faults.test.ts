/** Servers that die, hang, flood, and answer what nobody has asked: each request has one end, and nobody else hears it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Fault } from "../../../src/base/fault.ts";
import type { Reply } from "../../../src/gateway/exchange.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";
import { fixture, Person, resultOf, Stage, type Subject, textOf } from "./stage.ts";

let stage: Stage;
let unruly: Subject;

beforeAll(async () => {
  stage = await Stage.open("server-faults");
  unruly = await stage.start("unruly", fixture("unruly-server.ts"));
});
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

/** What a call ended with: the bridge answers for a server that has ended, and a session that is over ends the rest. */
async function failure(call: Promise<Reply>): Promise<unknown> {
  try {
    const reply = await call;
    return reply.kind === "error" ? reply.error.data : reply;
  } catch (error) {
    const { kind, data } = Fault.from(error);
    return { kind, ...data };
  }
}

for (const era of ["legacy", "modern"] as const) {
  test(`${era}: a server that dies in calls: each has one error, and the next call another process`, async () => {
    const person = new Person(unruly.upstream, era, { principal: `dying ${era}` });
    const pid = textOf(await person.call("process"));
    const calls = ["hold", "never", "die", "hold"].map((tool) => failure(person.call(tool, { code: 7 })));
    // The last one may not have reached it.
    for (const ended of await Promise.all(calls)) expect(ended).toMatchObject({ kind: "server-failed", code: 7 });
    expect(textOf(await person.call("process"))).not.toBe(pid);
    await person.attachment.close();
  });
}

test("a call that hangs is given up when its client does, and the server is told", async () => {
  const person = new Person(unruly.upstream, "legacy");
  const abort = new AbortController();
  const hanging = rejection(person.call("never", {}, { signal: abort.signal }));
  expect(textOf(await person.call("process"))).toMatch(/^\d+$/);
  abort.abort();
  expect(await hanging).toMatchObject({ kind: "cancelled" });
  await until("the cancellation", () => unruly.processes.at(-1)?.at(-1)?.includes("notifications/cancelled"));
  await person.attachment.close();
});

test("an answer that comes after all goes to nobody", async () => {
  const late = await stage.start("late", fixture("unruly-server.ts", "late"));
  const person = new Person(late.upstream, "legacy");
  const abort = new AbortController();
  const given = rejection(person.call("never", {}, { signal: abort.signal }));
  await person.call("process");
  abort.abort();
  expect(await given).toMatchObject({ kind: "cancelled" });
  expect(textOf(await person.call("process"))).toMatch(/^\d+$/);
  await person.attachment.close();
});

test("answers with ids that nobody waits for, and second answers, go to nobody", async () => {
  const person = new Person(unruly.upstream, "legacy");
  const held = person.call("hold");
  expect(textOf(await person.call("strangers"))).toBe("for you");
  expect(textOf(await person.call("twice"))).toBe("first");
  expect(textOf(await person.call("release"))).toBe("released");
  expect(textOf(await held)).toBe("held");
  await person.attachment.close();
});

test("what is passed on as text is one value, whatever else the line says", async () => {
  const person = new Person(unruly.upstream, "legacy");
  const reply = await person.call("smuggle");
  expect(reply.kind).toBe("result");
  const text = reply.kind === "result" ? reply.result.text : "";
  expect(JSON.parse(text)).toEqual(resultOf(reply));
  expect(Object.keys(JSON.parse(text))).toEqual(["content"]);
  expect(textOf(await person.call("batch"))).toBe("in a batch");
  await person.attachment.close();
});

test("a flood of notifications reaches who wants it, in order, and the answer after it", async () => {
  const person = new Person(unruly.upstream, "legacy");
  const count = 50_000;
  expect(textOf(await person.call("flood", { count }))).toBe("flooded");
  expect(person.told).toHaveLength(count);
  expect(person.told.every(({ params }, index) => params.data === index)).toBeTrue();
  // Nobody has asked for them here.
  const silent = new Person(unruly.upstream, "modern", { principal: "flooded" });
  expect(textOf(await silent.call("flood", { count }))).toBe("flooded");
  expect(silent.told).toEqual([]);
  await person.attachment.close();
});

test("a huge answer arrives whole; one beyond the limit is an error of its own call", async () => {
  const person = new Person(unruly.upstream, "legacy");
  const bytes = 8 * 1024 * 1024;
  expect(textOf(await person.call("huge", { bytes }))).toHaveLength(bytes);
  const held = person.call("hold");
  expect(await person.call("huge", { bytes: 17 * 1024 * 1024 })).toMatchObject({
    kind: "error",
    error: { code: -32013 },
  });
  const fault = await rejection(person.call("process", { padding: "x".repeat(17 * 1024 * 1024) }));
  expect(fault).toMatchObject({ kind: "too-large" });
  await person.call("release");
  expect(textOf(await held)).toBe("held");
  await person.attachment.close();
}, 20_000);

test("a server that reads nothing for a while gets all in the end, in order, and a cancelled request is not forgotten", async () => {
  const person = new Person(unruly.upstream, "legacy");
  const padding = "x".repeat(1024 * 1024);
  const deaf = person.call("deaf", { ms: 700 });
  const abort = new AbortController();
  const given = rejection(person.call("process", { padding }, { signal: abort.signal }));
  const calls = Array.from({ length: 24 }, () => person.call("process", { padding }));
  abort.abort();
  expect(await given).toMatchObject({ kind: "cancelled" });
  expect(textOf(await deaf)).toBe("heard");
  expect(new Set((await Promise.all(calls)).map(textOf)).size).toBe(1);
  await person.attachment.close();
});

test("a server that says that it has ended is taken at its word", async () => {
  const person = new Person(unruly.upstream, "legacy");
  const before = unruly.living();
  expect(await person.call("forge")).toMatchObject({ kind: "error" });
  expect(textOf(await person.call("process"))).toMatch(/^\d+$/);
  await until("the end of the old process", () => unruly.living() <= before + 1);
  await person.attachment.close();
});

test("a client that leaves takes its own process with it, and its calls end", async () => {
  const person = new Person(unruly.upstream, "legacy");
  const before = unruly.living();
  await person.call("process");
  const hanging = rejection(person.call("never"));
  await person.attachment.close();
  expect(await hanging).toMatchObject({ kind: "cancelled" });
  expect(await rejection(person.call("process"))).toMatchObject({ kind: "cancelled" });
  await until("the end of its process", () => unruly.living() <= before);
});
