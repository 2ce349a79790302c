/**
 * `linkspan health [TARGET]`: 0 if it is well, 1 if not, in milliseconds. HOST:PORT is a bridge (the container's own
 * health check); a URL, or nothing, is a manager.
 */
import { CONTROL_PREFIX, type HealthReport, formatFrame, parseBridgeFrame } from "./wire.ts";

const DEADLINE_MS = 2_000;
const MANAGER = "http://127.0.0.1:8080";
/** No report is longer: it has one exit report in it. */
const REPORT_BYTES = 512 * 1024;

const USAGE = `Usage: linkspan health [TARGET]

Asks a bridge or a manager whether it is well: exit code 0 if it is, 1 if not, within ${DEADLINE_MS / 1000} s.
TARGET is the HOST:PORT of a bridge or the URL of a manager (${MANAGER}).
A bridge that wants a token answers only on its own loopback address.

Examples:
  linkspan health                          # the manager on this machine
  linkspan health http://127.0.0.1:9000    # one on another port
  linkspan health 127.0.0.1:5465           # a bridge of this machine
`;

export async function healthMain(argv: string[]): Promise<number> {
  const [target = MANAGER] = argv;
  if (target === "--help" || target === "-h") {
    process.stdout.write(USAGE);
    return 0;
  }
  try {
    const line = /^https?:\/\//.test(target) ? await askManager(target) : describe(await askBridge(target));
    process.stdout.write(`${line}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`linkspan health: ${target}: ${error instanceof Error ? error.message : error}\n`);
    return 1;
  }
}

async function askManager(url: string): Promise<string> {
  const response = await fetch(new URL("/health", url), { signal: AbortSignal.timeout(DEADLINE_MS) });
  if (!response.ok) throw new Error(`it answers with status ${response.status}`);
  return "ok";
}

function describe(report: HealthReport): string {
  const { status, sessions, processes, inFlight, busy, trouble } = report;
  if (status === "unhealthy") throw new Error(trouble?.message ?? "it is unhealthy");
  const silent = busy > 0 ? `, ${busy} busy` : "";
  return `${status}: ${sessions} sessions, ${processes} processes, ${inFlight} requests in flight${silent}`;
}

/** Rejects when no report comes in time. */
function askBridge(target: string): Promise<HealthReport> {
  const match = /^(.+):(\d{1,5})$/.exec(target);
  if (!match) throw new Error("it is neither HOST:PORT nor a URL");
  const [, hostname = "", port = ""] = match;
  const { promise, resolve, reject } = Promise.withResolvers<HealthReport>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  let text = "";
  const connected = Bun.connect({
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port),
    socket: {
      open: (socket) => void socket.write(formatFrame({ link: "health" })),
      data: (socket, chunk) => {
        text += chunk.toString();
        const end = text.indexOf("\n");
        if (end < 0 && text.length < REPORT_BYTES) return;
        settle(text.slice(0, end), resolve, reject);
        socket.end();
      },
      close: () => reject(new Error("it closed the connection without a report")),
    },
  });
  connected.catch(() => reject(new Error("nobody accepts the connection")));
  return promise.finally(() => clearTimeout(timer));
}

function settle(line: string, resolve: (report: HealthReport) => void, reject: (error: Error) => void): void {
  const frame = line.startsWith(CONTROL_PREFIX) ? parseBridgeFrame(line) : "it is no bridge";
  if (typeof frame === "string") reject(new Error(frame));
  else if (frame.link === "health") resolve(frame);
  else if (frame.link === "error") reject(new Error(frame.message));
  else reject(new Error(`it answered with ${frame.link}`));
}
