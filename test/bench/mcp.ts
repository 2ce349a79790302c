/** The same MCP server and the same SDK client over every way that a client can reach it. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { latency, type Latency } from "./load.ts";

export interface McpFigures extends Latency {
  callsPerSecond: number;
  /** From the start of the connection to the first tool's answer. */
  firstAnswerMs: number;
}

type Transport = Parameters<Client["connect"]>[0];

export async function measureMcp(
  open: () => Transport,
  calls: number,
  inFlight: number,
  tool = "echo",
): Promise<McpFigures> {
  const call = { name: tool, arguments: { message: "x".repeat(100) } };
  const startedAt = performance.now();
  const client = new Client({ name: "bench", version: "1" });
  await client.connect(open());
  const answer = await client.callTool(call);
  if (!JSON.stringify(answer).includes(call.arguments.message)) throw new Error("the echo tool did not echo");
  const firstAnswerMs = performance.now() - startedAt;
  for (let i = 0; i < calls / 5; i++) await client.callTool(call);
  const times: number[] = [];
  for (let i = 0; i < calls; i++) {
    const at = Bun.nanoseconds();
    await client.callTool(call);
    times.push((Bun.nanoseconds() - at) / 1000);
  }
  const from = performance.now();
  let left = calls * 3;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (left-- > 0) await client.callTool(call);
    }),
  );
  const callsPerSecond = (calls * 3) / ((performance.now() - from) / 1000);
  await client.close();
  return { ...latency(times), callsPerSecond, firstAnswerMs };
}

export function stdio(command: string[], env: Record<string, string | undefined> = {}): () => Transport {
  const [program = "", ...args] = command;
  const merged = Object.fromEntries(
    Object.entries({ ...process.env, ...env }).filter((entry) => entry[1] !== undefined),
  );
  return () =>
    new StdioClientTransport({ command: program, args, env: merged as Record<string, string>, stderr: "ignore" });
}

export function http(url: string, headers: Record<string, string> = {}): () => Transport {
  return () => new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
}
