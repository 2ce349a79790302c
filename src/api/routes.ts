/** Every route of the API, in the order of its documentation. */
import { openapiDocument } from "./openapi.ts";
import { jsonResponse } from "./responses.ts";
import { type Route, route } from "./route.ts";
import { approvalRoutes } from "./routes/approval.ts";
import { cleanupRoutes } from "./routes/cleanup.ts";
import { eventRoutes } from "./routes/events.ts";
import { healthRoutes } from "./routes/health.ts";
import { logRoutes } from "./routes/logs.ts";
import { serverRoutes } from "./routes/servers.ts";
import { sessionRoutes } from "./routes/sessions.ts";
import { tokenRoutes } from "./routes/tokens.ts";
import { toolRoutes } from "./routes/tools.ts";
import { volumeRoutes } from "./routes/volumes.ts";

export const ROUTES: readonly Route[] = [
  ...healthRoutes,
  ...serverRoutes,
  ...toolRoutes,
  ...approvalRoutes,
  ...logRoutes,
  ...volumeRoutes,
  ...sessionRoutes,
  ...tokenRoutes,
  ...eventRoutes,
  ...cleanupRoutes,
  route({
    method: "GET",
    path: "/openapi.json",
    id: "openapi",
    summary: "This document",
    answers: "OpenAPI 3.1.",
    also: { "application/json": "text" },
    run: () => jsonResponse(document()),
  }),
];

let made: Record<string, unknown> | undefined;

/** Made when it is first asked for: a manager whose clients never ask should not pay for it. */
function document(): Record<string, unknown> {
  made ??= openapiDocument(ROUTES);
  return made;
}
