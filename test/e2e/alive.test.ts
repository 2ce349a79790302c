/** While its client lives, the front lives: servers end, and the client's session goes on. On the process runtime. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { until } from "../support/until.ts";
import { Moody, stateOf, textOf } from "./moody.ts";
import type { RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

/** Faults are answered within a second; machines that run tests are slow. */
const ANSWER_MS = 5_000;

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("process");
}, 60_000);
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

const errors = ({ messages }: RawFront) => messages.filter(({ error }) => error);
const notices = ({ messages }: RawFront, method: string) => messages.filter((message) => message.method === method);

describe("a server process ends", () => {
  test.each(["SIGKILL", "SIGSEGV", "SIGTERM"] as const)(
    "by %s while nothing is asked: nobody notices",
    async (signal) => {
      const moody = await Moody.start(stage, `idle-${signal.toLowerCase()}`);
      await using front = moody.front();
      await front.initialize();
      const { pid } = await stateOf(front);
      process.kill(pid, signal);
      const next = await until("another process", async () => {
        const answer = await front.call("state");
        return answer.error ? undefined : (JSON.parse(textOf(answer)) as { pid: number });
      });
      expect(next.pid).not.toBe(pid);
      front.endInput();
      expect(await front.ended()).toBe(0);
    },
  );

  test("by SIGKILL in the middle of calls: one error each, then the next process", async () => {
    const moody = await Moody.start(stage, "midcall");
    await using front = moody.front();
    await front.initialize();
    const { pid } = await stateOf(front);
    const hanging = [1, 2, 3].map(() => front.ask("tools/call", { name: "hang" }));
    await until("the calls", async () => (await moody.calls()).filter((call) => call.startsWith("hang")).length === 3);
    process.kill(pid, "SIGKILL");
    for (const id of hanging) {
      const { error } = await front.answered(id, ANSWER_MS);
      expect(error).toMatchObject({ code: -32052, data: { kind: "server-failed", signal: "SIGKILL" } });
    }
    // Asked at once, while the next process is on its way.
    expect((await stateOf(front)).pid).not.toBe(pid);
    expect(errors(front)).toHaveLength(3);
    expect(await moody.calls()).toHaveLength(5);
  });

  test("a request cut in half by the end reaches the next process whole", async () => {
    const moody = await Moody.start(stage, "half");
    await using front = moody.front();
    await front.initialize();
    const { pid } = await stateOf(front);
    const line = '{"jsonrpc":"2.0","id":"half","method":"tools/call","params":{"name":"state"}}\n';
    await front.write(Buffer.from(line.slice(0, 40)));
    process.kill(pid, "SIGKILL");
    await until("the next session", () => front.stderr.includes("opening a new session"));
    front.send(line.slice(40));
    const { result } = await front.answered("half", ANSWER_MS);
    expect(JSON.stringify(result)).not.toContain(String(pid));
  });

  test("what the client has set up is there again, in order, and it hears nothing of it", async () => {
    const moody = await Moody.start(stage, "setup");
    await using front = moody.front();
    await front.initialize();
    await front.request("logging/setLevel", { level: "debug" });
    await front.request("logging/setLevel", { level: "warning" });
    for (const uri of ["note://1", "note://2", "note://3"]) await front.request("resources/subscribe", { uri });
    await front.request("resources/unsubscribe", { uri: "note://2" });
    await front.request("tools/list");
    const before = front.messages.length;
    await front.call("die");
    const state = await stateOf(front);
    expect(state).toMatchObject({ level: "warning", subscriptions: ["note://1", "note://3"] });
    const setup = ["notifications/initialized", "logging/setLevel", "resources/subscribe", "resources/subscribe"];
    expect(state.methods).toEqual(["initialize", ...setup, "tools/list", "tools/call"]);
    // Two answers and nothing else: the tools are the same.
    await front.call("state");
    expect(front.messages.slice(before).map(({ id }) => typeof id)).toEqual(["number", "number", "number"]);
  });

  test("other tools: the client that has asked for them is told, once", async () => {
    const moody = await Moody.start(stage, "tools");
    await using asking = moody.front();
    await using silent = moody.front();
    for (const front of [asking, silent]) await front.initialize();
    await asking.request("tools/list");
    await moody.next({ tools: ["new-one"] });
    for (const front of [asking, silent]) await front.call("die");
    const changed = "notifications/tools/list_changed";
    await until("the notice", () => notices(asking, changed).length === 1);
    expect(JSON.stringify((await asking.request("tools/list")).result)).toContain("new-one");
    await asking.call("die");
    for (const front of [asking, silent]) await stateOf(front);
    expect(notices(asking, changed)).toHaveLength(1);
    expect(notices(silent, changed)).toHaveLength(0);
  });

  test("its questions are taken back, and a late answer does not reach the next process", async () => {
    const moody = await Moody.start(stage, "questions");
    await using front = moody.front();
    await front.initialize();
    const { pid } = await stateOf(front);
    const first = front.ask("tools/call", { name: "ask", arguments: { text: "first" } });
    await until("the question", () => notices(front, "elicitation/create").length === 1);
    process.kill(pid, "SIGKILL");
    expect((await front.answered(first, ANSWER_MS)).error?.code).toBe(-32052);
    await until("the end of the question", () => notices(front, "notifications/cancelled").length === 1);
    const second = front.ask("tools/call", { name: "ask", arguments: { text: "second" } });
    const question = await until("the next question", () => notices(front, "elicitation/create")[1]);
    front.send({ jsonrpc: "2.0", id: 0, result: { text: "late" } });
    front.send({ jsonrpc: "2.0", id: question.id, result: { text: "in time" } });
    expect(question.id).not.toBe(0);
    expect(JSON.parse(textOf(await front.answered(second)))).toMatchObject({ answered: "in time" });
  });
});

describe("a server that cannot go on", () => {
  test("crashes at every start: calls are answered at once with the reason, until it is well again", async () => {
    const moody = await Moody.start(stage, "loop");
    await using front = moody.front();
    await front.initialize();
    await moody.next({ dies: "start" });
    await front.call("die");
    const { error } = await front.request("tools/list", {}, 20_000);
    expect(error).toMatchObject({ code: -32052, data: { kind: "server-failed", data: { code: 3 } } });
    expect(JSON.stringify(error)).toContain("in a bad mood");
    const again = await front.request("tools/list", {}, 1_000);
    expect(again.error?.message).toBe(error?.message);
    expect(front.stderr.match(/in a bad mood|exit code 3/g)?.length).toBeLessThan(10);
    await moody.next({});
    const answer = await until(
      "an answer after the rest",
      async () => {
        const found = await front.call("state");
        return found.error ? undefined : found;
      },
      20_000,
    );
    expect(textOf(answer)).toContain("initialized");
    expect(front.process.exitCode).toBeNull();
  }, 60_000);

  test("speaks another version: the client is told to begin anew", async () => {
    const moody = await Moody.start(stage, "version");
    await using front = moody.front();
    await front.initialize();
    await moody.next({ version: "2024-11-05" });
    await front.call("die");
    const { error } = await front.call("state");
    expect(error?.message).toContain("2024-11-05");
    expect(error?.message).toContain("Reconnect");
  });
});

describe("calls that may be made again", () => {
  test("are, with --retry-idempotent, if the tool says that it only reads", async () => {
    const moody = await Moody.start(stage, "again");
    await using front = moody.front("--retry-idempotent");
    await front.initialize();
    await front.request("tools/list");
    expect(textOf(await front.call("read-and-die"))).toBe('"survived"');
    expect((await front.call("write-and-die")).error?.code).toBe(-32052);
    // Every time it dies: the second failure is the answer.
    expect((await front.call("die")).error?.code).toBe(-32052);
    const calls = (await moody.calls()).map((call) => call.split(" ")[0]);
    expect(calls).toEqual(["read-and-die", "read-and-die", "write-and-die", "die"]);
    expect(errors(front)).toHaveLength(2);
  });

  test("are not without it", async () => {
    const moody = await Moody.start(stage, "once");
    await using front = moody.front();
    await front.initialize();
    await front.request("tools/list");
    expect((await front.call("read-and-die")).error?.code).toBe(-32052);
    expect(await moody.calls()).toHaveLength(1);
  });
});

describe("somebody", () => {
  const post = (name: string, what: string) => stage.api(`/servers/${name}/${what}`, { method: "POST", body: "{}" });

  test("restarts the server: the session goes on", async () => {
    const moody = await Moody.start(stage, "restarted");
    await using front = moody.front();
    await front.initialize();
    const { pid } = await stateOf(front);
    expect((await post("restarted", "restart")).ok).toBe(true);
    expect((await stateOf(front)).pid).not.toBe(pid);
  });

  test("stops the server: it stays so, and a start lets the session go on", async () => {
    const moody = await Moody.start(stage, "stopped");
    await using front = moody.front();
    await front.initialize();
    await stateOf(front);
    expect((await post("stopped", "stop")).ok).toBe(true);
    for (let count = 0; count < 3; count += 1) {
      const { error } = await front.call("state");
      expect(error?.message).toContain("stopped was stopped. Start it again with `linkspan start stopped`");
    }
    expect((await stage.view("stopped")).state).toBe("stopped");
    expect((await post("stopped", "start")).ok).toBe(true);
    await stateOf(front);
  });

  test("removes the server: calls say so", async () => {
    const moody = await Moody.start(stage, "removed");
    await using front = moody.front();
    await front.initialize();
    await stateOf(front);
    expect((await stage.api("/servers/removed", { method: "DELETE" })).ok).toBe(true);
    expect((await front.call("state")).error?.message).toContain("removed was removed");
    front.endInput();
    expect(await front.ended()).toBe(0);
  });
});
