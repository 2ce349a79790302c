/** The SDK 2.x client in both eras: the older handshake with the official server, the 2026-07-28 one with our fixture. */
import { expect } from "bun:test";
import { Client, type ClientOptions } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { isRace, type Launch } from "./launch.ts";
import { Progress } from "./progress.ts";
import { rejection } from "../support/rejection.ts";

export const MODERN = "2026-07-28";

interface Opened extends AsyncDisposable {
  client: Client;
  progress: Progress;
  errors: Error[];
}

async function open(launch: Launch, options: ClientOptions): Promise<Opened> {
  const client = new Client({ name: "e2e", version: "2" }, options);
  const errors: Error[] = [];
  client.onerror = (error) => void (isRace(error) || errors.push(error));
  const transport = new StdioClientTransport({ ...launch, stderr: "pipe" });
  await client.connect(transport);
  return { client, progress: new Progress(transport), errors, [Symbol.asyncDispose]: () => client.close() };
}

async function textOf(client: Client, name: string, args: Record<string, unknown> = {}): Promise<string> {
  return JSON.stringify((await client.callTool({ name, arguments: args })).content);
}

/** With the official "everything" server, which knows the older era only; the client finds that out by itself. */
export async function converseLegacy(launch: Launch): Promise<void> {
  await using opened = await open(launch, {
    versionNegotiation: { mode: "auto" },
    capabilities: { elicitation: { form: {} } },
  });
  const { client, progress, errors } = opened;
  client.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { name: "Grace" } }));
  expect(client.getNegotiatedProtocolVersion()).toBe("2025-11-25");
  expect((await client.listTools()).tools.length).toBeGreaterThan(5);
  expect(await textOf(client, "get-sum", { a: 20, b: 22 })).toContain("42");
  expect(await textOf(client, "trigger-elicitation-request")).toContain("Grace");
  const long = { name: "trigger-long-running-operation", arguments: { duration: 0.3, steps: 3 } };
  await progress.of(3, (onprogress) => client.callTool(long, { onprogress }));
  expect(errors).toEqual([]);
}

/** With test/fixtures/modern-server.ts, which refuses the older handshake. */
export async function converseModern(launch: Launch): Promise<void> {
  for (const mode of ["auto", { pin: MODERN }] as const) {
    await using opened = await open(launch, {
      versionNegotiation: { mode },
      capabilities: { elicitation: { form: {} } },
    });
    const { client, progress, errors } = opened;
    client.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { colour: "blue" } }));
    expect(client.getNegotiatedProtocolVersion()).toBe(MODERN);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["echo", "slow", "ask"]);
    expect(await textOf(client, "echo", { text: "ß 😀" })).toContain("ß 😀");
    expect(await textOf(client, "ask")).toContain("you said blue");
    const prompt = await client.getPrompt({ name: "greet", arguments: { name: "Ulm" } });
    expect(JSON.stringify(prompt.messages)).toContain("Hello Ulm");
    expect(JSON.stringify(await client.readResource({ uri: "note://one" }))).toContain("a note");
    const slow = { name: "slow", arguments: { steps: 3 } };
    await progress.of(3, (onprogress) => client.callTool(slow, { onprogress }));
    const abort = new AbortController();
    const endless = { name: "slow", arguments: { steps: 100_000 } };
    const cancelled = client.callTool(endless, { signal: abort.signal, onprogress: () => abort.abort("enough") });
    expect(String(await rejection(cancelled))).toContain("enough");
    expect(await textOf(client, "echo", { text: "still there" })).toContain("still there");
    expect(errors).toEqual([]);
  }
}
