/** The servers that one client of the toolset has created: made, changed, asked, saved, and ended with it. */
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { similar } from "../base/similar.ts";
import type { McpClient } from "../gateway/client.ts";
import type { ToolResult, ToolView } from "../model/rest.ts";
import { brokenFault, unchangedFault } from "./broken.ts";
import { Connection, type Report } from "./connection.ts";
import { type Saved, SavedServers } from "./saved.ts";
import { type Language, prepareRun, pythonBase, type Source, versionsOf } from "./source.ts";
import { TEMPLATES } from "./templates.ts";
import { checkArguments } from "./validate.ts";

/** Each is a container. */
const SERVERS_MAX = 32;

interface Created {
  id: string;
  /** Unix milliseconds. */
  since: number;
  source: Source;
  connection: Connection;
  /** The saved server that it comes from. */
  savedAs?: string | undefined;
}

export interface CreatedView {
  serverId: string;
  language: Language;
  running: boolean;
  isolation: string;
  created: string;
  savedAs?: string | undefined;
}

export interface Change {
  code?: string | undefined;
  dependencies?: Record<string, string> | undefined;
}

export interface Work {
  report: Report;
  deadline: Deadline;
  signal: AbortSignal;
}

export class Workshop {
  readonly saved: SavedServers;
  private readonly servers = new Map<string, Created>();
  /** Being made; they count. */
  private coming = 0;

  constructor(
    private readonly dataDir: string,
    private readonly env: Record<string, string | undefined>,
  ) {
    this.saved = new SavedServers(dataDir);
  }

  list(): CreatedView[] {
    return [...this.servers.values()].map(viewOf);
  }

  /** Faults: `not-found`, with similar ids. */
  get(id: string): CreatedView & { source: Source } {
    const found = this.find(id);
    return { ...viewOf(found), source: found.source };
  }

  /** Without code: the template of the language. Faults: `server-failed` with the server's own words; then nothing is left. */
  async create(language: Language, { code, dependencies }: Change, work: Work): Promise<Answer> {
    const template = TEMPLATES[language];
    const own = code === undefined ? template.code : code;
    // Code without a word on packages is most often a change of the template.
    return await this.add(
      { language, code: own, dependencies: dependencies ?? template.dependencies, ...pythonBase(language, this.env) },
      undefined,
      work,
    );
  }

  /** The old one goes on until the new one answers, and stays if that does not. */
  async update(id: string, { code, dependencies }: Change, work: Work): Promise<Answer> {
    const before = this.find(id);
    const { language } = before.source;
    const source = {
      language,
      code: code ?? before.source.code,
      dependencies: dependencies ?? before.source.dependencies,
      ...(before.source.base === undefined ? {} : { base: before.source.base }),
      // The same packages stay the same versions.
      ...(dependencies || before.source.lock === undefined ? {} : { lock: before.source.lock }),
    };
    const { connection, tools } = await this.start(source, work).catch((error: unknown) => {
      throw unchangedFault(error);
    });
    const now = this.servers.get(id);
    if (now !== before) {
      await connection.close();
      throw new Fault("conflict", `${id} was deleted or changed by another call meanwhile`);
    }
    const changed = { id, since: Date.now(), source, connection };
    this.servers.set(id, changed);
    await before.connection.close();
    return { ...viewOf(changed), tools };
  }

  async tools(id: string, work: Work): Promise<ToolView[]> {
    const { connection } = this.find(id);
    return await toolsOf(await connection.open(work.report, work.deadline), work);
  }

  /** Faults: `not-found` (the tool), `invalid`, naming the argument, `server-failed`. */
  async call(id: string, tool: string, args: Record<string, unknown>, work: Work): Promise<ToolResult> {
    const { connection } = this.find(id);
    const client = await connection.open(work.report, work.deadline);
    const tools = await toolsOf(client, work);
    const found = tools.find(({ name }) => name === tool);
    if (!found) throw noTool(id, tool, tools);
    checkArguments(found, args);
    const onProgress = ({ progress, message }: { progress: number; message?: string }) =>
      work.report(message ?? `${tool}: ${progress}`);
    try {
      return await client.call(tool, args, { deadline: work.deadline, signal: work.signal, onProgress });
    } catch (error) {
      // So says its bridge; the end of the session may still be on its way.
      if (Fault.from(error).data?.stderr !== undefined) connection.reset();
      throw brokenFault(error, `the server failed in the call of ${tool}`);
    }
  }

  /** Ends it. */
  async delete(id: string): Promise<void> {
    const { connection } = this.find(id);
    this.servers.delete(id);
    await connection.close();
  }

  /** What it is made of, with the versions of its packages, so that it is the same when it comes back. */
  async keep(id: string): Promise<Source> {
    const { source } = this.find(id);
    return { ...source, ...(await versionsOf(source, this.dataDir)) };
  }

  /** One that was deleted, under the id that it had. Faults: `conflict`, and those of a start. */
  async restore(id: string, source: Source, work: Work): Promise<Answer> {
    if (this.servers.has(id)) throw new Fault("conflict", `there is a created server ${id} again`);
    return await this.add(source, undefined, work, id);
  }

  /** Faults: `not-found`, `exhausted`. */
  async save(id: string, name: string, description: string | undefined): Promise<Saved> {
    const created = this.find(id);
    const source = await this.keep(id);
    const saved = { name, at: new Date().toISOString(), ...(description === undefined ? {} : { description }), source };
    await this.saved.put(saved);
    created.savedAs = name;
    return saved;
  }

  async load(name: string, work: Work): Promise<Answer> {
    return await this.add((await this.saved.get(name)).source, name, work);
  }

  /** Ends all of them. Never throws. */
  async close(): Promise<void> {
    const all = [...this.servers.values()];
    this.servers.clear();
    await Promise.all(all.map(({ connection }) => connection.close().catch(() => {})));
  }

  private async add(
    source: Source,
    savedAs: string | undefined,
    work: Work,
    id = `${source.language}-${crypto.randomUUID().slice(0, 8)}`,
  ): Promise<Answer> {
    if (this.servers.size + this.coming >= SERVERS_MAX)
      throw new Fault("exhausted", `there are ${SERVERS_MAX} created servers, which is the limit`, {
        hint: "Delete one with delete-server.",
      });
    this.coming += 1;
    try {
      const { connection, tools } = await this.start(source, work);
      const created = { id, since: Date.now(), source, connection, savedAs };
      this.servers.set(id, created);
      return { ...viewOf(created), tools };
    } finally {
      this.coming -= 1;
    }
  }

  /** A server that answers `tools/list`; one that does not is ended. */
  private async start(source: Source, work: Work): Promise<{ connection: Connection; tools: ToolView[] }> {
    const connection = new Connection(await prepareRun(source, this.dataDir), this.env);
    try {
      const client = await connection.open(work.report, work.deadline);
      return { connection, tools: await toolsOf(client, work) };
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  private find(id: string): Created {
    const found = this.servers.get(id);
    if (found) return found;
    const near = similar(id, this.servers.keys());
    throw new Fault("not-found", `there is no created server ${id}`, {
      hint:
        near.length > 0
          ? `Did you mean ${near.join(" or ")}?`
          : "list-servers shows those that there are; they end with the client that has created them, unless saved.",
    });
  }
}

export type Answer = CreatedView & { tools: ToolView[] };

async function toolsOf(client: McpClient, { deadline, signal }: Work): Promise<ToolView[]> {
  try {
    return await client.tools({ deadline, signal });
  } catch (error) {
    // A server without tools says that it does not know the method.
    if (Fault.from(error).kind === "unsupported") return [];
    throw brokenFault(error, "the server does not list its tools");
  }
}

function viewOf({ id, since, source, connection, savedAs }: Created): CreatedView {
  return {
    serverId: id,
    language: source.language,
    running: connection.running,
    isolation: connection.isolation,
    created: new Date(since).toISOString(),
    ...(savedAs === undefined ? {} : { savedAs }),
  };
}

function noTool(id: string, tool: string, tools: ToolView[]): Fault {
  const names = tools.map(({ name }) => name);
  const near = similar(tool, names);
  return new Fault("not-found", `${id} has no tool ${tool}`, {
    hint: near.length > 0 ? `Did you mean ${near.join(" or ")}?` : `It has: ${names.join(", ") || "no tools"}.`,
  });
}
