/** Faults as RFC 9457 problem bodies. Status codes come from the one table in src/base/fault.ts. */
import { FAULT_KINDS, Fault, type FaultKind } from "../base/fault.ts";
import type { Problem } from "../model/views.ts";

export const PROBLEM_TYPE = "application/problem+json";

const TITLES: Record<FaultKind, string> = {
  usage: "The request is malformed",
  invalid: "A value is not allowed",
  unauthenticated: "Authentication is needed",
  forbidden: "Not allowed",
  "not-found": "Not found",
  conflict: "Conflict",
  "too-large": "Too large",
  exhausted: "A limit is reached",
  cancelled: "Cancelled",
  unsupported: "Not supported",
  "server-failed": "The MCP server failed",
  "engine-failed": "The container engine failed",
  unreachable: "Not reachable",
  timeout: "Not in time",
  "tool-failed": "The tool failed",
  internal: "A defect of Linkspan",
};

export function problemOf(thrown: unknown): Problem {
  const fault = Fault.from(thrown);
  return {
    // A URN, because there is no page to point at: a reader would follow a URL.
    type: `urn:linkspan:fault:${fault.kind}`,
    title: TITLES[fault.kind],
    status: FAULT_KINDS[fault.kind].http,
    detail: fault.message,
    kind: fault.kind,
    ...(fault.hint === undefined ? {} : { hint: fault.hint }),
    ...(fault.data === undefined ? {} : { data: fault.data }),
  };
}

export function problemResponse(thrown: unknown): Response {
  const problem = problemOf(thrown);
  return new Response(`${JSON.stringify(problem)}\n`, {
    status: problem.status,
    headers: {
      "content-type": PROBLEM_TYPE,
      ...(problem.kind === "unauthenticated" ? { "www-authenticate": 'Bearer realm="linkspan"' } : {}),
      ...(problem.kind === "exhausted" ? { "retry-after": "1" } : {}),
    },
  });
}
