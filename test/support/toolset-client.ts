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
  /** The form for small context windows; `call` still takes a tool's full name. */
  compact?: boolean;
  /** More words of the command line. */
  args?: string[];
  /** Kept by the caller; a fresh one otherwise. */
  dataDir?: string;
  toolset?: string;
}

export interface ToolsetClient extends AsyncDisposable {
  client: Client;
  dataDir: string;
  /** By a tool's own name, in either form. */
  call(name: string, args?: Record<string, unknown>): Promise<ToolResult>;
  /** As it is written. */
  raw(name: string, args?: Record<string, unknown>): Promise<ToolResult>;
  /** Of the tools that are listed; of the compact form, their actions. */
  names(): Promise<string[]>;
}

export interface ToolResult {
  isError?: boolean;
  text: string;
  structured: Record<string, unknown>;
}

/** Tools that have done what was asked, in this process: not those that have answered with a plan. */
export const workedSoFar = new Set<string>();

export async function toolsetClient({
  era = "legacy",
  env = {},
  elicit,
  compact = false,
  args = [],
  dataDir,
  toolset = "docker",
}: ToolsetOptions = {}): Promise<ToolsetClient> {
  const folder = dataDir ?? (await mkdtemp(join(tmpdir(), "linkspan-test-toolset-")));
  const inherited = {
    PATH: process.env.PATH ?? "",
    ...(process.env.DOCKER_HOST ? { DOCKER_HOST: process.env.DOCKER_HOST } : {}),
  };
  const transport = new StdioClientTransport({
    command: BINARY,
    args: ["mcp", "--toolset", compact ? `${toolset},compact` : toolset, ...args],
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
  const categories = compact ? await categoriesOf(client) : undefined;
  const raw = async (name: string, args: Record<string, unknown> = {}): Promise<ToolResult> => {
    const { isError, content, structuredContent, _meta } = await client.callTool({ name, arguments: args });
    const text = content.map((part) => (part.type === "text" ? part.text : "")).join("\n");
    const structured = { ...((structuredContent ?? _meta?.["linkspan/refusal"]) as Record<string, unknown>) };
    return { ...(isError ? { isError } : {}), text, structured };
  };
  return {
    client,
    dataDir: folder,
    raw,
    async call(name, args = {}) {
      const action = name.replace(/^docker_/, "");
      const category = categories?.get(action);
      const result = await (category ? raw(category, { action, arguments: args }) : raw(name, args));
      if (!result.isError) workedSoFar.add(name);
      return result;
    },
    async names() {
      return categories ? [...categories.keys()] : (await client.listTools()).tools.map(({ name }) => name);
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      if (!dataDir) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Of the compact form: by action the tool that has it, as its list says. */
async function categoriesOf(client: Client): Promise<Map<string, string>> {
  const { tools } = await client.listTools();
  return new Map(
    tools.flatMap(({ name, inputSchema }) => {
      const { action } = (inputSchema.properties ?? {}) as { action?: { enum?: string[] } };
      return (action?.enum ?? []).map((one) => [one, name] as const);
    }),
  );
}
