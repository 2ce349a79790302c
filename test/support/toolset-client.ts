/** Real clients of both eras on `linkspan mcp --toolset docker`, as a user's configuration starts it. */
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY } from "./binary.ts";

export type Elicit = (message: string) => boolean;

export interface ToolsetOptions {
  era?: "legacy" | "modern";
  env?: Record<string, string>;
  /** Answers confirmations; without it the client cannot be asked. */
  elicit?: Elicit;
  /** More words of the command line. */
  args?: string[];
  /** Kept by the caller; a fresh one otherwise. */
  dataDir?: string;
}

export interface ToolsetClient extends AsyncDisposable {
  client: Client;
  dataDir: string;
  call(name: string, args?: Record<string, unknown>): Promise<ToolResult>;
}

export interface ToolResult {
  isError?: boolean;
  text: string;
  structured: Record<string, unknown>;
}

export async function toolsetClient({
  era = "legacy",
  env = {},
  elicit,
  args = [],
  dataDir,
}: ToolsetOptions = {}): Promise<ToolsetClient> {
  const folder = dataDir ?? (await mkdtemp(join(tmpdir(), "linkspan-test-toolset-")));
  const inherited = {
    PATH: process.env.PATH ?? "",
    ...(process.env.DOCKER_HOST ? { DOCKER_HOST: process.env.DOCKER_HOST } : {}),
  };
  const transport = new StdioClientTransport({
    command: BINARY,
    args: ["mcp", "--toolset", "docker", ...args],
    env: { ...inherited, LINKSPAN_DATA_DIR: folder, ...env },
  });
  const client = new Client(
    { name: "linkspan-test", version: "1" },
    {
      capabilities: elicit ? { elicitation: { form: {} } } : {},
      versionNegotiation: era === "modern" ? { mode: { pin: "2026-07-28" } } : { mode: "legacy" },
    },
  );
  if (elicit) {
    client.setRequestHandler("elicitation/create", ({ params }) => ({
      action: "accept",
      content: { confirm: elicit(params.message) },
    }));
  }
  await client.connect(transport);
  return {
    client,
    dataDir: folder,
    async call(name, args = {}) {
      const { isError, content, structuredContent } = await client.callTool({ name, arguments: args });
      const text = content.map((part) => (part.type === "text" ? part.text : "")).join("\n");
      return {
        ...(isError ? { isError } : {}),
        text,
        structured: { ...(structuredContent as Record<string, unknown>) },
      };
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      if (!dataDir) await rm(folder, { recursive: true, force: true });
    },
  };
}
