/**
 * What a client sees when something goes wrong: one answer for each request, a reason that helps, nothing but protocol
 * on stdout, and an end in time. On the process runtime, so that it runs on every machine.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { tempDir } from "../support/cli.ts";
import { until } from "../support/until.ts";
import { INITIALIZE, RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

const PLAIN = join(import.meta.dir, "../fixtures/plain-server.ts");
const plain = (...args: string[]) => ({ image: `exec:${process.execPath}`, args: [PLAIN, ...args] });

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("process");
  await stage.start("plain", plain());
}, 60_000);
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

const noSession = () => until("no session is left", async () => (await stage.sessions()).length === 0, 10_000);

describe("the server", () => {
  test("crashes in the middle of calls: each gets the exit code and the last words", async () => {
    await using front = new RawFront(stage.front("plain"));
    await front.initialize();
    const hanging = front.ask("tools/call", { name: "hang" });
    const crashed = await front.call("crash");
    for (const { error } of [crashed, await front.answered(hanging)]) {
      expect(error?.code).toBe(-32052);
      expect(JSON.stringify(error?.data)).toContain("last words before the crash");
      expect(JSON.stringify(error)).toContain("7");
    }
    expect(front.messages.filter(({ error }) => error)).toHaveLength(2);
    expect(JSON.stringify((await front.call("echo", { text: "again" })).result)).toContain("again");
    front.endInput();
    expect(await front.ended()).toBe(0);
    await noSession();
  });

  test("ends by itself with calls in flight: they get an error, the next one a new process", async () => {
    await using front = new RawFront(stage.front("plain"));
    await front.initialize();
    const { error } = await front.call("end");
    expect(error?.code).toBe(-32052);
    expect(JSON.stringify((await front.call("echo", { text: "again" })).result)).toContain("again");
  });

  test("does not start: initialize is answered with its words", async () => {
    await stage.start("refusing", plain("refuse"));
    await using front = new RawFront(stage.front("refusing"));
    const { error } = await front.initialize();
    expect(error?.code).toBe(-32052);
    expect(JSON.stringify(error)).toContain("cannot read the configuration");
    expect(JSON.stringify(error)).toContain("9");
    expect(await front.ended()).toBe(5);
    expect(front.stderr).toContain("linkspan:");
    await noSession();
  });

  test.each([
    ["a name that is not known", "plainn", -32004, "plain"],
    ["a package that does not exist", "npm:@linkspan-test/does-not-exist", undefined, "does-not-exist"],
    ["an image without an engine", "docker.io/library/nothing:1", undefined, "engine"],
  ])(
    "is missing: %s",
    async (_name, server, code, word) => {
      await using front = new RawFront(stage.front(server));
      // A client of the 2026-07-28 era asks this first, and falls back to the older handshake when it is refused.
      const { error } = await front.request("server/discover", {}, 30_000);
      if (code !== undefined) expect(error?.code).toBe(code);
      expect(error?.message).toContain(word);
      const again = await front.initialize();
      expect(again.error?.message).toBe(error?.message);
      expect(await front.ended()).not.toBe(0);
      expect(front.stderr).toContain(word);
    },
    60_000,
  );

  test("is not named: the command line's mistake reaches the client as well", async () => {
    await using front = new RawFront(stage.front("--frobnicate"));
    const { error } = await front.initialize();
    expect(error?.message).toContain("--frobnicate");
    expect(await front.ended()).toBe(1);
  });
});

describe("the manager", () => {
  test("cannot be started: the reason is answered", async () => {
    await using dir = await tempDir("e2e");
    await Bun.write(join(dir.path, "file"), "");
    const launch = stage.front("plain");
    launch.env.LINKSPAN_DATA_DIR = join(dir.path, "file", "data");
    await using front = new RawFront(launch);
    const { error } = await front.initialize();
    expect(error?.message).toContain("data directory");
    expect(await front.ended()).not.toBe(0);
  });
});

describe("the front", () => {
  test("is killed: its session is free within five seconds", async () => {
    const front = new RawFront(stage.front("plain"));
    await front.initialize();
    const { result } = await front.call("process");
    const pid = Number(JSON.stringify(result).match(/\d{2,}/)?.[0]);
    expect((await stage.sessions()).map((session) => session.pid)).toContain(front.pid);
    front.process.kill("SIGKILL");
    await until("the session is free", async () => (await stage.sessions()).length === 0, 5_000);
    await until("the server process has ended", () => !alive(pid), 6_000);
    await front[Symbol.asyncDispose]();
  });

  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "ends on %s with an answer for what is in flight",
    async (signal) => {
      await using front = new RawFront(stage.front("plain"));
      await front.initialize();
      const hanging = front.ask("tools/call", { name: "hang" });
      await front.call("echo", { text: "before" });
      front.process.kill(signal);
      expect(await front.ended(2_000)).toBe(0);
      expect((await front.answered(hanging)).error?.code).toBe(-32800);
      await noSession();
    },
  );

  test("ends at the end of its input, at once when nothing is in flight", async () => {
    await using front = new RawFront(stage.front("plain"));
    await front.initialize();
    front.endInput();
    expect(await front.ended(2_000)).toBe(0);
    await noSession();
  });

  test("ends at the end of its input even if a call is never answered", async () => {
    await using front = new RawFront(stage.front("plain"));
    await front.initialize();
    const hanging = front.ask("tools/call", { name: "hang" });
    front.endInput();
    expect(await front.ended(2_000)).toBe(0);
    expect((await front.answered(hanging)).error?.message).toContain("ended its input");
  });

  test("ends with 0 when its server is killed behind the end of its input: all is answered", async () => {
    await using front = new RawFront(stage.front("plain"));
    await front.initialize();
    const hanging = front.ask("tools/call", { name: "hang" });
    const { result } = await front.call("process");
    front.endInput();
    process.kill(Number(JSON.stringify(result).match(/\d{2,}/)?.[0]), "SIGKILL");
    expect(await front.ended(5_000)).toBe(0);
    expect((await front.answered(hanging)).error?.code).toBeOneOf([-32052, -32800]);
    await noSession();
  });

  test("answers everything that was piped into it, the last line without a newline too", async () => {
    await using front = new RawFront(stage.front("plain"));
    front.ask("initialize", INITIALIZE);
    front.notify("notifications/initialized");
    for (let call = 0; call < 20; call += 1) front.ask("tools/call", { name: "echo", arguments: { text: `t${call}` } });
    front.send('{"jsonrpc":"2.0","id":"last","method":"ping"}');
    front.endInput();
    expect(await front.ended()).toBe(0);
    expect(front.messages.map(({ id }) => id)).toEqual([...Array.from({ length: 21 }, (_, id) => id + 1), "last"]);
    expect(JSON.stringify(front.messages.at(-2)?.result)).toContain("t19");
  });

  test("ends when nobody reads its output any more", async () => {
    await using front = new RawFront({
      command: "/bin/sh",
      // head takes the first answer and leaves; the front must then not stay with a broken pipe.
      args: ["-c", '{ "$0" "$@"; echo "code $?" >&2; } | head -n 1', ...words(stage.front("plain"))],
      env: stage.front().env,
    });
    await front.initialize();
    const asking = setInterval(() => front.ask("ping"), 20);
    try {
      await until("the end of the front", () => front.stderr.includes("code 0"), 5_000);
    } finally {
      clearInterval(asking);
    }
    await noSession();
  });

  test("keeps what the client writes while the server starts", async () => {
    await using front = new RawFront(stage.front("plain"));
    front.ask("initialize", INITIALIZE);
    front.notify("notifications/initialized");
    const large = "y".repeat(3 * 1024 * 1024);
    const id = front.ask("tools/call", { name: "echo", arguments: { text: large } });
    expect(JSON.stringify((await front.answered(id)).result)).toContain(large);
  });
});

test("two fronts share one server and have a process each", async () => {
  await noSession();
  await using one = new RawFront(stage.front("plain"));
  await using two = new RawFront(stage.front("plain"));
  await Promise.all([one.initialize(), two.initialize()]);
  const [first, second] = await Promise.all([one.call("process"), two.call("process")]);
  expect(JSON.stringify(first.result)).not.toBe(JSON.stringify(second.result));
  expect(await stage.view("plain")).toMatchObject({ state: "ready", sessions: 2 });
  const ids = (await stage.sessions()).map(({ session }) => session);
  expect(ids).toHaveLength(2);
  for (const id of ids) expect(id).toMatch(/^mcp-session-\d+-\d+-\d+/);
});

function words({ command, args }: { command: string; args: string[] }): string[] {
  return [command, ...args];
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
