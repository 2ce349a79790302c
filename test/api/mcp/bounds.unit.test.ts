/** The event store and the limits by themselves: pure, so that bounds can be small and clocks turned. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EventStore } from "../../../src/api/mcp/event-store.ts";
import { Limits } from "../../../src/api/mcp/limits.ts";
import { type Socket, SocketChannel } from "../../../src/api/mcp/socket.ts";
import { answerModern } from "../../../src/api/mcp/modern.ts";
import { ParamHeaders } from "../../../src/api/mcp/param-headers.ts";
import type { ModernDoor } from "../../../src/gateway/clients/modern.ts";
import { seal } from "../../gateway/clients/channel.ts";
import { FakeUpstream, text } from "../../gateway/clients/fake.ts";
import { EventSessions } from "../../../src/api/mcp/sse.ts";
import { Streamable } from "../../../src/api/mcp/streamable.ts";
import type { Selection, Upstream } from "../../../src/gateway/exchange.ts";
import { readMessage } from "../../../src/gateway/clients/message.ts";
import { META } from "./support.ts";
import { seeded } from "../../support/seed.ts";

describe("the event store", () => {
  test("gives what comes after an event, of its stream only", () => {
    const store = new EventStore();
    const beginning = store.begin(1);
    store.append(1, "a");
    store.append(2, "b");
    const c = store.append(1, "c");
    expect(store.after(beginning)?.map(({ text }) => text)).toEqual(["a", "c"]);
    expect(store.after(c.id)).toEqual([]);
    expect(store.after("3-0")).toBeUndefined();
    expect(store.after("1-4")).toBeUndefined();
  });

  test("no id is given twice, also when a stream was forgotten meanwhile", () => {
    const store = new EventStore(2, 100);
    const first = store.append(0, "first");
    for (let stream = 1; stream < 5; stream += 1) store.append(stream, "x");
    expect(store.append(0, "second").id).not.toBe(first.id);
    expect(store.after(first.id)).toBeUndefined();
  });

  test("whatever it drops, it never passes over a hole", () => {
    const step = fc.record({ stream: fc.integer({ min: 0, max: 3 }), size: fc.integer({ min: 0, max: 12 }) });
    const check = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const store = new EventStore(8, 40);
      const sent = new Map<number, { id: string; text: string }[]>();
      for (const [n, { stream, size }] of steps.entries()) {
        const all = sent.get(stream) ?? [{ id: store.begin(stream), text: "" }];
        all.push(store.append(stream, `${n}`.padEnd(size, ".")));
        sent.set(stream, all);
      }
      for (const all of sent.values()) {
        for (const [at, { id }] of all.entries()) {
          const rest = store.after(id);
          if (rest) expect(rest).toEqual(all.slice(at + 1));
        }
      }
      // The last one is always there to come back to.
      const last = steps.at(-1);
      if (last) expect(store.after(sent.get(last.stream)?.at(-1)?.id ?? "")).toEqual([]);
    });
    fc.assert(check, seeded("event store", 300));
  });
});

describe("limits", () => {
  test("a bucket: so many at once, then so many a second", () => {
    let now = 0;
    const limits = new Limits({ rate: 2, burst: 3, concurrent: 100 }, () => now);
    const ask = () => limits.enter("a") === undefined;
    expect([ask(), ask(), ask(), ask()]).toEqual([true, true, true, false]);
    now += 500;
    expect([ask(), ask()]).toEqual([true, false]);
    expect(limits.enter("b")).toBeUndefined();
    now += 60_000;
    expect([ask(), ask(), ask(), ask()]).toEqual([true, true, true, false]);
  });

  test("what is refused is not counted", () => {
    const limits = new Limits({ concurrent: 1 }, () => 0);
    expect(limits.enter("a")).toBeUndefined();
    expect(limits.enter("a")?.data).toEqual({ retryAfterS: 1 });
    limits.leave("a");
    expect(limits.enter("a")).toBeUndefined();
  });

  test("says how long to wait", () => {
    const limits = new Limits({ rate: 0.1, burst: 1, concurrent: 9 }, () => 0);
    limits.enter("a");
    expect(limits.enter("a")?.data).toEqual({ retryAfterS: 10 });
  });
});

describe("a WebSocket whose client does not read", () => {
  /** How many messages of this size it takes until the client is cut off. */
  const taken = (chars: number): number => {
    const upstream = new FakeUpstream("legacy", () => text("legacy", "done"));
    const gateways = { all: () => upstream, one: () => upstream };
    const caller = { principal: "p", allow: undefined, readOnly: false, ended: undefined, endsAt: Infinity };
    const limits = new Limits({ concurrent: 1 });
    const channel = new SocketChannel(gateways, seal, caller, { kind: "all", group: undefined }, limits, () => {});
    let code = 0;
    const socket = { send: () => -1, close: (given: number) => void (code = given) };
    channel.open(socket as unknown as Socket);
    // The refusal is the first thing that is not read.
    channel.message("nonsense");
    for (let count = 0; count < 1_000; count += 1) {
      channel.message("x".repeat(chars));
      if (code !== 0) return count;
    }
    return Infinity;
  };

  test("is kept waiting with 64 messages, and with 16 MiB", () => {
    expect(taken(10)).toBe(64);
    expect(taken(4 * 1024 * 1024)).toBe(4);
  });
});

test("clients of 300 different scopes: whoever listens or waits is not shut out by the others", async () => {
  const closed: string[] = [];
  const release = Promise.withResolvers<void>();
  const waiting = async () => (await release.promise, text("legacy", "in the end"));
  const all = ({ allow }: Selection): Upstream => {
    const fake = new FakeUpstream("legacy", (exchange) =>
      allow?.[0] === "s0" ? waiting() : text("legacy", exchange.method),
    );
    const attach: Upstream["attach"] = (client) => ({
      ...fake.attach(client),
      close: async () => void closed.push(String(allow?.[0])),
    });
    return { attach };
  };
  const gateways = { all, one: () => all({}) };
  const ending = new AbortController().signal;
  const streamable = new Streamable({ gateways, seal, inFlightMax: 64, ending });
  const ask = (scope: string) => {
    const message = readMessage({ jsonrpc: "2.0", id: 1, method: "tools/list", params: { _meta: META } });
    const headers = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list" };
    const request = new Request("http://localhost/mcp", { method: "POST", headers });
    const caller = { principal: scope, allow: [scope], readOnly: false, ended: undefined, endsAt: Infinity };
    return streamable.post({ request, caller, target: { kind: "all", group: undefined }, onDone: () => {} }, message);
  };
  const first = ask("s0");
  for (let index = 1; index <= 300; index += 1) expect((await ask(`s${index}`)).status).toBe(200);
  expect(closed).toHaveLength(45);
  expect(closed).not.toContain("s0");
  release.resolve();
  expect(await (await first).text()).toContain("in the end");
  await streamable.close();
});

test("a list of tools that is nested too deeply to be looked through for hints is passed on all the same", async () => {
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  const tools = `[{"name":"x","inputSchema":{"x-mcp-header":"X","examples":${deep}}}]`;
  const text = `{"jsonrpc":"2.0","id":1,"result":{"tools":${tools}}}`;
  const door = { handle: async () => ({ text, code: undefined }) } as unknown as ModernDoor;
  const [gone, message] = [new AbortController().signal, { id: 1, method: "tools/list", params: {} }];
  let done = 0;
  const onDone = () => void (done += 1);
  const hints = new ParamHeaders(door);
  const answer = answerModern({ message, door, hints, principal: "p", gone, ended: [], onDone });
  expect(await (await answer).text()).toBe(text);
  expect(done).toBe(1);
});

test("clients that have gone before their stream was opened hold no session of HTTP+SSE", async () => {
  const upstream = new FakeUpstream("legacy", () => text("legacy", "done"));
  const sessions = new EventSessions({ all: () => upstream, one: () => upstream });
  const caller = { principal: "p", allow: undefined, readOnly: false, ended: undefined, endsAt: Infinity };
  const request = new Request("http://localhost/sse", { signal: AbortSignal.abort() });
  for (let count = 0; count < 40; count += 1)
    sessions.open({ request, caller, target: { kind: "all", group: undefined }, onDone: () => {} });
  await sessions.close();
});
