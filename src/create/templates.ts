/** The servers that work as they are: one in each language, with the official SDK of that language. */
import type { Language } from "./source.ts";

interface Template {
  code: string;
  dependencies: Record<string, string>;
}

const SDK = { "@modelcontextprotocol/server": "2.4.0", zod: "4.6.7" };

const IMPORTS = `import { McpServer } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import * as z from "zod";
`;

const TOOLS = `  server.registerTool(
    "greet",
    { description: "Greets somebody", inputSchema: z.object({ name: z.string().min(1).describe("Who is greeted") }) },
    async ({ name }) => ({ content: [{ type: "text", text: \`Hello, \${name}!\` }] }),
  );
  server.registerTool(
    "add",
    { description: "Adds two numbers", inputSchema: z.object({ a: z.number(), b: z.number() }) },
    async ({ a, b }) => ({ content: [{ type: "text", text: String(a + b) }] }),
  );
  return server;
}

// Standard output belongs to the protocol: write what you want to see with console.error.
serveStdio(() => createServer());
`;

export const TEMPLATES: Record<Language, Template> = {
  typescript: {
    dependencies: SDK,
    code: `${IMPORTS}
function createServer(): McpServer {
  const server = new McpServer({ name: "created", version: "1.0.0" });
${TOOLS}`,
  },
  javascript: {
    dependencies: SDK,
    code: `${IMPORTS}
function createServer() {
  const server = new McpServer({ name: "created", version: "1.0.0" });
${TOOLS}`,
  },
  python: {
    dependencies: { mcp: "2.3.0" },
    code: `import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("created")


@server.tool()
def greet(name: str) -> str:
    """Greets somebody"""
    return f"Hello, {name}!"


@server.tool()
def add(a: float, b: float) -> str:
    """Adds two numbers"""
    return f"{a + b:g}"


# Standard output belongs to the protocol: write what you want to see to standard error.
print("ready", file=sys.stderr)
server.run()
`,
  },
};
