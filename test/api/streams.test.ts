/** Logs and events as they happen. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import type { EventView } from "../../src/model/views.ts";
import { type ApiUnderTest, fixture, startApi } from "../support/api.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";

let api: ApiUnderTest;

/** Above Bun's own limit for quiet connections, which is 10 s. */
const QUIET_MS = 12_500;

beforeAll(async () => {
  api = await startApi("streams");
  await api.client.start("talker", fixture("tools-legacy.ts"));
  await api.client.call("talker", { tool: "echo", arguments: { text: "x" } });
});
afterAll(() => api[Symbol.asyncDispose]());

test("the log as text, with times on request, only the last lines on request", async () => {
  const plain = await api.http("/servers/talker/logs");
  expect(plain.headers.get("content-type")).toStartWith("text/plain");
  const lines = (await plain.text()).split("\n").filter(Boolean);
  expect(lines.join("\n")).toContain("tools-legacy is up");
  const timed = (await (await api.http("/servers/talker/logs?timestamps=true&tail=1")).text())
    .split("\n")
    .filter(Boolean);
  expect(timed).toHaveLength(1);
  expect(timed[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /);
  expect(await (await api.http("/servers/talker/logs?tail=0")).text()).toBe("");
});

test("the log of a server that is not there is a plain 404, followed or not", async () => {
  for (const query of ["", "?follow=true"]) {
    const response = await api.http(`/servers/nobody/logs${query}`);
    expect(response.status).toBe(404);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
  }
});

test("a followed log goes on with what the server writes, and ends with the server", async () => {
  await api.client.start("doomed", fixture("tools-legacy.ts"));
  const lines: string[] = [];
  const followed = (async () => {
    for await (const { text } of api.client.logs("doomed", { follow: true })) lines.push(text);
  })();
  await api.client.call("doomed", { tool: "crash", arguments: { code: 3 } }).catch(() => {});
  await until("the last words", () => lines.some((line) => line.includes("about to crash")));
  await api.client.stop("doomed");
  await followed;
  await api.client.remove("doomed");
});

test("events: the past as a list, the new ones as they happen, none missed and none twice", async () => {
  const past = await api.client.events();
  expect(past.length).toBeGreaterThan(0);
  expect(await api.client.events(1)).toEqual(past.slice(-1));
  const seen: EventView[] = [];
  const stop = new AbortController();
  const followed = (async () => {
    for await (const event of api.client.followEvents(past.length, stop.signal)) seen.push(event);
  })();
  await until("the past", () => seen.length >= past.length);
  await api.client.restart("talker");
  const now = await api.client.events(1000);
  await until("the new events", () => seen.length >= now.length);
  stop.abort();
  await followed;
  expect(seen.slice(0, now.length)).toEqual(now);
});

test(
  "a quiet stream stays open on the port and on the socket",
  async () => {
    const stop = new AbortController();
    const { signal } = stop;
    const overPort = await api.http("/servers/talker/logs?follow=true&tail=0", { signal });
    const overSocket = await fetch("http://localhost/events?follow=true", { unix: api.socket, signal });
    const ended = [overPort, overSocket].map(async (response) => {
      for await (const _ of response.body ?? []) continue;
    });
    const outcome = await Promise.race([
      Promise.any(ended).then(
        () => "ended",
        () => "broken",
      ),
      Bun.sleep(QUIET_MS).then(() => "open"),
    ]);
    expect(outcome).toBe("open");
    stop.abort();
    await Promise.allSettled(ended);
  },
  QUIET_MS + 15_000,
);

test("a follower that goes away is forgotten", async () => {
  await until("the end of other requests", () => api.api.pending === 0);
  const stop = new AbortController();
  const response = await api.http("/events?follow=true", { signal: stop.signal });
  expect(response.status).toBe(200);
  expect(api.api.pending).toBe(1);
  stop.abort();
  await until("the end of the stream", () => api.api.pending === 0);
});

test("a manager that stops ends streams at once and says so, and lets calls finish", async () => {
  await using stopping = await startApi("stopping");
  await stopping.client.start("slow", fixture("tools-legacy.ts"));
  const follower = (async () => {
    for await (const _ of stopping.client.followEvents()) continue;
  })();
  const ended = follower.catch((error: unknown) => error);
  let started = () => {};
  const running = new Promise<void>((resolve) => {
    started = resolve;
  });
  const call = stopping.client.call(
    "slow",
    { tool: "slow", arguments: { steps: 10, stepMs: 50 } },
    { report: () => started() },
  );
  await running;
  const closed = stopping.api.close(Deadline.in(10_000));
  expect(await ended).toMatchObject({ kind: "unreachable", message: "the manager is stopping" });
  expect((await call).content[0]?.text).toBe("done");
  await closed;
  expect(await rejection(stopping.client.servers())).toMatchObject({ kind: "unreachable" });
});
