/** The health check of a process server: what an engine's HEALTHCHECK is for a container, with the same settings. */
import { connect } from "node:net";
import { CONTROL_PREFIX, formatFrame, LIMITS, parseBridgeFrame } from "../../../bridge/wire.ts";
import { sleep } from "../../base/deadline.ts";
import type { ProcessFolder, ProcessHealth, ProcessRecord } from "./record.ts";

/** How often a bridge that is not healthy yet is asked during the start period (Docker's `start-interval`, roughly). */
const START_INTERVAL_MS = 500;

/** Writes health.json at every change, until the signal aborts. */
export function watchHealth(
  folder: ProcessFolder,
  { plan }: ProcessRecord,
  incarnation: string,
  signal: AbortSignal,
): void {
  const { interval, timeout, startPeriod, retries } = plan.health;
  const startedAt = performance.now();
  let status: ProcessHealth["status"] = "starting";
  let failures = 0;
  const become = (next: ProcessHealth["status"]) => {
    if (next === status) return;
    status = next;
    folder.write("health", { incarnation, status });
  };
  const step = async (): Promise<void> => {
    const inStart = status === "starting" && performance.now() - startedAt < startPeriod;
    await sleep(inStart ? Math.min(START_INTERVAL_MS, interval) : interval, signal);
    const healthy = await askHealth(folder.address(), timeout);
    if (signal.aborted) return;
    if (healthy) {
      failures = 0;
      become("healthy");
      return;
    }
    if (performance.now() - startedAt < startPeriod && status === "starting") return;
    failures += 1;
    if (failures >= retries) become("unhealthy");
  };
  const loop = async () => {
    while (!signal.aborted) await step();
  };
  // The wait that the abort cuts short rejects; that is the end of the loop.
  loop().catch(() => {});
}

/** Whether the bridge says within the time that it is well; a loopback peer needs no token for that. */
export function askHealth(address: { host: string; port: number } | undefined, timeoutMs: number): Promise<boolean> {
  if (!address) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect(address);
    let answer = "";
    const end = (healthy: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(healthy);
    };
    const timer = setTimeout(end, timeoutMs, false);
    socket.once("connect", () => socket.write(formatFrame({ link: "health" })));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
    socket.on("data", (chunk) => {
      answer += chunk.toString();
      const newline = answer.indexOf("\n");
      if (newline < 0 && answer.length < LIMITS.controlBytes) return;
      end(isWell(answer.slice(0, newline)));
    });
  });
}

function isWell(line: string): boolean {
  const frame = line.startsWith(CONTROL_PREFIX) ? parseBridgeFrame(line) : "no frame";
  return typeof frame !== "string" && frame.link === "health" && frame.status !== "unhealthy";
}
