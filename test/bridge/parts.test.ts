/** The small parts of the bridge, each by itself. */
import { describe, expect, test } from "bun:test";
import { isLoopback, isToken } from "../../bridge/authenticate.ts";
import { Calls } from "../../bridge/calls.ts";
import { Drops } from "../../bridge/drops.ts";
import { serverEnvironment } from "../../bridge/environment.ts";
import { Lease } from "../../bridge/lease.ts";
import { Log } from "../../bridge/log.ts";
import { Outlet } from "../../bridge/outlet.ts";
import { StderrTail } from "../../bridge/stderr-tail.ts";
import { BRIDGE_ENV, formatFrame, isControl, parseBridgeFrame, parseDialerFrame } from "../../bridge/wire.ts";
import { until } from "../support/until.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (chunks: Uint8Array[]) => Buffer.concat(chunks).toString();

describe("serverEnvironment", () => {
  test("leaves out the bridge's own names and steering names that are blank", () => {
    const own = {
      PATH: "/bin",
      EMPTY: "",
      LINKSPAN_TOKEN: "x",
      LINKSPAN_CHILD_ENV: "",
      BUN_BE_BUN: "",
      LD_PRELOAD: "",
      NODE_OPTIONS: "",
      NODE_ENV: "production",
      LD_LIBRARY_PATH: "/lib",
      GONE: undefined,
      ...BRIDGE_ENV,
    };
    expect(serverEnvironment(own)).toEqual({
      PATH: "/bin",
      EMPTY: "",
      NODE_ENV: "production",
      LD_LIBRARY_PATH: "/lib",
    });
  });

  test("lays the spec over it, and the secrets over that", () => {
    const own = { A: "own", B: "own", C: "own", LINKSPAN_CHILD_ENV: '{"B":"spec","C":"spec","BUN_BE_BUN":"1"}' };
    expect(serverEnvironment(own, { C: "secret" })).toEqual({ A: "own", B: "spec", C: "secret", BUN_BE_BUN: "1" });
  });

  test.each(["nonsense", "[1]", '{"A":1}', "null"])("refuses %s without repeating it", (value) => {
    expect(() => serverEnvironment({ LINKSPAN_CHILD_ENV: value })).toThrow(
      "LINKSPAN_CHILD_ENV is no JSON object of strings",
    );
  });
});

describe("authentication", () => {
  const sha256 = new Bun.CryptoHasher("sha256").update("secret").digest();

  test("accepts the token and nothing near it", () => {
    expect(isToken("secret", sha256)).toBe(true);
    for (const wrong of [undefined, "", "Secret", "secret ", "secre"]) expect(isToken(wrong, sha256)).toBe(false);
    expect(isToken("secret", sha256.slice(0, 31))).toBe(false);
    expect(isToken(undefined, new Bun.CryptoHasher("sha256").update("").digest())).toBe(false);
  });

  test("knows loopback addresses", () => {
    for (const host of ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1"])
      expect(isLoopback(host)).toBe(true);
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.com", "1127.0.0.1", ""])
      expect(isLoopback(host)).toBe(false);
  });
});

describe("Calls", () => {
  test("settles each request once, by type and value", () => {
    const calls = new Calls();
    for (const id of [1, '"1', "null", 1]) expect(calls.begin(id)).toBeUndefined();
    expect(calls.size).toBe(4);
    expect([calls.settle(1), calls.settle(1), calls.settle(1)]).toEqual([true, true, false]);
    expect(calls.settle(2)).toBe(false);
    expect(calls.takeAll()).toEqual(['"1', "null"]);
    expect([calls.size, calls.settle("null")]).toEqual([0, false]);
  });

  test("has bounds", () => {
    const calls = new Calls();
    expect(calls.begin(`"${"x".repeat(1_024)}`)).toContain("longer than");
    for (let id = 0; id < 65_536; id++) calls.begin(id);
    expect(calls.begin("x")).toContain("65536 requests");
    calls.settle(7);
    expect(calls.begin(7)).toBeUndefined();
  });
});

describe("Outlet", () => {
  /** A socket that takes what it is told to take. */
  class Sink {
    room = 0;
    ended = false;
    taken: Uint8Array[] = [];
    write(chunk: Uint8Array): number {
      const count = Math.min(this.room, chunk.length);
      this.room -= count;
      this.taken.push(chunk.slice(0, count));
      return count;
    }
    shutdown(): void {
      this.ended = true;
    }
  }

  test("keeps order over short writes, counts what waits and tells when it is empty", () => {
    let emptied = 0;
    const sink = new Sink();
    const outlet = new Outlet(() => emptied++);
    outlet.write(bytes("early "));
    expect(outlet.queuedBytes).toBe(6);
    sink.room = 8;
    outlet.open(sink);
    expect(emptied).toBe(1);
    outlet.write(bytes("bird catches"));
    expect([outlet.queuedBytes, emptied]).toEqual([10, 1]);
    outlet.write(bytes(" worms"));
    sink.room = 12;
    outlet.drain();
    expect(outlet.queuedBytes).toBe(4);
    outlet.end();
    outlet.write(bytes("never"));
    expect(sink.ended).toBe(false);
    sink.room = 100;
    outlet.drain();
    expect([text(sink.taken), sink.ended, outlet.queuedBytes, outlet.sentBytes]).toEqual([
      "early bird catches worms",
      true,
      0,
      24,
    ]);
  });

  test("a closed socket takes nothing and keeps nothing", () => {
    const outlet = new Outlet(() => {});
    outlet.open({ write: () => -1, shutdown: () => {} });
    outlet.write(bytes("lost"));
    outlet.close();
    outlet.write(bytes("lost"));
    expect(outlet.queuedBytes).toBe(0);
  });

  test("what waits does not hold a large chunk in memory", () => {
    const sink = new Sink();
    const seen: number[] = [];
    sink.write = (chunk) => {
      seen.push(chunk.buffer.byteLength);
      return 0;
    };
    const outlet = new Outlet(() => {});
    outlet.open(sink);
    outlet.write(Buffer.alloc(1_000_000).subarray(5, 10));
    outlet.drain();
    expect(seen.at(-1)).toBe(5);
  });
});

describe("Log", () => {
  test("drops and counts what a stuck reader does not take, and goes on when it does", async () => {
    let room = 10;
    const taken: Uint8Array[] = [];
    const log = new Log((chunk) => {
      const count = Math.min(room, chunk.length);
      room -= count;
      taken.push(chunk.slice(0, count));
      return count;
    }, 30);
    log.write(bytes("0123456789abc\n"));
    const startedAt = performance.now();
    await log.caughtUp();
    expect(performance.now() - startedAt).toBeGreaterThan(20);
    // It was waited for in vain: not again.
    expect(log.caughtUp()).toBeUndefined();
    for (let i = 0; i < 20; i++) log.write(new Uint8Array(100_000).fill(0x2e));
    room = Number.POSITIVE_INFINITY;
    await log.flushed(2_000);
    expect(text(taken)).toStartWith("0123456789abc\n.....");
    expect(text(taken)).toEndWith("linkspan bridge: 1000000 bytes of stderr were dropped: nobody read them\n");
    log.say("here");
    expect(text(taken)).toEndWith("linkspan bridge: here\n");
  });

  test("does not mind that nobody is there", () => {
    const log = new Log(() => -1);
    log.say("lost");
    expect(log.caughtUp()).toBeUndefined();
  });
});

describe("StderrTail", () => {
  test("keeps the last lines, cut, and passes all of them on", () => {
    const logged: Uint8Array[] = [];
    const tail = new StderrTail((range) => logged.push(range));
    for (let i = 0; i < 30; i++) tail.push(bytes(`line ${i}\r\n\n`));
    tail.push(bytes(`${"x".repeat(5_000)}\nunfinished`));
    tail.end();
    const lines = tail.lines();
    expect(lines).toHaveLength(20);
    expect(lines.slice(0, 2)).toEqual(["line 12", "line 13"]);
    expect(lines.slice(-2)).toEqual(["x".repeat(2_048), "unfinished"]);
    expect(text(logged)).toContain("line 0\r\n\nline 1\r\n");
    expect(text(logged)).toEndWith("unfinished\n");
  });

  test("keeps 64 KiB of a line and says how long it was", () => {
    const logged: Uint8Array[] = [];
    const tail = new StderrTail((range) => logged.push(range));
    for (let i = 0; i < 300; i++) tail.push(bytes("y".repeat(1_000)));
    tail.push(bytes("\nnext\n"));
    const out = text(logged);
    expect(out).toBe(`${"y".repeat(65_536)} … (234464 bytes more)\nnext\n`);
    expect(tail.lines()).toEqual(["y".repeat(2_048), "next"]);
  });
});

describe("Drops", () => {
  test("tells a few lines and counts them all", () => {
    const said: string[] = [];
    const drops = new Drops((line) => said.push(line));
    expect(drops.summary()).toBeUndefined();
    for (let i = 0; i < 100; i++) drops.note("noise", "server", bytes(`\u001b[31mline ${i}`));
    drops.note("blank line", "client", bytes(""));
    expect(said).toHaveLength(6);
    expect(said[0]).toBe('not passed on, noise from the server: "\\u001b[31mline 0"');
    expect(drops.total).toBe(101);
    expect(drops.summary()).toBe("not passed on: 100 × noise from the server, 1 × blank line from the client");
  });
});

describe("Lease", () => {
  test("lapses only when nobody is there, and a renewal counts from now", async () => {
    let used = true;
    let lapsed = 0;
    const lease = new Lease(
      () => used,
      () => lapsed++,
    );
    lease.renew(20);
    await Bun.sleep(70);
    expect(lapsed).toBe(0);
    used = false;
    await until("the lapse", () => lapsed === 1);
    lease.renew(20);
    lease.renew(0);
    await Bun.sleep(50);
    expect(lapsed).toBe(1);
  });
});

describe("frames", () => {
  test("are told apart by their first bytes", () => {
    const control = (line: string) => isControl(bytes(line), 0, line.length);
    expect(control(formatFrame({ link: "detach" }))).toBe(true);
    for (const line of ['{"lin', '{ "link":1}', '{"jsonrpc":"2.0"}', '{"linked":1}', ""])
      expect(control(line)).toBe(false);
  });

  test("keep their fields over format and parse, and ignore fields of later versions", () => {
    const frame = { link: "attach", version: 1, token: "t", session: "s", mode: "session", received: 3 } as const;
    expect(parseDialerFrame(formatFrame(frame))).toEqual(frame);
    expect(parseDialerFrame('{"link":"attach","later":true}')).toEqual({
      link: "attach",
      mode: "session",
    });
    expect(parseBridgeFrame('{"link":"ack","received":4,"later":{}}')).toEqual({ link: "ack", received: 4 });
  });

  test("that are wrong are described without their values", () => {
    expect(parseDialerFrame("nonsense")).toBe("the control frame is not JSON");
    expect(parseDialerFrame('{"link":"attach","token":7777}')).toBe(
      "the control frame is invalid at token: string is expected",
    );
    expect(parseDialerFrame('{"link":"configure","env":{"A B":"secret"}}')).not.toContain("secret");
    expect(parseDialerFrame('{"link":"attach","session":"../../x"}')).toContain("session");
  });
});
