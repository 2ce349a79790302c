/** The small parts: tokens, sessions, events, queue. */
import { describe, expect, test } from "bun:test";
import { EventLog } from "../../src/manager/events.ts";
import { Queue } from "../../src/manager/queue.ts";
import { Sessions } from "../../src/manager/sessions.ts";
import { bridgeToken, newNonce, sameToken, seal, sha256Hex, unseal } from "../../src/manager/tokens.ts";

describe("tokens", () => {
  const key = new Uint8Array(32).fill(7);

  test("are derived from key and nonce, and look like nothing else", () => {
    // Computed with: printf n | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07 -binary | basenc --base64url
    expect(bridgeToken(key, "n")).toBe("R7LTV3Y30Vi6pVQNaeD3zfn_RKiKUQp3mRPb1l7rzI0");
    expect(bridgeToken(key, "n")).not.toBe(bridgeToken(key, "m"));
    expect(bridgeToken(new Uint8Array(32), "n")).not.toBe(bridgeToken(key, "n"));
    expect(newNonce()).not.toBe(newNonce());
    expect(sha256Hex("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  });

  test("are compared whole, whatever their length", () => {
    expect(sameToken("abc", "abc")).toBe(true);
    expect(sameToken("abc", "abd")).toBe(false);
    expect(sameToken("", "abc")).toBe(false);
    expect(sameToken("abcabc", "abc")).toBe(false);
  });

  test("what is sealed opens with its key only, and not after a change of any byte", () => {
    const sealed = seal(key, "ü secret");
    expect(unseal(key, sealed)).toBe("ü secret");
    expect(seal(key, "ü secret")).not.toBe(sealed);
    expect(unseal(new Uint8Array(32), sealed)).toBeUndefined();
    const bytes = Buffer.from(sealed, "base64url");
    for (let at = 0; at < bytes.byteLength; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(unseal(key, changed.toString("base64url"))).toBeUndefined();
      expect(unseal(key, bytes.subarray(0, at).toString("base64url"))).toBeUndefined();
    }
  });
});

describe("sessions", () => {
  const front = { server: "files", pid: 11, ppid: 10 };

  test("have the id that labels and wire expect, unique within a millisecond", () => {
    const sessions = new Sessions(() => 1_000);
    expect(sessions.add("files", front, "front").session).toBe("mcp-session-10-11-1000");
    expect(sessions.add("files", front, "front").session).toBe("mcp-session-10-11-1001");
    const odd = sessions.add("files", { ...front, terminal: "/dev/pts/3 \u0000x" }, "front").session;
    expect(odd).toBe("mcp-session-10-11-1002-_dev_pts_3_x");
    expect(odd).toMatch(/^[A-Za-z0-9._:-]{1,200}$/);
  });

  test("are counted by server and removed once", () => {
    const sessions = new Sessions();
    const { session } = sessions.add("a", front, "front");
    sessions.add("b", { ...front, pid: 0 }, "tcp");
    expect([sessions.count("a"), sessions.count("b"), sessions.count()]).toEqual([1, 1, 2]);
    expect(sessions.list().map(({ pid, kind }) => [pid, kind])).toEqual([
      [11, "front"],
      [undefined, "tcp"],
    ]);
    expect(sessions.remove(session)?.server).toBe("a");
    expect(sessions.remove(session)).toBeUndefined();
    expect(sessions.count()).toBe(1);
  });

  test("of processes that are gone are swept, others stay", async () => {
    const child = Bun.spawn(["sleep", "60"]);
    const sessions = new Sessions();
    const gone = sessions.add("a", { ...front, pid: child.pid }, "front");
    sessions.add("a", { ...front, pid: process.pid }, "front");
    sessions.add("a", { ...front, pid: child.pid }, "gateway");
    expect(sessions.sweep()).toEqual([]);
    child.kill("SIGKILL");
    await child.exited;
    expect(sessions.sweep()).toEqual([gone]);
    // A process that was never seen from here may live in another container.
    sessions.add("a", { ...front, pid: child.pid }, "front");
    expect(sessions.sweep()).toEqual([]);
    expect(sessions.count()).toBe(3);
  });

  test("a PID that was given out again is another process", () => {
    const starts = new Map([[11, "monday"]]);
    const sessions = new Sessions(Date.now, (pid) => starts.get(pid));
    sessions.add("a", front, "front");
    expect(sessions.sweep()).toEqual([]);
    starts.set(11, "tuesday");
    expect(sessions.sweep()).toHaveLength(1);
  });
});

describe("events", () => {
  test("the last thousand are kept, oldest first", () => {
    const log = new EventLog(() => 5);
    for (let index = 0; index < 3_500; index += 1) log.add("k", String(index), { server: "s" });
    expect(log.recent(2)).toEqual([
      { at: 5, kind: "k", server: "s", message: "3498" },
      { at: 5, kind: "k", server: "s", message: "3499" },
    ]);
    expect(log.recent(5_000)).toHaveLength(1_000);
    expect(log.recent(0)).toEqual([]);
    expect(log.recent(-3)).toEqual([]);
  });

  test("reach every subscriber from the call on, and end with the signal", async () => {
    const log = new EventLog();
    const stop = new AbortController();
    const collect = async () => {
      const seen: string[] = [];
      for await (const event of source) seen.push(event.message);
      return seen;
    };
    log.add("k", "before");
    const source = log.subscribe(stop.signal);
    log.add("k", "between");
    const collected = collect();
    await Bun.sleep(0);
    log.add("k", "after");
    await Bun.sleep(0);
    stop.abort();
    log.add("k", "too late");
    expect(await collected).toEqual(["between", "after"]);
  });

  test("a reader that does not read costs a bounded queue, and is told what it lost", async () => {
    const log = new EventLog();
    const stop = new AbortController();
    const source = log.subscribe(stop.signal)[Symbol.asyncIterator]();
    for (let index = 0; index < 1_500; index += 1) log.add("k", String(index));
    expect((await source.next()).value).toMatchObject({ kind: "dropped", data: { dropped: 500 } });
    expect((await source.next()).value).toMatchObject({ message: "500" });
    stop.abort();
  });

  test("close ends subscriptions, early ones and late ones", async () => {
    const log = new EventLog();
    const early = log.subscribe(new AbortController().signal)[Symbol.asyncIterator]();
    const waiting = early.next();
    log.close();
    expect((await waiting).done).toBe(true);
    const late = log.subscribe(new AbortController().signal)[Symbol.asyncIterator]();
    expect((await late.next()).done).toBe(true);
  });
});

describe("queue", () => {
  test("keeps the order, goes on after failures, and knows when it is idle", async () => {
    const queue = new Queue();
    const seen: number[] = [];
    const gate = Promise.withResolvers<void>();
    const first = queue.run(async () => {
      await gate.promise;
      seen.push(1);
    });
    const second = queue.run(() => Promise.reject(new Error("no")));
    const third = queue.run(async () => seen.push(3));
    expect(queue.idle).toBe(false);
    gate.resolve();
    await first;
    expect(await second.catch((error: Error) => error.message)).toBe("no");
    await third;
    expect(seen).toEqual([1, 3]);
    await Bun.sleep(0);
    expect(queue.idle).toBe(true);
  });
});
