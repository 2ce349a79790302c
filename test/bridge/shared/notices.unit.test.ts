/** What a shared server says on its own, and clients of 2026-07-28. */
import { describe, expect, test } from "bun:test";
import { initialize, notification, pair, parsed, request, result, Stage } from "./stage.ts";

describe("notifications of the server", () => {
  test("that lists have changed are for all, unknown ones for nobody", () => {
    const { stage } = pair();
    const changed = notification("notifications/tools/list_changed");
    stage.server(changed);
    stage.server(notification("notifications/vendor"));
    expect(stage.all().map(parsed)).toEqual([[changed], [changed]]);
  });

  test("of resources are for those who have subscribed; the last one ends the subscription", () => {
    const { stage, one, two } = pair();
    const about = (method: string) => request(1, method, { uri: "file:///a" });
    stage.client(one, about("resources/subscribe"));
    stage.client(two, about("resources/subscribe"));
    stage.server(result(2));
    stage.server(result(3));
    stage.all();
    const updated = (uri: string) => notification("notifications/resources/updated", { uri });
    stage.server(updated("file:///a"));
    stage.server(updated("file:///a/b"));
    stage.server(updated("file:///ab"));
    expect(stage.all().map((lines) => lines.length)).toEqual([2, 2]);
    expect(stage.client(one, about("resources/unsubscribe"))).toEqual([]);
    expect(parsed(stage.got(one))).toEqual([result(1)]);
    stage.server(updated("file:///a"));
    expect(stage.all().map((lines) => lines.length)).toEqual([0, 1]);
    expect(parsed(stage.leave(two))).toMatchObject([
      { id: 4, method: "resources/unsubscribe", params: { uri: "file:///a" } },
    ]);
    stage.server(result(4));
    expect(stage.all()).toEqual([[], []]);
  });

  test("of the log go by what each has asked for; the server has the most verbose level", () => {
    const { stage, one, two } = pair();
    const level = (name: string) => request(1, "logging/setLevel", { level: name });
    expect(parsed(stage.client(one, level("warning")))).toMatchObject([{ params: { level: "warning" } }]);
    expect(parsed(stage.client(two, level("debug")))).toMatchObject([{ params: { level: "debug" } }]);
    expect(stage.client(one, level("error"))).toEqual([]);
    stage.server(result(2));
    stage.server(result(3));
    expect(stage.all().map(parsed)).toEqual([[result(1), result(1)], [result(1)]]);
    const message = (name: string) => notification("notifications/message", { level: name, data: "x" });
    for (const name of ["debug", "warning", "error"]) stage.server(message(name));
    expect(stage.all().map((lines) => lines.length)).toEqual([1, 3]);
    expect(parsed(stage.leave(two))).toMatchObject([{ method: "logging/setLevel", params: { level: "error" } }]);
  });

  test("of the log go to the owner where nobody has asked for a level", () => {
    const { stage, one } = pair();
    const message = notification("notifications/message", { level: "info", data: "x" });
    stage.server(message);
    expect(stage.all()).toEqual([[], []]);
    stage.client(one, request(1, "tools/call"));
    stage.server(message);
    expect(stage.all().map(parsed)).toEqual([[message], []]);
  });

  test("of tasks and web pages are for their owner, who alone reaches the task", () => {
    const { stage, one, two } = pair({ elicitation: {} });
    stage.client(one, request(1, "tools/call", { task: {}, _meta: { progressToken: "p" } }));
    stage.server(result(2, { task: { taskId: "T", status: "working" } }));
    stage.all();
    const status = notification("notifications/tasks/status", { taskId: "T", status: "working" });
    const progress = notification("notifications/progress", { progressToken: 2, progress: 1 });
    stage.server(status);
    stage.server(progress);
    expect(stage.all().map((lines) => lines.length)).toEqual([2, 0]);
    expect(stage.client(two, request(1, "tasks/result", { taskId: "T" }))).toEqual([]);
    expect(parsed(stage.got(two))).toMatchObject([{ id: 1, error: { code: -32602 } }]);
    expect(stage.client(one, request(2, "tasks/get", { taskId: "T" }))).toHaveLength(1);
    stage.client(two, request(9, "tasks/list"));
    stage.server(result(4, { tasks: [{ taskId: "T" }, { taskId: "U" }], x: 1 }));
    expect(parsed(stage.got(two))).toEqual([result(9, { tasks: [], x: 1 })]);
    stage.server(result(3, { taskId: "T", status: "working" }));
    stage.client(two, request(3, "tools/call"));
    stage.server({
      jsonrpc: "2.0",
      id: 5,
      error: { code: -32042, message: "", data: { elicitations: [{ elicitationId: "E" }] } },
    });
    stage.all();
    stage.server(notification("notifications/elicitation/complete", { elicitationId: "E" }));
    expect(stage.all().map((lines) => lines.length)).toEqual([0, 1]);
    expect(parsed(stage.leave(one))).toMatchObject([{ method: "tasks/cancel", params: { taskId: "T" } }]);
  });
});

describe("clients of 2026-07-28", () => {
  const VERSION = "io.modelcontextprotocol/protocolVersion";
  const ID = "io.modelcontextprotocol/subscriptionId";
  const modern = (id: number | string, method: string, meta: object = {}) =>
    request(id, method, { _meta: { [VERSION]: "2026-07-28", ...meta } });

  test("have streams of notifications of their own", () => {
    const stage = new Stage();
    const [one, two] = [stage.join(), stage.join()];
    stage.client(one, modern("l", "subscriptions/listen"));
    stage.client(two, modern("l", "subscriptions/listen"));
    const about = (id: number | string) => notification("notifications/tools/list_changed", { _meta: { [ID]: id } });
    stage.server(about(2));
    expect(stage.all().map(parsed)).toEqual([[], [about("l")]]);
    stage.server(result(1, { _meta: { [ID]: 1 } }));
    expect(stage.all().map(parsed)).toEqual([[result("l", { _meta: { [ID]: "l" } })], []]);
    stage.server(notification("notifications/cancelled", { requestId: 2 }));
    expect(stage.all().map(parsed)).toEqual([[], [notification("notifications/cancelled", { requestId: "l" })]]);
    stage.server(about(2));
    expect(stage.all()).toEqual([[], []]);
  });

  test("get log messages where only one has a request that wants them", () => {
    const stage = new Stage();
    const [one, two] = [stage.join(), stage.join()];
    const logging = modern(1, "tools/call", { "io.modelcontextprotocol/logLevel": "info" });
    const message = notification("notifications/message", { level: "info", data: 1 });
    stage.client(one, logging);
    stage.client(two, modern(1, "tools/call"));
    stage.server(message);
    expect(stage.all().map((lines) => lines.length)).toEqual([1, 0]);
    stage.client(two, logging);
    stage.server(message);
    expect(stage.all()).toEqual([[], []]);
  });

  test("and older ones do not meet on one process", () => {
    const { stage, one } = pair();
    expect(stage.client(one, modern(1, "server/discover"))).toEqual([]);
    expect(stage.client(one, modern(2, "tools/list"))).toEqual([]);
    expect(parsed(stage.got(one))).toMatchObject([
      { id: 1, error: { code: -32601 } },
      { id: 2, error: { code: -32022 } },
    ]);
    const other = new Stage();
    const guest = other.join();
    other.client(guest, modern(1, "server/discover"));
    other.server(result(1));
    expect(other.client(guest, initialize(2))).toEqual([]);
    expect(parsed(other.got(guest))).toMatchObject([{ id: 1 }, { id: 2, error: { code: -32022 } }]);
  });
});
