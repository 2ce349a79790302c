/** Figures for Prometheus, in its text format 0.0.4. Only what is really counted here or asked at the time. */
import { COMMIT, VERSION } from "../base/version.ts";
import type { ServerView, SessionView } from "../model/views.ts";

/** Upper bounds of the buckets, seconds: from a call over a socket to a start that fetches an image. */
const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300];

type LabelValues = Record<string, string>;

interface Histogram {
  labels: LabelValues;
  buckets: number[];
  sum: number;
  count: number;
}

export class Metrics {
  private readonly requests = new Map<string, { labels: LabelValues; value: number }>();
  private readonly durations = new Map<string, Histogram>();
  private readonly calls = new Map<string, Histogram>();
  private readonly startedAt = Date.now() / 1000 - process.uptime();

  /** `path` is the route's pattern, never what was asked for: that has no bound. */
  request(method: string, path: string, status: number, seconds: number): void {
    const labels = { method, path, status: String(status) };
    const key = Object.values(labels).join(" ");
    const counter = this.requests.get(key) ?? { labels, value: 0 };
    counter.value += 1;
    this.requests.set(key, counter);
    observe(this.durations, { method, path }, seconds);
  }

  /** `outcome`: `ok`, `tool-error`, or the kind of the fault. */
  call(server: string, outcome: string, seconds: number): void {
    observe(this.calls, { server, outcome }, seconds);
  }

  /** Figures of a removed server would only pile up. */
  forget(server: string): void {
    for (const [key, { labels }] of this.calls) if (labels.server === server) this.calls.delete(key);
  }

  text(now: { servers: ServerView[]; sessions: SessionView[]; inFlight: number }): string {
    const { rss } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    const families = [
      gauge("linkspan_build_info", "Which build this is; always 1.", [[{ version: VERSION, commit: COMMIT }, 1]]),
      gauge(
        "linkspan_servers",
        "Known servers by state.",
        countBy(now.servers, ({ state }) => ({ state })),
      ),
      gauge(
        "linkspan_sessions",
        "Open sessions by server and kind of client.",
        countBy(now.sessions, ({ server, kind }) => ({ server, kind })),
      ),
      gauge("linkspan_tool_calls_in_flight", "Tool calls through REST that wait for an answer.", [[{}, now.inFlight]]),
      histogram("linkspan_tool_call_duration_seconds", "Tool calls through REST, by outcome.", this.calls),
      counter(
        "linkspan_http_requests_total",
        "Requests to the REST API.",
        [...this.requests.values()].map(({ labels, value }) => [labels, value]),
      ),
      histogram(
        "linkspan_http_request_duration_seconds",
        "From a request's headers to its answer's headers.",
        this.durations,
      ),
      gauge("process_resident_memory_bytes", "Resident memory of the manager.", [[{}, rss]]),
      counter("process_cpu_seconds_total", "CPU time of the manager.", [[{}, (user + system) / 1e6]]),
      gauge("process_start_time_seconds", "Start of the manager, unix time.", [[{}, this.startedAt]]),
    ];
    return families.join("");
  }
}

type Sample = [LabelValues, number];

function gauge(name: string, help: string, samples: Sample[]): string {
  return family(
    name,
    help,
    "gauge",
    samples.map(([labels, value]) => sample(name, labels, value)),
  );
}

function counter(name: string, help: string, samples: Sample[]): string {
  return family(
    name,
    help,
    "counter",
    samples.map(([labels, value]) => sample(name, labels, value)),
  );
}

function histogram(name: string, help: string, histograms: Map<string, Histogram>): string {
  const lines = [...histograms.values()].flatMap(({ labels, buckets, sum, count }) => [
    ...SECONDS.map((le, at) => sample(`${name}_bucket`, { ...labels, le: String(le) }, buckets[at] ?? 0)),
    sample(`${name}_bucket`, { ...labels, le: "+Inf" }, count),
    sample(`${name}_sum`, labels, sum),
    sample(`${name}_count`, labels, count),
  ]);
  return family(name, help, "histogram", lines);
}

function family(name: string, help: string, type: string, lines: string[]): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function sample(name: string, labels: LabelValues, value: number): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escape(text)}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}\n`;
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** Buckets count everything up to their bound, as the format wants it. */
function observe(histograms: Map<string, Histogram>, labels: LabelValues, seconds: number): void {
  const key = Object.values(labels).join(" ");
  let found = histograms.get(key);
  if (!found) {
    found = { labels, buckets: SECONDS.map(() => 0), sum: 0, count: 0 };
    histograms.set(key, found);
  }
  for (const [at, bound] of SECONDS.entries()) if (seconds <= bound) found.buckets[at] = (found.buckets[at] ?? 0) + 1;
  found.sum += seconds;
  found.count += 1;
}

function countBy<T>(items: readonly T[], labelsOf: (item: T) => LabelValues): Sample[] {
  const counts = new Map<string, Sample>();
  for (const item of items) {
    const labels = labelsOf(item);
    const key = Object.values(labels).join(" ");
    const found = counts.get(key);
    if (found) found[1] += 1;
    else counts.set(key, [labels, 1]);
  }
  return [...counts.values()];
}
