/** Servers through REST, over a real socket and a real port, with a real manager. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as v from "valibot";
import { Fault } from "../../src/base/fault.ts";
import { problem as problemSchema } from "../../src/model/views.ts";
import { type ApiUnderTest, fixture, startApi } from "../support/api.ts";
import { rejection } from "../support/rejection.ts";

let api: ApiUnderTest;

beforeAll(async () => {
  api = await startApi("servers");
});
afterAll(() => api[Symbol.asyncDispose]());

/** The five routes as the examples of a small manager on port 8080 use them: curl, and nothing but a header more. */
test("curl examples: health, start, list, call, stop", async () => {
  const curl = async (...args: string[]): Promise<string> => {
    const auth = args[0] === "/health" ? [] : ["-H", `Authorization: Bearer ${api.token}`];
    const [path = "", ...rest] = args;
    const child = Bun.spawn(["curl", "-sS", "--max-time", "30", ...rest, ...auth, `${api.url}${path}`], {
      stdout: "pipe",
    });
    return await child.stdout.text();
  };
  const json = ["-H", "Content-Type: application/json"];

  expect(await curl("/health")).toBe('{"status":"ok"}');
  expect(JSON.parse(await curl("/servers"))).toEqual([]);

  const started = await curl(
    "/servers/filesystem/start",
    "-X",
    "POST",
    ...json,
    "-d",
    JSON.stringify(fixture("tools-legacy.ts")),
  );
  expect(JSON.parse(started)).toMatchObject({ message: "server started", name: "filesystem", state: "ready" });

  expect(JSON.parse(await curl("/servers"))).toMatchObject([{ name: "filesystem", state: "ready" }]);

  const body = '{"tool": "echo", "arguments": {"text": "/data"}}';
  const called = JSON.parse(await curl("/servers/filesystem/call", "-X", "POST", ...json, "-d", body));
  expect(called).toMatchObject({ result: { content: [{ type: "text", text: "/data" }] } });

  const stopped = await curl("/servers/filesystem/stop", "-X", "POST");
  expect(JSON.parse(stopped)).toMatchObject({ message: "server stopped", name: "filesystem", state: "stopped" });
  await api.client.remove("filesystem");
});

describe("the life of a server", () => {
  const name = "files";

  test("starts, with progress, and starting it again changes nothing", async () => {
    const steps: string[] = [];
    const first = await api.client.start(name, fixture("tools-legacy.ts"), {
      report: ({ step }) => void steps.push(step),
    });
    expect(first.state).toBe("ready");
    expect(steps.length).toBeGreaterThan(0);
    const second = await api.client.start(name, fixture("tools-legacy.ts"));
    expect(second.id).toBe(first.id ?? "");
    expect(second.since).toBe(first.since ?? 0);
  });

  test("is listed and shown", async () => {
    const view = await api.client.server(name);
    expect(view).toMatchObject({ name, state: "ready", runtime: "process" });
    expect(await api.client.servers()).toEqual([view]);
  });

  test("is inspected: spec with defaults, what the engine cannot do, health of the bridge, no secret", async () => {
    const secret = { ...fixture("tools-legacy.ts"), secrets: { API_KEY: "hunter2-hunter2" }, env: { MODE: "x" } };
    await api.client.start("secretive", secret);
    const found = await api.client.inspect("secretive");
    expect(found.spec.limits.pids).toBe(128);
    expect(found.gaps.map(({ field }) => field)).toContain("limits.memory");
    expect(found.health?.status).toBe("ok");
    expect(found.raw).toBeDefined();
    expect(JSON.stringify(found)).not.toContain("hunter2");
    const reply = await api.client.call("secretive", { tool: "environment", arguments: { name: "API_KEY" } });
    expect(reply.content[0]?.text).toBe("hunter2-hunter2");
    await api.client.remove("secretive");
  });

  test("tells its figures", async () => {
    const stats = await api.client.stats(name);
    expect(stats.pids).toBeGreaterThan(0);
    expect(stats.memoryBytes).toBeGreaterThan(1_000_000);
  });

  test("restarts as another incarnation", async () => {
    const before = await api.client.server(name);
    const after = await api.client.restart(name);
    expect(after.state).toBe("ready");
    expect(after.since).toBeGreaterThan(before.since ?? 0);
  });

  test("stops, stays known, and starts again without a body", async () => {
    expect((await api.client.stop(name)).state).toBe("stopped");
    expect((await api.client.stop(name)).state).toBe("stopped");
    expect((await api.client.server(name)).state).toBe("stopped");
    expect((await api.client.start(name, undefined)).state).toBe("ready");
  });

  test("is removed and forgotten", async () => {
    await api.client.remove(name);
    expect(await api.client.servers()).toEqual([]);
    expect(await rejection(api.client.server(name))).toMatchObject({ kind: "not-found" });
  });
});

test("a start that fails says why, as a problem and as the last line of a progress stream", async () => {
  const spec = { ...fixture("tools-legacy.ts"), image: "exec:/nonexistent/program" };
  const plain = await api.post("/servers/broken/start", spec);
  expect(plain.status).toBeGreaterThanOrEqual(400);
  expect(plain.headers.get("content-type")).toBe("application/problem+json");
  const problem = v.parse(problemSchema, await plain.json());
  expect(problem.detail).toContain("/nonexistent/program");
  const streamed = await api.client.start("broken", spec).catch((error: unknown) => error);
  expect(streamed).toBeInstanceOf(Fault);
  expect(streamed).toMatchObject({ kind: problem.kind });
  await api.client.remove("broken").catch(() => {});
});

test("a spec that the engine cannot keep is refused, with the field", async () => {
  const response = await api.post("/servers/capable/start", { ...fixture("tools-legacy.ts"), capAdd: ["NET_ADMIN"] });
  expect(response.status).toBe(501);
  expect(JSON.stringify(await response.json())).toContain("capAdd");
});

test("sessions are opened over the socket only, and released", async () => {
  await api.client.start("shared", fixture("tools-legacy.ts"));
  const request = { server: "shared", pid: process.pid, ppid: process.ppid };
  const refused = await api.post("/sessions", request);
  expect(refused.status).toBe(403);
  const grant = await api.client.acquire(request);
  expect(grant.addresses.length).toBeGreaterThan(0);
  expect(grant.token).not.toBe("");
  const open = async () => (await api.client.sessions()).map(({ session }) => session);
  expect(await open()).toContain(grant.session);
  expect(JSON.stringify(await api.client.sessions())).not.toContain(grant.token);
  await api.client.release(grant.session);
  await api.client.release(grant.session);
  expect(await open()).not.toContain(grant.session);
  await api.client.remove("shared");
});

test("the metrics count what was done", async () => {
  await api.client.start("counted", fixture("tools-legacy.ts"));
  for (const tool of ["echo", "echo", "fail"]) await api.client.call("counted", { tool, arguments: { text: "x" } });
  const text = await (await api.http("/metrics")).text();
  expect(text).toContain('linkspan_tool_call_duration_seconds_count{server="counted",outcome="ok"} 2');
  expect(text).toContain('linkspan_tool_call_duration_seconds_count{server="counted",outcome="tool-error"} 1');
  expect(text).toContain('linkspan_servers{state="ready"} 1');
  expect(text).toContain('linkspan_sessions{server="counted",kind="manager"} 1');
  expect(text).toMatch(/linkspan_http_requests_total\{method="POST",path="\/servers\/:name\/call",status="200"\} \d+/);
  await api.client.remove("counted");
});
