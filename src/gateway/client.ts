/**
 * The manager's own MCP client: one session with one server, many requests at once over it, matched by id.
 *
 * An era belongs to a process: a server that was asked in one era is not asked in the other. So a session begins with
 * `initialize`, which every server of the legacy era and every dual one takes; a server that refuses it as a version
 * that it does not speak gets a fresh session, and with it a fresh process, in the modern era.
 */
import { Client } from "@modelcontextprotocol/client";
import * as v from "valibot";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { similar } from "../base/similar.ts";
import { VERSION } from "../base/version.ts";
import { type ToolResult, type ToolView, toolResult, toolView } from "../model/rest.ts";
import type { Session } from "../transport/session.ts";
import type { Era } from "./exchange.ts";
import { faultOf, RPC, rpcCode } from "./faults.ts";
import { endFault, SessionTransport } from "./session-transport.ts";

const MODERN_VERSION = "2026-07-28";
/** A server that says nothing to its first request for this long does not work. */
const HANDSHAKE_MS = 60_000;
/** A request without a deadline of its own: so long without progress, and so long in all (faults.md). */
const REQUEST_MS = 60_000;
const REQUEST_TOTAL_MS = 600_000;
/** A list of tools that has no end is a defect of the server. */
const TOOL_PAGES_MAX = 64;

const toolsPage = v.looseObject({ tools: v.array(toolView), nextCursor: v.optional(v.string()) });

export interface Waiting {
  /** When it is given up, however much progress there is. 60 s without progress, ten minutes in all when absent. */
  deadline?: Deadline | undefined;
  /** Gives the request up: the server is sent `notifications/cancelled`. */
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: { progress: number; total?: number; message?: string }) => void) | undefined;
}

export class McpClient {
  private names: Set<string> | undefined;
  private readonly endListeners: Array<() => void> = [];

  private constructor(
    private readonly client: Client,
    private readonly transport: SessionTransport,
    readonly era: Era,
  ) {
    client.onclose = () => {
      for (const listener of this.endListeners.splice(0)) listener();
    };
  }

  /**
   * `open` gives a fresh session at each call. `era` is what the server was found, or is said, to speak.
   * Faults: those of `open`, `server-failed`, `timeout`.
   */
  static async connect(open: () => Promise<Session>, era: Era | undefined, deadline: Deadline): Promise<McpClient> {
    const first = await McpClient.handshake(await open(), era ?? "legacy", deadline);
    if (first instanceof McpClient) return first;
    if (era !== undefined || !isRefusedVersion(first.error)) throw first.fault;
    const second = await McpClient.handshake(await open(), "modern", deadline);
    if (second instanceof McpClient) return second;
    const both = `${first.fault.message}; ${second.fault.message}`;
    const { kind, data } = second.fault;
    throw new Fault(kind, `the server takes neither era of MCP: ${both}`, {
      cause: second.fault,
      ...(data ? { data } : {}),
    });
  }

  private static async handshake(session: Session, era: Era, deadline: Deadline) {
    const transport = new SessionTransport(session);
    // No capabilities: nobody is here who could answer a question of the server.
    const versionNegotiation = era === "modern" ? { mode: { pin: MODERN_VERSION } } : { mode: "legacy" as const };
    const client = new Client({ name: "linkspan", version: VERSION }, { capabilities: {}, versionNegotiation });
    const bound = deadline.within(HANDSHAKE_MS);
    const timeout = Math.max(1, Math.ceil(bound.remainingMs));
    try {
      await client.connect(transport, { timeout, signal: bound.signal });
      return new McpClient(client, transport, era);
    } catch (error) {
      const ended = transport.end && endFault(transport.end);
      await client.close().catch(() => {});
      session.detach();
      return { error, fault: faultOf(error, "the handshake", ended) };
    }
  }

  /** Why this session takes no more requests; undefined while it does. */
  get ended(): Fault | undefined {
    return this.transport.end && endFault(this.transport.end);
  }

  /** Each listener is called once, when the session is over. */
  onEnded(listener: () => void): void {
    if (this.transport.end) listener();
    else this.endListeners.push(listener);
  }

  async tools(waiting: Waiting = {}): Promise<ToolView[]> {
    const found: ToolView[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < TOOL_PAGES_MAX; page++) {
      const params = cursor === undefined ? {} : { cursor };
      const answer = await this.request({ method: "tools/list", params }, toolsPage, "tools/list", waiting);
      found.push(...answer.tools);
      cursor = answer.nextCursor;
      if (cursor === undefined) {
        this.names = new Set(found.map((tool) => tool.name));
        return found;
      }
    }
    throw new Fault("server-failed", `the server's list of tools has more than ${TOOL_PAGES_MAX} pages`);
  }

  /** Faults: `not-found` for a tool that the server does not have, `invalid` for refused arguments, `timeout`, … */
  async call(tool: string, args: Record<string, unknown>, waiting: Waiting = {}): Promise<ToolResult> {
    const request = { method: "tools/call", params: { name: tool, arguments: args } };
    try {
      const result = await this.request(request, toolResult, `the call of ${tool}`, waiting);
      // Servers disagree on how an unknown tool is answered: with an error, or with a result that says so.
      if (result.isError) await this.expectTool(tool, waiting);
      return result;
    } catch (error) {
      const fault = Fault.from(error);
      if (fault.data?.rpcCode !== undefined && fault.kind !== "not-found" && !this.ended) {
        await this.expectTool(tool, waiting);
      }
      throw fault;
    }
  }

  async close(): Promise<void> {
    await this.client.close();
  }

  /** A `not-found` fault if the server does not list the tool; asked only after a failure, so that calls stay fast. */
  private async expectTool(tool: string, waiting: Waiting): Promise<void> {
    if (this.names?.has(tool)) return;
    let names: string[];
    try {
      names = (await this.tools(waiting)).map(({ name }) => name);
    } catch {
      // Without the list the first failure is what there is to say.
      return;
    }
    if (names.includes(tool)) return;
    const near = similar(tool, names);
    const hint = near.length > 0 ? `Did you mean ${near.join(" or ")}?` : `It has: ${names.join(", ") || "no tools"}.`;
    throw new Fault("not-found", `the server has no tool ${tool}`, { hint });
  }

  private async request<S extends v.GenericSchema>(
    request: { method: string; params: Record<string, unknown> },
    schema: S,
    what: string,
    { deadline, signal, onProgress }: Waiting,
  ): Promise<v.InferOutput<S>> {
    const ended = this.ended;
    if (ended) throw ended;
    const totalMs = Math.max(1, Math.ceil(deadline?.remainingMs ?? REQUEST_TOTAL_MS));
    try {
      return await this.client.request(request, schema, {
        timeout: deadline ? totalMs : REQUEST_MS,
        maxTotalTimeout: totalMs,
        resetTimeoutOnProgress: deadline === undefined,
        onprogress: (progress) => onProgress?.(progress),
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      if (signal?.aborted) throw new Fault("cancelled", `${what} was cancelled`, { cause: error });
      throw faultOf(error, what, this.ended);
    }
  }
}

/** The server speaks only versions that are not ours; -32601 comes from servers that have dropped `initialize`. */
function isRefusedVersion(error: unknown): boolean {
  const code = rpcCode(error);
  return code === RPC.unsupportedVersion || code === RPC.methodNotFound;
}
