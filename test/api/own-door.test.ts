/** A toolset that the manager's own process hosts: what its tools answer, and that it is what they answer over REST. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { ManagerClient } from "../../src/api/client/client.ts";
import { SILENT } from "../../src/base/log.ts";
import type { ServersDoor } from "../../src/api/client/door.ts";
import { SERVER_TOOLS } from "../../src/toolset/servers/tools.ts";
import { readSettings } from "../../src/toolset/settings.ts";
import { type Answer, Toolset } from "../../src/toolset/toolset.ts";
import { type ApiUnderTest, fixture, startApi } from "../support/api.ts";
import { rejection } from "../support/rejection.ts";

let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApi("own-door");
});
afterAll(() => api[Symbol.asyncDispose]());

const env = {
  SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true",
  SAFETY_ALLOW_PRIVILEGED_CONTAINERS: "true",
  SAFETY_REQUIRE_CONFIRMATION_FOR_DESTRUCTIVE: "false",
};

function through(door: ServersDoor) {
  const settings = { ...readSettings(env), dataDir: api.manager.dataDir.path };
  const toolset = new Toolset(SERVER_TOOLS, settings, env, SILENT, async () => door);
  const steps: string[] = [];
  const report = ({ text }: { text: string }) => void steps.push(text);
  const caller = { who: "test 1", signal: new AbortController().signal, report };
  return {
    steps,
    call: async (name: string, args: Record<string, unknown> = {}) => {
      const answer: Answer = await toolset.call(name, args, caller);
      if (answer.kind === "ask") throw new Error(`${name} asks`);
      return answer.outcome;
    },
  };
}

test("the same tools over the manager's own door and over REST: the same life, the same answers", async () => {
  const { image, args } = fixture("tools-legacy.ts");
  for (const [name, door] of [
    ["inside", api.api.door],
    ["outside", api.client],
  ] as const) {
    const { call, steps } = through(door);
    expect((await call("run_server", { name, image, args })).structured).toMatchObject({ name, state: "ready" });
    expect(steps.length).toBeGreaterThan(0);
    expect((await call("list_server_tools", { name })).structured).toMatchObject({ total: 11 });
    const slow = { name, tool: "slow", arguments: { steps: 2, stepMs: 1 } };
    expect((await call("call_server_tool", slow)).text).toBe("done");
    expect(steps).toContain("step 1");
    expect((await call("server_logs", { name })).text).toContain("tools-legacy is up");
    expect((await call("stop_server", { name })).structured).toMatchObject({ state: "stopped" });
    expect((await call("restart_server", { name })).structured).toMatchObject({ state: "ready" });
    expect((await call("server_stats", { name })).structured).toMatchObject({ name });
    expect((await call("server_events", { name })).text).toContain("server.ready");
    for (const wrong of ["start_server", "stop_server", "inspect_server", "remove_server", "list_server_tools"])
      expect([wrong, await rejection(call(wrong, { name: "nobody" }))]).toMatchObject([wrong, { kind: "not-found" }]);
  }
  const [inside, outside] = [through(api.api.door), through(api.client)];
  for (const name of ["list_servers", "list_sessions", "server_status", "cleanup"]) {
    const { memory_bytes: _, ...mine } = (await inside.call(name)).structured;
    expect([name, (await outside.call(name)).structured]).toMatchObject([name, mine]);
  }
  const mine = await inside.call("inspect_server", { name: "outside" });
  expect((await outside.call("inspect_server", { name: "outside" })).structured).toEqual(mine.structured);
  for (const name of ["inside", "outside"]) {
    await inside.call("remove_server", { name });
    expect((await outside.call("start_server", { name })).structured).toMatchObject({ state: "ready" });
    await inside.call("remove_server", { name, forget: true });
  }
  expect(api.manager.servers()).toEqual([]);
});

test("of a manager on another machine no volume is asked for: nobody here can judge it", async () => {
  const remote = new ManagerClient({ kind: "http", url: api.url, token: api.token });
  const { call } = through(remote);
  expect((await call("list_servers")).structured).toMatchObject({ total: 0 });
  const { image, args } = fixture("tools-legacy.ts");
  for (const volume of ["notes:/data", "/srv:/data"])
    expect(await rejection(call("run_server", { name: "far", image, args, volumes: [volume] }))).toMatchObject({
      kind: "unsupported",
    });
  expect((await call("run_server", { name: "far", image, args })).structured).toMatchObject({ state: "ready" });
  await call("remove_server", { name: "far", forget: true });
});
