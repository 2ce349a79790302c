/**
 * Calls and notifications in both directions over a connection that is cut again and again at seeded byte offsets.
 * Used with few cuts in the tests and with many in the soak.
 */
import { Deadline } from "../../src/base/deadline.ts";
import { dialSession, type SessionEnd } from "../../src/transport/session.ts";
import { fixture, TestBridge, TOKEN } from "./bridge.ts";
import { ChaosProxy, type Cut } from "./chaos-proxy.ts";
import { until } from "./until.ts";

export interface Ordeal {
  seed: number;
  calls: number;
  cuts: number;
  /** Of one connection, in one direction. */
  offsetMax: number;
  deadlineMs: number;
  /** Of the bridge. */
  args?: string[];
}

export interface Outcome {
  calls: number;
  breaks: number;
  resumes: number;
  /** Answers that came more than once, or with another text than was asked for. */
  wrong: string[];
  /** Calls without an answer. */
  missing: number;
  /** Notifications of the server, sent and received. */
  notifications: { sent: number; received: number; ordered: boolean };
  /** What the server has received of ours, as it says itself. */
  server: { received: number; ordered: boolean };
  serverNotified: number;
  pids: string[];
  ends: SessionEnd[];
}

const IN_FLIGHT = 16;
const FLOOD = 5;

/** Mulberry32: small, and the same numbers on every machine. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export async function ordeal(asked: Ordeal): Promise<Outcome> {
  await using bridge = await TestBridge.start(fixture("plain-server.ts"), { args: asked.args ?? [] });
  await using proxy = await ChaosProxy.start(bridge.port);
  const next = random(asked.seed);
  const addresses = [{ kind: "tcp", host: "127.0.0.1", port: proxy.port }] as const;
  const session = await dialSession({ addresses, token: TOKEN, session: "ordeal" }, Deadline.in(10_000));
  const waiting = new Map<number, string>();
  const outcome: Outcome = {
    calls: 0,
    breaks: 0,
    resumes: 0,
    wrong: [],
    missing: 0,
    notifications: { sent: 0, received: 0, ordered: true },
    server: { received: 0, ordered: false },
    serverNotified: 0,
    pids: [],
    ends: [],
  };
  let extra = 0;
  let last = "";
  let flooded = -1;
  session.open({
    ended: (end) => void outcome.ends.push(end),
    interrupted: () => void outcome.breaks++,
    resumed: () => void outcome.resumes++,
    line: (line) => {
      const message = JSON.parse(line) as {
        id?: number;
        params?: { data: number };
        result?: { content: { text: string }[] };
      };
      if (message.id === undefined) {
        outcome.notifications.received++;
        flooded = flooded === FLOOD - 1 ? 0 : flooded + 1;
        outcome.notifications.ordered &&= message.params?.data === flooded;
        return;
      }
      const text = message.result?.content[0]?.text ?? line;
      const expected = waiting.get(message.id);
      waiting.delete(message.id);
      if (expected === "") last = text;
      else if (expected !== text) outcome.wrong.push(`${message.id}: ${text.slice(0, 80)}`);
    },
  });
  const call = (name: string, args: object, expected: string) => {
    const id = ++outcome.calls + extra;
    waiting.set(id, expected);
    session.send(JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name, arguments: args } }));
  };
  const ask = async (name: string) => {
    outcome.calls--;
    extra++;
    call(name, { count: 0 }, "");
    await until(`the answer of ${name}`, () => waiting.size === 0, asked.deadlineMs);
    return last;
  };
  outcome.pids.push(await ask("process"));
  const deadline = performance.now() + asked.deadlineMs;
  for (let i = 0; i < asked.cuts; i++) proxy.cuts.push(cutFrom(next, asked.offsetMax));
  // The first connection was made before there were cuts.
  proxy.cutAll();
  while ((outcome.calls < asked.calls || proxy.cuts.length > 0) && outcome.ends.length === 0) {
    if (performance.now() > deadline) break;
    while (waiting.size < IN_FLIGHT) {
      session.send(`{"jsonrpc":"2.0","method":"notifications/count","params":{"data":${outcome.serverNotified++}}}`);
      if (outcome.calls % 20 === 0) {
        outcome.notifications.sent += FLOOD;
        call("flood", { count: FLOOD }, "flooded");
      } else {
        const text = `${outcome.calls}:${"ü".repeat(next() < 0.01 ? 20_000 : next() * 200)}`;
        call("echo", { text }, text);
      }
    }
    await Bun.sleep(0);
  }
  await until("the last answers", () => waiting.size === 0 || outcome.ends.length > 0, asked.deadlineMs).catch(
    () => {},
  );
  outcome.missing = waiting.size;
  if (outcome.ends.length === 0) {
    outcome.pids.push(await ask("process"));
    outcome.server = JSON.parse(await ask("sleepy")) as Outcome["server"];
  }
  const ends = [...outcome.ends];
  session.destroy();
  return { ...outcome, ends };
}

function cutFrom(next: () => number, offsetMax: number): Cut {
  return {
    after: Math.floor(next() * offsetMax),
    direction: next() < 0.5 ? "up" : "down",
    how: next() < 0.5 ? "reset" : "end",
  };
}
