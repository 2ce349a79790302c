/**
 * Arguments that clients repeat in headers (2026-07-28, `x-mcp-header`): a tool's schema says which, and what the two say
 * has to agree, since somebody on the way may have judged by the header. The servers here are not reached over HTTP and
 * see no header, so it is compared here, by the lists that have passed to the client.
 */
import { isTooDeep } from "../../base/depth.ts";
import { isRecord, type Request as RpcRequest } from "../../gateway/clients/message.ts";
import { META, metaOf, MODERN_VERSIONS } from "../../gateway/clients/meta.ts";
import type { ModernDoor } from "../../gateway/clients/modern.ts";
import type { Params } from "../../gateway/exchange.ts";
import { decoded64, mismatch } from "./headers.ts";
import { CODE, Refusal, statusOf } from "./refusal.ts";

const HINT = "x-mcp-header";
/** As it stands in JSON, and in no text inside of it. */
const HINT_KEY = `"${HINT}":`;
const PREFIX = "Mcp-Param-";
/** Whoever does not listen for changes is served by what is known for so long. */
const KNOWN_MS = 300_000;
const PRINCIPALS_MAX = 256;
/** Of one principal. */
const TOOLS_MAX = 2_000;
const PAGES_MAX = 100;
/** Of the way to an argument. */
const DEPTH_MAX = 16;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/;
const TYPES: ReadonlySet<unknown> = new Set(["string", "integer", "number", "boolean"]);
const DECIMAL = /^-?\d+(\.\d+)?$/;

/** One argument that has a header. */
export interface Hint {
  header: string;
  path: string[];
  isNumber: boolean;
}

interface Known {
  at: number;
  tools: Map<string, Hint[]>;
  /** Other tools have no hints, or are not there. */
  isWhole: boolean;
}

export class ParamHeaders {
  private readonly known = new Map<string, Known>();
  private readonly looking = new Map<string, Promise<void>>();

  constructor(private readonly door: ModernDoor) {}

  /**
   * Resolves where headers and arguments of the call agree; undefined: nothing has to be found out for that, and they do.
   * A tool that no list has named is looked up. Throws, or rejects with, a `Refusal`.
   */
  check(
    call: RpcRequest,
    headers: Headers,
    principal: string,
    ended: readonly AbortSignal[],
  ): Promise<void> | undefined {
    const { name, arguments: args } = call.params;
    if (typeof name !== "string" || !isOurs(call)) return undefined;
    const hints = this.hintsOf(principal, name);
    if (hints) return void compare(hints, args, headers);
    return this.found(call, name, principal, ended).then((found) => compare(found, args, headers));
  }

  /** A page of the list of tools that goes to the client, as the text of the answer. */
  passed({ params }: Pick<RpcRequest, "params">, text: string, principal: string): void {
    const isFirst = params.cursor === undefined;
    const isWhole = isFirst && !text.includes('"nextCursor"');
    if (isWhole && !text.includes(HINT)) return this.keep(principal, new Map(), true);
    const result = resultIn(text);
    if (!result) return;
    const before = isFirst ? undefined : this.of(principal);
    const tools = new Map([...(before?.tools ?? []), ...hintsByTool(result)]);
    this.keep(principal, tools, isWhole);
  }

  /** The tools of this principal may be others. */
  forget(principal: string): void {
    this.known.delete(principal);
  }

  private of(principal: string): Known | undefined {
    const known = this.known.get(principal);
    return known && performance.now() - known.at < KNOWN_MS ? known : undefined;
  }

  private hintsOf(principal: string, tool: string): readonly Hint[] | undefined {
    const known = this.of(principal);
    return known?.tools.get(tool) ?? (known?.isWhole ? NONE : undefined);
  }

  private keep(principal: string, tools: Known["tools"], isWhole: boolean): void {
    this.known.delete(principal);
    if (tools.size > TOOLS_MAX) tools = new Map([...tools].filter(([, hints]) => hints.length > 0).slice(0, TOOLS_MAX));
    this.known.set(principal, { at: performance.now(), tools, isWhole });
    const [oldest] = this.known.keys();
    if (this.known.size > PRINCIPALS_MAX && oldest !== undefined) this.known.delete(oldest);
  }

  /** Those who ask at the same time wait for one list; if its client goes, the next one asks. */
  private async found(call: RpcRequest, name: string, principal: string, ended: readonly AbortSignal[]) {
    for (;;) {
      const hints = this.hintsOf(principal, name);
      if (hints) return hints;
      if (ended.some((signal) => signal.aborted)) return NONE;
      const running = this.looking.get(principal);
      if (running) await running;
      else {
        const look = this.look(call, principal, AbortSignal.any([...ended]));
        this.looking.set(principal, look);
        await look.finally(() => this.looking.delete(principal));
      }
    }
  }

  /** The whole list, as this client would get it. */
  private async look(call: RpcRequest, principal: string, signal: AbortSignal): Promise<void> {
    const tools = new Map<string, Hint[]>();
    let cursor: unknown;
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const params = { _meta: call.params._meta, ...(cursor === undefined ? {} : { cursor }) };
      const request = { id: call.id, method: "tools/list", params };
      const answer = await this.door.handle(request, { principal, emit: () => {}, signal });
      // The client has gone.
      if (!answer) return;
      if (answer.code === CODE.method) break;
      if (answer.code !== undefined) throw asRefusal(answer.text, answer.code);
      const result = resultIn(answer.text) ?? {};
      for (const [name, hints] of hintsByTool(result)) tools.set(name, hints);
      cursor = result.nextCursor;
      if (typeof cursor !== "string") break;
    }
    this.keep(principal, tools, true);
  }
}

const NONE: readonly Hint[] = [];

/** What is of a version that we do not speak is refused for that. */
function isOurs({ params }: RpcRequest): boolean {
  const version = metaOf(params)[META.version];
  return MODERN_VERSIONS.some((known) => known === version);
}

/** Throws a `Refusal`. An argument that is absent, or null, or no simple value, has no header. */
export function compare(hints: readonly Hint[], args: unknown, headers: Headers): void {
  for (const { header, path, isNumber } of hints) {
    const value = path.reduce<unknown>(
      (at, key) => (isRecord(at) && Object.hasOwn(at, key) ? at[key] : undefined),
      args,
    );
    if (typeof value !== "string" && typeof value !== "boolean" && typeof value !== "number") continue;
    const given = headers.get(PREFIX + header)?.trim();
    const where = `arguments.${path.join(".")}`;
    if (given === undefined) throw mismatch(`the header ${PREFIX}${header} is missing; it repeats ${where}`);
    const decoded = decoded64(given);
    if (decoded === undefined) throw mismatch(`the header ${PREFIX}${header} is not valid Base64 of UTF-8`);
    const same =
      isNumber && typeof value === "number" && DECIMAL.test(decoded)
        ? Number(decoded) === value
        : decoded === String(value);
    if (!same) throw mismatch(`${PREFIX}${header} and ${where} differ`);
  }
}

/** Of a schema that is wrong in this (an unknown type, a name twice, hints elsewhere) clients take none either. */
export function hintsIn(schema: unknown): Hint[] {
  if (isTooDeep(schema)) return [];
  const found: Hint[] = [];
  const visit = (node: unknown, path: string[]) => {
    if (!isRecord(node) || path.length > DEPTH_MAX) return;
    const header = node[HINT];
    if (path.length > 0 && typeof header === "string" && TOKEN.test(header) && TYPES.has(node.type)) {
      found.push({ header, path, isNumber: node.type === "integer" || node.type === "number" });
    }
    if (isRecord(node.properties)) for (const [key, one] of Object.entries(node.properties)) visit(one, [...path, key]);
  };
  visit(schema, []);
  const names = new Set(found.map(({ header }) => header.toLowerCase()));
  const written = JSON.stringify(schema ?? null).split(HINT_KEY).length - 1;
  return written === found.length && names.size === found.length ? found : [];
}

function hintsByTool({ tools }: Params): [string, Hint[]][] {
  if (!Array.isArray(tools)) return [];
  return tools.flatMap((tool: unknown): [string, Hint[]][] =>
    isRecord(tool) && typeof tool.name === "string" ? [[tool.name, hintsIn(tool.inputSchema)]] : [],
  );
}

function resultIn(text: string): Params | undefined {
  const answer: unknown = JSON.parse(text);
  return isRecord(answer) && isRecord(answer.result) ? answer.result : undefined;
}

/** Why the list cannot be had is why the call cannot be carried out. */
function asRefusal(text: string, code: number): Refusal {
  const answer: unknown = JSON.parse(text);
  const error = isRecord(answer) && isRecord(answer.error) ? answer.error : {};
  const data = isRecord(error.data) ? { data: error.data } : {};
  return new Refusal(statusOf(code), code, String(error.message), data);
}
