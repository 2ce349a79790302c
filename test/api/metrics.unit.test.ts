/** The text that Prometheus reads: types, labels, buckets that add up. */
import { expect, test } from "bun:test";
import { Metrics } from "../../src/api/metrics.ts";

function samples(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [, series = "", value] = /^(\S+(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    expect(series).not.toBe("");
    expect(found.has(series)).toBeFalse();
    found.set(series, Number(value));
  }
  return found;
}

const now = { servers: [], sessions: [], inFlight: 0 };

test("histograms count upwards and end at their count", () => {
  const metrics = new Metrics();
  for (const seconds of [0.0005, 0.02, 0.02, 7, 1000]) metrics.call("files", "ok", seconds);
  metrics.call("files", "timeout", 60);
  const read = samples(metrics.text(now));
  const bucket = (le: string) =>
    read.get(`linkspan_tool_call_duration_seconds_bucket{server="files",outcome="ok",le="${le}"}`);
  expect([bucket("0.001"), bucket("0.05"), bucket("10"), bucket("300"), bucket("+Inf")]).toEqual([1, 3, 4, 4, 5]);
  expect(read.get('linkspan_tool_call_duration_seconds_count{server="files",outcome="ok"}')).toBe(5);
  expect(read.get('linkspan_tool_call_duration_seconds_sum{server="files",outcome="ok"}')).toBeCloseTo(1007.0405);
  expect(read.get('linkspan_tool_call_duration_seconds_count{server="files",outcome="timeout"}')).toBe(1);
});

test("a removed server takes its series with it", () => {
  const metrics = new Metrics();
  metrics.call("files", "ok", 1);
  metrics.call("other", "ok", 1);
  metrics.forget("files");
  const text = metrics.text(now);
  expect(text).not.toContain('server="files"');
  expect(text).toContain('server="other"');
});

test("figures are asked for at the time", () => {
  const metrics = new Metrics();
  const view = (state: "ready" | "failed") => ({
    name: "a",
    image: "b",
    state,
    runtime: "process",
    addresses: [],
    sessions: 0,
    network: "none",
  });
  const session = { session: "s", server: "a", kind: "front" as const, since: 0 };
  const read = samples(
    metrics.text({ servers: [view("ready"), view("ready"), view("failed")], sessions: [session], inFlight: 3 }),
  );
  expect(read.get('linkspan_servers{state="ready"}')).toBe(2);
  expect(read.get('linkspan_servers{state="failed"}')).toBe(1);
  expect(read.get('linkspan_sessions{server="a",kind="front"}')).toBe(1);
  expect(read.get("linkspan_tool_calls_in_flight")).toBe(3);
  expect(read.get("process_resident_memory_bytes")).toBeGreaterThan(1_000_000);
  expect(Math.abs((read.get("process_start_time_seconds") ?? 0) - (Date.now() / 1000 - process.uptime()))).toBeLessThan(
    5,
  );
});

test("label values are escaped, each family has its type once", () => {
  const metrics = new Metrics();
  metrics.call('a"b\\c\nd', "ok", 1);
  const text = metrics.text(now);
  expect(text).toContain('server="a\\"b\\\\c\\nd"');
  const types = text.split("\n").filter((line) => line.startsWith("# TYPE"));
  expect(new Set(types).size).toBe(types.length);
});
