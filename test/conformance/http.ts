/** The conformance server over the SDK's own HTTP, without Linkspan: what all others are compared with. Prints its port. */
import {
  createMcpHandler,
  hostHeaderValidationResponse,
  isLegacyRequest,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
  WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/server";
import { conformanceServer } from "./server.ts";
import { changes } from "./tools.ts";

const modern = createMcpHandler(conformanceServer, { legacy: "reject" });
const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();
changes.tools = () => modern.notify.toolsChanged();
changes.prompts = () => modern.notify.promptsChanged();

async function legacy(request: Request, parsedBody: unknown): Promise<Response> {
  const id = request.headers.get("mcp-session-id");
  const known = id === null ? undefined : sessions.get(id);
  if (id !== null && !known) return new Response("no such session", { status: 404 });
  if (known) return known.handleRequest(request, { parsedBody });
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: () => crypto.randomUUID(),
    onsessioninitialized: (session) => void sessions.set(session, transport),
    onsessionclosed: (session) => void sessions.delete(session),
  });
  await conformanceServer().connect(transport);
  return transport.handleRequest(request, { parsedBody });
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  async fetch(request) {
    const stranger =
      hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
      originValidationResponse(request, localhostAllowedOrigins());
    if (stranger) return stranger;
    const body: unknown = request.method === "POST" ? await request.json() : undefined;
    if (await isLegacyRequest(request, body)) return legacy(request, body);
    return modern.fetch(request, { parsedBody: body });
  },
});
process.stdout.write(`${server.port}\n`);
