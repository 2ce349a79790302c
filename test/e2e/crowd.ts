/** Clients of both SDKs that call without a pause, and keep count of what they get. */
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as LegacyTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import type { Launch } from "./launch.ts";

interface Tools {
  callTool(params: { name: string; arguments: Record<string, unknown> }): Promise<Record<string, unknown>>;
}

export interface Score {
  results: number;
  errors: string[];
  slowestMs: number;
}

interface Call {
  name: string;
  arguments: Record<string, unknown>;
  /** The text that is the right answer. */
  answer: string;
}

function echo(text: string): Call {
  return { name: "echo", arguments: { text }, answer: text };
}

/** Calls without a pause, several at once, until told to end. */
export class Worker {
  readonly score: Score = { results: 0, errors: [], slowestMs: 0 };
  private working = true;

  constructor(
    private readonly client: Tools,
    private readonly callFor: (text: string) => Call = echo,
    private readonly onEnded: (call: {
      startedAt: number;
      endedAt: number;
      error: string | undefined;
    }) => void = () => {},
  ) {}

  async run(lanes: number): Promise<Score> {
    await Promise.all(Array.from({ length: lanes }, (_, lane) => this.lane(lane)));
    return this.score;
  }

  end(): void {
    this.working = false;
  }

  private async lane(lane: number): Promise<void> {
    for (let count = 0; this.working; count += 1) {
      const { answer: text, ...params } = this.callFor(`${lane}-${count}`);
      const startedAt = performance.now();
      let failure: string | undefined;
      try {
        const { content } = await this.client.callTool(params);
        if (JSON.stringify(content) !== JSON.stringify([{ type: "text", text }])) throw new Error("another's answer");
        this.score.results += 1;
      } catch (error) {
        failure = error instanceof Error ? error.message : String(error);
        this.score.errors.push(failure);
      }
      const endedAt = performance.now();
      this.score.slowestMs = Math.max(this.score.slowestMs, endedAt - startedAt);
      this.onEnded({ startedAt, endedAt, error: failure });
      await Bun.sleep(2);
    }
  }
}

export async function legacy(launch: Launch, troubles: string[]): Promise<LegacyClient> {
  const client = new LegacyClient({ name: "storm", version: "1" });
  client.onerror = (error) => void troubles.push(error.message);
  client.onclose = () => void troubles.push("closed");
  await client.connect(new LegacyTransport({ ...launch, stderr: "ignore" }));
  return client;
}

export async function modern(launch: Launch, mode: "auto" | { pin: string }, troubles: string[]): Promise<Client> {
  const client = new Client({ name: "storm", version: "2" }, { versionNegotiation: { mode } });
  client.onerror = (error) => void troubles.push(error.message);
  client.onclose = () => void troubles.push("closed");
  await client.connect(new StdioClientTransport({ ...launch, stderr: "ignore" }));
  return client;
}
