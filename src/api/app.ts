/** The HTTP application: who may ask, which route answers, and every failure as a problem body. */
import { Hono } from "hono";
import { Fault } from "../base/fault.ts";
import { checkHost, checkOrigin, checkToken, type Door } from "../base/guard.ts";
import { problemResponse } from "./problem.ts";
import { ROUTES } from "./routes.ts";
import type { Route, Services } from "./route.ts";

/** Where a request came in; given to `app.fetch` as its environment. */
interface Bindings {
  door: Door;
}

type App = Hono<{ Bindings: Bindings }>;

/** `onDefect` hears of every failure that is ours. */
export function createApp(services: Services, onDefect: (fault: Fault) => void): App {
  const app: App = new Hono<{ Bindings: Bindings }>({ strict: false });
  for (const route of ROUTES) {
    app.on(route.method, route.path, async (context) => {
      const startedAt = performance.now();
      const response = await answer(route, context.req.raw, context.req.param(), context.env.door, services, onDefect);
      services.metrics.request(route.method, route.path, response.status, (performance.now() - startedAt) / 1000);
      return response;
    });
  }
  app.notFound((context) => {
    const refused = strangers(context.req.raw, context.env.door, "token");
    return sealed(problemResponse(refused ?? noRoute(context.req.method, context.req.path)));
  });
  app.onError((error) => sealed(problemResponse(report(error, onDefect))));
  return app;
}

async function answer(
  route: Route,
  request: Request,
  params: Record<string, string>,
  door: Door,
  services: Services,
  onDefect: (fault: Fault) => void,
): Promise<Response> {
  try {
    const refused = strangers(request, door, route.access ?? "token");
    if (refused) throw refused;
    const who = callerOf(request, door);
    return sealed(await route.respond({ request, url: new URL(request.url), params, who, services }));
  } catch (error) {
    return sealed(problemResponse(report(error, onDefect)));
  }
}

/** For the audit log: over which door somebody came, and which program it says it is. */
function callerOf({ headers }: Request, { token }: Door): string {
  return `${token === undefined ? "socket" : "token"} ${headers.get("user-agent") ?? "unknown"}`;
}

/** Why this request may not ask; undefined when it may. */
function strangers(request: Request, door: Door, access: NonNullable<Route["access"]>): Fault | undefined {
  const { headers } = request;
  const refused = checkHost(headers.get("host"), door) ?? checkOrigin(headers.get("origin"), headers.get("host"));
  if (refused || access === "open") return refused;
  const unknown = checkToken(headers.get("authorization"), door);
  if (unknown || access === "token" || door.token === undefined) return unknown;
  return new Fault("forbidden", "this route answers only on the manager's own socket");
}

/** A defect of ours says so and no more: its message may hold anything. The log has it all. */
function report(error: unknown, onDefect: (fault: Fault) => void): Fault {
  const fault = Fault.from(error);
  if (fault.kind !== "internal") return fault;
  onDefect(fault);
  return new Fault("internal", "Linkspan failed while answering this request", {
    hint: "The manager's log says more. Please report it.",
  });
}

/** What every answer says to browsers and caches. */
function sealed(response: Response): Response {
  response.headers.set("cache-control", "no-store");
  response.headers.set("x-content-type-options", "nosniff");
  return response;
}

function noRoute(method: string, path: string): Fault {
  const methods = ROUTES.filter((route) => matches(route.path, path)).map((route) => route.method);
  const hint =
    methods.length > 0 ? `This path takes ${methods.join(" and ")}.` : "GET /openapi.json lists every route.";
  // The path is not repeated: it is whatever somebody typed.
  return new Fault("not-found", `there is no such route for ${/^[A-Z]{1,16}$/.test(method) ? method : "this method"}`, {
    hint,
  });
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split("/");
  const given = path.replace(/\/$/, "").split("/");
  return wanted.length === given.length && wanted.every((part, at) => part.startsWith(":") || part === given[at]);
}
