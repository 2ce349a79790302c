/** Tools that have changed since they were accepted (src/gateway/aggregate/approvals.ts). */
import type { Manager } from "../../manager/manager.ts";
import { approvalBody, approvalView } from "../../model/approval.ts";
import { name } from "../../model/server-spec.ts";
import { route } from "../route.ts";

const params = { name };

export const approvalRoutes = [
  route({
    method: "GET",
    path: "/servers/:name/approval",
    id: "approval",
    summary: "What has changed in the tools of a server since they were accepted",
    params,
    answers: "The tools that nobody has approved yet, each with what is different.",
    answer: approvalView,
    faults: ["not-found"],
    run: ({ manager, approvals, name }) => approvals.view(name, specOf(manager, name)),
  }),
  route({
    method: "POST",
    path: "/servers/:name/approval",
    id: "approve",
    summary: "Accept what has changed in the tools of a server",
    params,
    body: approvalBody,
    level: "moderate",
    deed: "approving changed tools",
    answers: "What is left to be approved.",
    answer: approvalView,
    faults: ["not-found", "conflict"],
    run: ({ manager, approvals, name, body }) => approvals.approve(name, specOf(manager, name), body),
  }),
];

/** Faults: `not-found`. */
function specOf(manager: Manager, name: string): string {
  manager.server(name);
  return manager.definitions().find((one) => one.name === name)?.hash ?? "";
}
