/** How many processes there are, and for how long. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";
import { fixture, Person, Stage, textOf } from "./stage.ts";

const IDLE = { idleMs: 150 };

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("pools");
  await stage.start("unruly", fixture("unruly-server.ts"));
  await stage.start("modern", fixture("telling-server.ts"));
});
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

for (const server of ["unruly", "modern"]) {
  test(`${server}: processes that nobody uses are closed, unless somebody listens or waits`, async () => {
    const { upstream, living, processes } = stage.subject(server, IDLE);
    const person = new Person(upstream, "modern");
    const stop = new AbortController();
    await person.attachment.listen(
      { toolsListChanged: true },
      () => {},
      stop.signal,
      () => {},
    );
    await Bun.sleep(3 * IDLE.idleMs);
    expect(living()).toBe(1);
    const abort = new AbortController();
    const waiting = person.call("never", {}, { signal: abort.signal }).catch(() => {});
    stop.abort();
    await Bun.sleep(3 * IDLE.idleMs);
    if (server === "unruly") expect(living()).toBe(1);
    abort.abort();
    await waiting;
    await until("the end of the idle process", () => living() === 0);
    const before = processes.length;
    await person.call("change");
    expect(processes).toHaveLength(before + 1);
  });
}

test("a legacy client's own process stays for as long as the client does", async () => {
  const { upstream, living } = stage.subject("unruly", IDLE);
  const person = new Person(upstream, "legacy");
  const pid = textOf(await person.call("process"));
  await Bun.sleep(3 * IDLE.idleMs);
  expect(textOf(await person.call("process"))).toBe(pid);
  await person.attachment.close();
  await until("its end", () => living() === 0);
});

for (const server of ["unruly", "modern"]) {
  test(`${server}: a legacy client that only listens holds no process, where sessions are given up`, async () => {
    const { upstream, living, processes } = stage.subject(server, { ...IDLE, sessionIdleMs: 200 });
    const person = new Person(upstream, "legacy");
    const heard: string[] = [];
    const hear = ({ method }: { method: string }) => void heard.push(method);
    await person.attachment.listen({ toolsListChanged: true }, hear, new AbortController().signal, () => {});
    const stop = new AbortController();
    const filter = { resourceSubscriptions: ["x://one"] };
    await person.attachment.listen(
      filter,
      () => {},
      stop.signal,
      () => {},
    );
    await Bun.sleep(600);
    expect(living()).toBe(1);
    stop.abort();
    await until("the end of the session", () => living() === 0);
    await person.call("change");
    expect(processes.length).toBe(server === "unruly" ? 2 : 3);
    // What may have been missed, and the change.
    await until("both", () => heard.length === 2);
    await person.attachment.close();
  });
}

test("when the gateway closes all processes of a server end, and no other is opened", async () => {
  for (const server of ["unruly", "modern"]) {
    const over = new AbortController();
    const { upstream, living } = stage.subject(server, { signal: over.signal });
    const person = new Person(upstream, "modern");
    await person.call("change");
    const waiting = server === "unruly" ? rejection(person.call("never")) : undefined;
    over.abort();
    if (waiting) expect(await waiting).toMatchObject({ kind: "cancelled" });
    expect(await rejection(person.call("change"))).toMatchObject({ kind: "cancelled" });
    await until("their end", () => living() === 0);
  }
});

test("a fifth kind of client takes the place of the one that was there longest, if that is idle", async () => {
  const { upstream, living } = stage.subject("unruly");
  const person = (sampling: number) => new Person(upstream, "modern", { capabilities: { sampling: { sampling } } });
  const pids: string[] = [];
  for (const kind of [1, 2, 3, 4]) pids.push(textOf(await person(kind).call("process")));
  expect(textOf(await person(1).call("process"))).toBe(pids[0] ?? "");
  const abort = new AbortController();
  const waiting = person(2)
    .call("never", {}, { signal: abort.signal })
    .catch(() => {});
  await person(5).call("process");
  await until("the end of the third", () => living() === 4);
  expect(textOf(await person(1).call("process"))).toBe(pids[0] ?? "");
  expect(textOf(await person(2).call("process"))).toBe(pids[1] ?? "");
  expect(textOf(await person(4).call("process"))).toBe(pids[3] ?? "");
  abort.abort();
  await waiting;
});
