/** Sessions that outlive their connections: the real bridge and the real near end, with a proxy between that breaks them. */
import { expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { dialSession, type Session, type SessionEnd } from "../../src/transport/session.ts";
import { fixture, TestBridge, TOKEN } from "../support/bridge.ts";
import { ChaosProxy } from "../support/chaos-proxy.ts";
import { ordeal } from "../support/ordeal.ts";
import { SEED } from "../support/seed.ts";
import { until } from "../support/until.ts";

const OBEDIENT = fixture("obedient-server.ts");
const soon = () => Deadline.in(10_000);

interface Open {
  session: Session;
  lines: string[];
  ends: SessionEnd[];
  breaks: { interrupted: number; resumed: number };
}

async function open(port: number, session: string): Promise<Open> {
  const addresses = [{ kind: "tcp", host: "127.0.0.1", port }] as const;
  const opened: Open = {
    session: await dialSession({ addresses, token: TOKEN, session }, soon()),
    lines: [],
    ends: [],
    breaks: { interrupted: 0, resumed: 0 },
  };
  opened.session.open({
    line: (line) => void opened.lines.push(line),
    ended: (end) => void opened.ends.push(end),
    interrupted: () => void opened.breaks.interrupted++,
    resumed: () => void opened.breaks.resumed++,
  });
  return opened;
}

function request(session: Session, id: number, method: string, params: unknown = {}): void {
  session.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
}

test.each(["reset", "end", "silence"] as const)(
  "a connection that ends by %s is replaced; the server goes on",
  async (how) => {
    await using bridge = await TestBridge.start(OBEDIENT);
    await using proxy = await ChaosProxy.start(bridge.port);
    const { session, lines, ends, breaks } = await open(proxy.port, "one");
    request(session, 1, "pid");
    await until("the PID", () => lines.length === 1);
    request(session, 2, "later", { ms: 400 });
    await until("the request at the bridge", () => session.acknowledged === 2);
    proxy.cutAll(how);
    request(session, 3, "pid");
    await until("all answers", () => lines.length === 3, 30_000);
    const answers = lines.map((line) => JSON.parse(line) as { id: number; result: unknown });
    expect(answers.map(({ id }) => id).sort()).toEqual([1, 2, 3]);
    expect(new Set(answers.filter(({ id }) => id !== 2).map(({ result }) => result)).size).toBe(1);
    expect(breaks).toEqual({ interrupted: 1, resumed: 1 });
    expect(ends).toEqual([]);
    session.detach();
    await until("the end", () => ends.length === 1);
  },
  40_000,
);

test("100 cuts at random offsets during 1,000 calls: nothing is lost, nothing comes twice", async () => {
  process.stderr.write(`random test "cut connections": LINKSPAN_SEED=${SEED}\n`);
  const outcome = await ordeal({ seed: SEED, calls: 1_000, cuts: 100, offsetMax: 12_000, deadlineMs: 40_000 });
  expect(outcome.breaks).toBeGreaterThan(50);
  expect(outcome).toMatchObject({ wrong: [], missing: 0, ends: [], resumes: outcome.breaks });
  expect(outcome.notifications).toEqual({
    ...outcome.notifications,
    received: outcome.notifications.sent,
    ordered: true,
  });
  expect(outcome.server).toEqual({ received: outcome.serverNotified, ordered: true });
  expect(outcome.pids[1]).toBe(outcome.pids[0] ?? "");
}, 60_000);
