/** Resources over MCP: list, templates, read, and the subscriptions of clients before 2026-07-28. */
import type { Server, ServerContext } from "@modelcontextprotocol/server";
import { Fault } from "../../base/fault.ts";
import { page } from "../output.ts";
import { judgeResource, requireResource } from "../../safety/policy.ts";
import { protocolError } from "../protocol-error.ts";
import type { Toolset } from "../toolset.ts";
import { matchUri, type ResourceTemplate, uriOf, type Variables } from "./resource.ts";
import { RESOURCES } from "./templates.ts";

const LIST_PAGE = 200;

interface Found {
  resource: ResourceTemplate;
  variables: Variables;
}

export function serveResources(server: Server, toolset: Toolset, who: (context: ServerContext) => string): void {
  server.setRequestHandler("resources/templates/list", () => ({ resourceTemplates: allowed(toolset).map(describe) }));
  server.setRequestHandler("resources/list", ({ params }, { mcpReq }) =>
    answer(async () => {
      const call = toolset.glance(mcpReq.signal);
      const lists = allowed(toolset).map(async (resource) =>
        (await resource.list(call)).map((each) => entry(resource, each)),
      );
      const all = (await Promise.all(lists)).flat();
      const { items, next_cursor: nextCursor } = page(all, { limit: LIST_PAGE, cursor: params?.cursor });
      return { resources: items, ...(nextCursor ? { nextCursor } : {}) };
    }),
  );
  server.setRequestHandler("resources/read", ({ params: { uri } }, context) =>
    answer(async () => {
      const { signal } = context.mcpReq;
      const find = () => findResource(uri, toolset);
      const text = await toolset.look("resource", { uri }, { who: who(context), signal }, find, (found, call) =>
        found.resource.read(found.variables, call),
      );
      return { contents: [{ uri, mimeType: find().resource.mimeType, text }] };
    }),
  );
  serveSubscriptions(server, toolset);
}

function serveSubscriptions(server: Server, toolset: Toolset): void {
  const open = new Map<string, () => void>();
  server.setRequestHandler("resources/subscribe", ({ params: { uri } }) =>
    answer(() => {
      if (open.has(uri)) return {};
      findResource(uri, toolset);
      open.set(
        uri,
        toolset.watches.add(uri, () => void server.sendResourceUpdated({ uri }).catch(() => {})),
      );
      return {};
    }),
  );
  server.setRequestHandler("resources/unsubscribe", ({ params: { uri } }) => {
    open.get(uri)?.();
    open.delete(uri);
    return {};
  });
  server.onclose = () => {
    for (const end of open.values()) end();
    open.clear();
  };
}

/** Values that fit what was typed of a template's variable. Faults: `not-found`, `forbidden`. */
export async function completeResource(
  toolset: Toolset,
  template: string,
  variable: string,
  known: Variables,
  signal: AbortSignal,
): Promise<string[]> {
  const found = RESOURCES.find((one) => one.template === template);
  if (!found) throw new Fault("not-found", `there is no resource template ${template}`);
  requireResource(found, toolset.settings);
  return found.complete(variable, known, toolset.glance(signal));
}

/** Faults: `not-found`, `forbidden`. */
export function findResource(uri: string, { settings }: Pick<Toolset, "settings">): Found {
  for (const resource of RESOURCES) {
    const variables = matchUri(resource.template, uri);
    if (!variables) continue;
    requireResource(resource, settings);
    return { resource, variables };
  }
  throw new Fault("not-found", `there is no resource ${uri.slice(0, 200)}`, {
    hint: `Templates: ${RESOURCES.map(({ template }) => template).join(", ")}.`,
  });
}

function allowed({ settings }: Toolset): ResourceTemplate[] {
  return RESOURCES.filter((resource) => judgeResource(resource, settings).allowed);
}

function describe({ name, template, title, description, mimeType }: ResourceTemplate) {
  return { name, uriTemplate: template, title, description, mimeType };
}

function entry({ name, template, title, mimeType }: ResourceTemplate, variables: Variables) {
  const what = Object.values(variables).join("/");
  return { uri: uriOf(template, variables), name: `${name}/${what}`, title: `${title}: ${what}`, mimeType };
}

async function answer<T>(make: () => T | Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    throw protocolError(error);
  }
}
