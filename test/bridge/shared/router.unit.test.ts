/** Who gets what of a shared server, one rule at a time. */
import { describe, expect, test } from "bun:test";
import {
  begun,
  failure,
  greeting,
  INFO,
  initialize,
  notification,
  pair,
  parsed,
  request,
  result,
  Stage,
} from "./stage.ts";

describe("requests", () => {
  test("of two clients with one id and one token get the answers and the progress that are theirs", () => {
    const { stage, one, two } = pair();
    const call = (n: number) =>
      request(0, "tools/call", { name: "t", arguments: { n }, _meta: { progressToken: "p" } });
    expect(parsed(stage.client(one, call(1)))).toEqual([
      request(2, "tools/call", { name: "t", arguments: { n: 1 }, _meta: { progressToken: 2 } }),
    ] as unknown[]);
    stage.client(two, call(2));
    stage.server(notification("notifications/progress", { progressToken: 3, progress: 1 }));
    stage.server(result(3, { n: 2 }));
    stage.server(notification("notifications/progress", { progressToken: 3, progress: 2 }));
    stage.server(result(2, { n: 1 }));
    expect(parsed(stage.got(two))).toEqual([
      notification("notifications/progress", { progressToken: "p", progress: 1 }),
      result(0, { n: 2 }),
    ]);
    expect(parsed(stage.got(one))).toEqual([result(0, { n: 1 })]);
    expect(stage.drops).toEqual(["no owner from the server"]);
  });

  test.each([
    ["9007199254740993", "9007199254740993"],
    ['"\\u0061"', '"a"'],
    ["1.0", "1"],
    ["-0.5", "-0.5"],
    ["1e400", "1e400"],
    ['"1"', '"1"'],
    ["null", "null"],
  ])("with the id %s come back with it", (id, back) => {
    const { stage, one } = pair();
    const payload =
      '"params":{"__proto__":{"a":1},"n":9007199254740993,"n":1e400,"arguments":{"id":3,"_meta":{"progressToken":1}}}';
    expect(stage.client(one, `{"id":${id},"jsonrpc":"2.0","method":"m",${payload}}`)).toEqual([
      `{"id":2,"jsonrpc":"2.0","method":"m",${payload}}`,
    ]);
    stage.server('{"result":{"x":1e400,"x":9007199254740993},"id":2,"jsonrpc":"2.0"}');
    expect(stage.got(one)).toEqual([`{"result":{"x":1e400,"x":9007199254740993},"id":${back},"jsonrpc":"2.0"}`]);
  });

  test.each([
    ['{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}', "twice"],
    ['{"jsonrpc":"2.0","id":1,"method":"a","method":"notifications/cancelled"}', "twice"],
    ['{"jsonrpc":"2.0","Method":"notifications/cancelled","id":1,"method":"a"}', "case"],
    ['{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{},"_meta":{"progressToken":1}}}', "twice"],
    ['{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"ProgressToken":1}}}', "case"],
    ['{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"progress\\u0054oken":1,"progressToken":2}}}', "twice"],
    ['{"jsonrpc":"2.0","id":1,"method":"a","params":{x}}', "JSON"],
  ])("that one reader takes for another one are refused: %s", (line, why) => {
    const { stage, one } = pair();
    expect(stage.client(one, line)).toEqual([]);
    const [answer] = parsed(stage.got(one)) as { error: { code: number; message: string } }[];
    expect(answer?.error).toMatchObject({ code: -32600 });
    expect(answer?.error.message).toContain(why);
  });

  test("have their escaped names replaced as any other", () => {
    const { stage, one } = pair();
    expect(
      stage.client(
        one,
        '{"jsonrpc":"2.0","i\\u0064":"q","method":"m","params":{"_m\\u0065ta":{"progress\\u0054oken":5}}}',
      ),
    ).toEqual(['{"jsonrpc":"2.0","i\\u0064":2,"method":"m","params":{"_m\\u0065ta":{"progress\\u0054oken":2}}}']);
  });

  test("in a batch are messages by themselves", () => {
    const { stage, one } = pair();
    const batch = [request(1, "a"), notification("b"), request(2, "c")];
    expect(parsed(stage.client(one, batch))).toEqual([request(2, "a"), notification("b"), request(3, "c")]);
    stage.server([result(3), result(2)]);
    expect(parsed(stage.got(one))).toEqual([result(2), result(1)]);
  });

  test.each([['"2"'], ["3"], ["null"], ["2.5"], ["[2]"]])("are not answered under the id %s, and only once", (id) => {
    const { stage, one, two } = pair();
    stage.client(one, request(0, "m"));
    stage.server(`{"jsonrpc":"2.0","id":${id},"result":{}}`);
    expect(stage.all()).toEqual([[], []]);
    stage.server(result(2));
    stage.server(result(2));
    expect(stage.got(one)).toHaveLength(1);
    expect(stage.got(two)).toEqual([]);
    expect(stage.drops).toHaveLength(2);
  });
});

describe("initialize", () => {
  test("reaches the server once; each client agrees on its own version or the server's, whichever is older", () => {
    const stage = new Stage();
    const [one, two, three] = [stage.join(), stage.join(), stage.join()];
    // Whoever comes first: the server is asked for the last version.
    expect(parsed(stage.client(one, initialize("a", "2024-11-05")))).toEqual([initialize(1)]);
    expect(stage.client(two, initialize("b"))).toEqual([]);
    stage.server(greeting(1, "2025-06-18"));
    expect(stage.client(three, initialize("c", "2025-03-26"))).toEqual([]);
    const versions = { a: "2024-11-05", b: "2025-06-18", c: "2025-03-26" };
    expect(stage.all().map(parsed)).toEqual(
      Object.entries(versions).map(([id, protocolVersion]) => [
        result(id, { protocolVersion, capabilities: { tools: {} }, serverInfo: INFO }),
      ]),
    );
    const initialized = notification("notifications/initialized");
    expect(parsed(stage.client(two, initialized))).toEqual([initialized]);
    expect(stage.client(one, initialized)).toEqual([]);
  });

  test("that the server refuses is tried again by the next one", () => {
    const stage = new Stage();
    const [one, two] = [stage.join(), stage.join()];
    stage.client(one, initialize(1));
    stage.client(two, initialize(1, "2024-11-05"));
    stage.server(failure(1));
    expect(parsed(stage.forServer())).toEqual([initialize(2)]);
    stage.server(greeting(2));
    expect(stage.got(one)).toHaveLength(1);
    expect(parsed(stage.got(two))).toMatchObject([{ id: 1, result: {} }]);
  });

  test("goes on for the others when its client leaves", () => {
    const stage = new Stage();
    const [one, two] = [stage.join(), stage.join()];
    stage.client(one, initialize(1));
    expect(stage.leave(one)).toEqual([]);
    stage.client(two, initialize(5));
    stage.server(greeting(1));
    expect(parsed(stage.got(two))).toMatchObject([{ id: 5, result: { protocolVersion: "2025-11-25" } }]);
  });

  test("does not tell of roots and of tasks at the client; all else stays as it was written", () => {
    const stage = new Stage();
    const capabilities =
      '{"roots":{"listChanged":true}, "sampling" : {"x":1e400},"tasks":{"list":{}},"elicitation":{}}';
    const line = (id: string, told: string) =>
      `{"jsonrpc":"2.0","id":${id},"method":"initialize","params":{"capabilities":${told},"protocolVersion":"X","z":1e400}}`;
    expect(stage.client(stage.join(), line('"q"', capabilities))).toEqual([
      line("1", '{"sampling" : {"x":1e400},"elicitation":{}}'),
    ]);
  });
});

describe("a client cancels", () => {
  test("its own request under the bridge's number, nobody else's", () => {
    const { stage, one, two } = pair();
    stage.client(one, request("x", "m"));
    const cancel = (requestId: unknown) => notification("notifications/cancelled", { requestId, reason: "r" });
    expect(stage.client(two, cancel("x"))).toEqual([]);
    expect(stage.client(two, cancel(2))).toEqual([]);
    expect(parsed(stage.client(one, cancel("x")))).toEqual([cancel(2)]);
    expect(stage.drops).toEqual(["not its own from the client", "not its own from the client"]);
  });

  test("by leaving", () => {
    const { stage, one, two } = pair();
    stage.client(one, request("x", "m"));
    stage.client(two, request("x", "m"));
    expect(parsed(stage.leave(one))).toMatchObject([{ method: "notifications/cancelled", params: { requestId: 2 } }]);
    stage.server(result(2));
    stage.server(result(3));
    expect(stage.all().map((lines) => lines.length)).toEqual([0, 1]);
  });
});

describe("what the server asks", () => {
  const ask = request("q", "elicitation/create", { message: "?", _meta: { progressToken: "t" } });
  const CAPABLE = { elicitation: {}, sampling: {} };

  test("goes to the only one who has a request in flight, and only that one answers", () => {
    const { stage, one, two } = pair(CAPABLE);
    stage.client(two, request(1, "tools/call"));
    stage.server(ask);
    expect(stage.all().map(parsed)).toEqual([[], [ask]]);
    const progress = notification("notifications/progress", { progressToken: "t", progress: 1 });
    expect(stage.client(one, result("q"))).toEqual([]);
    expect(stage.client(one, progress)).toEqual([]);
    expect(parsed(stage.client(two, progress))).toEqual([progress]);
    expect(parsed(stage.client(two, result("q")))).toEqual([result("q")]);
    expect(stage.client(two, result("q"))).toEqual([]);
    expect(stage.client(two, progress)).toEqual([]);
  });

  test("is refused at once where two have requests in flight, or nobody of several", () => {
    const { stage, one, two } = pair(CAPABLE);
    stage.server(ask);
    expect(parsed(stage.forServer())).toMatchObject([{ id: "q", error: { code: -32009 } }]);
    stage.client(one, request(1, "tools/call"));
    stage.client(two, request(1, "tools/call"));
    stage.server(ask);
    expect(parsed(stage.forServer())).toMatchObject([{ id: "q", error: { code: -32009 } }]);
    expect(stage.all()).toEqual([[], []]);
  });

  test("may be on behalf of a request that was cancelled a moment ago, or of a client that has left", () => {
    const { stage, one, two } = pair(CAPABLE);
    stage.client(one, request(1, "tools/call"));
    stage.client(one, notification("notifications/cancelled", { requestId: 1 }));
    stage.client(two, request(1, "tools/call"));
    stage.leave(one);
    stage.server(ask);
    expect(parsed(stage.forServer())).toMatchObject([{ id: "q", error: { code: -32009 } }]);
    stage.now += 60_000;
    stage.sweep();
    stage.server(ask);
    expect(parsed(stage.got(two))).toEqual([ask]);
  });

  test("is refused where the client lacks it; roots are never there; a ping is answered", () => {
    const { stage, guests } = begun(1, { sampling: {}, roots: {} });
    const [only] = guests;
    if (!only) throw new Error("a client is needed");
    stage.server(ask);
    stage.server(request("r", "roots/list"));
    stage.server(request("p", "ping"));
    expect(parsed(stage.forServer())).toMatchObject([
      { id: "q", error: { code: -32601 } },
      { id: "r", error: { code: -32601 } },
      { id: "p", result: {} },
    ]);
    const sample = request("s", "sampling/createMessage");
    stage.server(sample);
    expect(parsed(stage.got(only))).toEqual([sample]);
    expect(parsed(stage.leave(only))).toMatchObject([{ id: "s", error: { data: { kind: "cancelled" } } }]);
  });

  test("goes to whose task it is about, whoever else is busy, and can be taken back", () => {
    const { stage, one, two } = pair(CAPABLE);
    stage.client(one, request(1, "tools/call", { task: {} }));
    stage.server(result(2, { task: { taskId: "T", status: "working" } }));
    stage.client(two, request(1, "tools/call"));
    stage.all();
    const related = { ...ask, params: { _meta: { "io.modelcontextprotocol/related-task": { taskId: "T" } } } };
    stage.server(related);
    expect(stage.all().map(parsed)).toEqual([[related], []]);
    const back = notification("notifications/cancelled", { requestId: "q" });
    stage.server(back);
    expect(stage.all().map(parsed)).toEqual([[back], []]);
    expect(stage.client(one, result("q"))).toEqual([]);
  });
});
