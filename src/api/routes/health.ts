/** Whether the manager lives, works, and how much it does. */
import { Fault } from "../../base/fault.ts";
import { VERSION } from "../../base/version.ts";
import { healthView, readiness } from "../../model/rest.ts";
import { JSON_TYPE, textResponse } from "../responses.ts";
import { route } from "../route.ts";

const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export const healthRoutes = [
  route({
    method: "GET",
    path: "/health",
    id: "health",
    summary: "The manager is alive",
    access: "open",
    answers: "It is.",
    answer: healthView,
    run: alive,
  }),
  route({
    method: "GET",
    path: "/healthz",
    id: "healthz",
    summary: "The same as /health, under the name that orchestrators use",
    access: "open",
    answers: "It is.",
    answer: healthView,
    run: alive,
  }),
  route({
    method: "GET",
    path: "/readyz",
    id: "ready",
    summary: "The manager can start servers: its engine answers",
    answers: "It can.",
    answer: readiness,
    faults: ["unreachable"],
    run: ({ manager }) => {
      const now = manager.readiness();
      if (now.ready) return { ...now, version: VERSION };
      const data = { ready: false, version: VERSION };
      throw new Fault("unreachable", now.reason ?? "the manager is not ready", { data });
    },
  }),
  route({
    method: "GET",
    path: "/metrics",
    id: "metrics",
    summary: "Figures for Prometheus",
    answers: "Prometheus' text format.",
    also: { "text/plain": "text" },
    run: ({ manager, calls, metrics }) =>
      textResponse(
        metrics.text({ servers: manager.servers(), sessions: manager.sessions(), inFlight: calls.inFlight }),
        METRICS_TYPE,
      ),
  }),
];

/** These bytes and no line end: some health checks compare the text. */
function alive(): Response {
  return textResponse('{"status":"ok"}', JSON_TYPE);
}
