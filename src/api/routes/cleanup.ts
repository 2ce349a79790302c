/** Housekeeping: what nobody uses any more, and the whole at a glance. */
import { readFileSync } from "node:fs";
import { Deadline } from "../../base/deadline.ts";
import { VERSION } from "../../base/version.ts";
import type { Manager } from "../../manager/manager.ts";
import { cleanupBody, cleanupReport, statusView, type StatusView } from "../../model/cleanup.ts";
import { REQUEST_MS } from "../../model/rest.ts";
import { route } from "../route.ts";

/** A look at the whole must not wait for an engine that hangs. */
const LOOK_MS = 10_000;

export const cleanupRoutes = [
  route({
    method: "POST",
    path: "/cleanup",
    id: "cleanup",
    summary: "Remove what nobody uses: containers and networks of managers that are gone, servers idle for too long",
    body: cleanupBody,
    level: "destructive",
    tool: ({ body }) => (body.dryRun ? undefined : "cleanup"),
    waitMs: REQUEST_MS,
    answers: "What was removed.",
    answer: cleanupReport,
    faults: ["unsupported", "unreachable"],
    run: ({ manager, body, deadline }) => manager.cleanup.run(body, deadline),
  }),
  route({
    method: "GET",
    path: "/status",
    id: "status",
    summary: "The manager, its servers and sessions, and what a cleanup would remove",
    answers: "The whole at a glance.",
    answer: statusView,
    run: ({ manager }) => statusOf(manager),
  }),
];

export async function statusOf(manager: Manager): Promise<StatusView> {
  const { dataDir, runtime, cleanup } = manager;
  const stored = manager.volumes.list(false, Deadline.in(LOOK_MS)).catch(() => undefined);
  const look = cleanup.run({ dryRun: true, force: false }, Deadline.in(LOOK_MS)).catch(() => undefined);
  const servers: StatusView["servers"] = {};
  const containers = { running: 0, ended: 0 };
  for (const { state, container, addresses, containers: own = 0 } of manager.servers()) {
    servers[state] = (servers[state] ?? 0) + 1;
    containers.running += own;
    if (container !== undefined) containers[addresses.length > 0 ? "running" : "ended"] += 1;
  }
  const orphans = (await look)?.removed;
  const volumes = (await stored)?.length;
  return {
    manager: {
      version: VERSION,
      pid: process.pid,
      instance: dataDir.instance,
      dataDir: dataDir.path,
      runtime,
      since: Math.round(performance.timeOrigin),
      memoryBytes: ownMemory(),
      ...manager.readiness(),
    },
    servers,
    containers,
    sessions: manager.sessions().length,
    budget: manager.budget(),
    ...(volumes === undefined ? {} : { volumes }),
    cleanup: { ...cleanup.options, ...(cleanup.last ? { last: cleanup.last } : {}) },
    ...(orphans ? { orphans } : {}),
  };
}

/** Linux tells it; elsewhere the program itself, which all of its processes share, is counted in. */
function ownMemory(): number {
  const { rss } = process.memoryUsage;
  if (process.platform !== "linux") return rss();
  const [, kibibytes] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1")) ?? [];
  return kibibytes === undefined ? rss() : Number(kibibytes) * 1024;
}
