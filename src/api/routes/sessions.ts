/** Sessions: who talks to which server. */
import * as v from "valibot";
import { manifestNews, manifestView } from "../../model/manifest.ts";
import { START_MS } from "../../model/rest.ts";
import { sessionRequest } from "../../model/session-request.ts";
import { sessionGrant, sessionView } from "../../model/views.ts";
import { requireDefinition } from "../../safety/definition.ts";
import { route } from "../route.ts";

const session = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._:-]{1,200}$/, "expected a session's id"));

export const sessionRoutes = [
  route({
    method: "GET",
    path: "/sessions",
    id: "sessions",
    summary: "Open sessions",
    answers: "The sessions.",
    answer: v.array(sessionView),
    run: ({ manager }) => manager.sessions(),
  }),
  route({
    method: "POST",
    path: "/sessions",
    id: "acquire",
    summary: "Open a session for a front that dials the bridge itself; the answer holds the bridge's token",
    access: "socket",
    body: sessionRequest,
    level: "moderate",
    deed: "opening a session",
    chronicled: true,
    waitMs: START_MS,
    progress: true,
    answers: "Where to dial, and with what.",
    answer: sessionGrant,
    faults: ["not-found", "unsupported", "server-failed", "unreachable", "exhausted"],
    run: async ({ manager, gate, body, report, deadline, signal }) => {
      await requireDefinition({ ...body.definition, image: body.server }, gate.safety);
      const grant = await manager.acquire(body, "front", report, deadline);
      // Nobody is left to use it, or to release it.
      if (signal.aborted) manager.release(grant.session);
      return grant;
    },
  }),
  route({
    method: "POST",
    path: "/sessions/manifest",
    id: "manifest",
    summary: "What a server that is not running yet has answered to those who asked it before",
    access: "socket",
    body: sessionRequest,
    answers: "Answers by the fingerprint of the question; none where the server runs, or is not known.",
    answer: manifestView,
    run: async ({ manager, body }) => ({ answers: await manager.manifests.find(body) }),
  }),
  route({
    method: "POST",
    path: "/sessions/:id/manifest",
    id: "learn",
    summary: "Keep what the server of a session answers",
    access: "socket",
    params: { id: session },
    body: manifestNews,
    level: "moderate",
    deed: "keeping a manifest",
    chronicled: true,
    answers: "It is kept, as far as it may be.",
    run: async ({ manager, params, body }) => {
      await manager.manifests.learn(params.id ?? "", body.answers);
      return undefined;
    },
  }),
  route({
    method: "DELETE",
    path: "/sessions/:id",
    id: "release",
    summary: "Release a session. Idempotent",
    params: { id: session },
    level: "moderate",
    deed: "ending a session",
    chronicled: true,
    answers: "It is released.",
    run: ({ manager, params }) => {
      manager.release(params.id ?? "");
      return undefined;
    },
  }),
];
