/** Where server.json documents come from: a file, a URL, the API of a registry. Bounded in time, size and direction. */
import { readFile, stat } from "node:fs/promises";
import { Fault } from "../../base/fault.ts";
import { similar } from "../../base/similar.ts";
import { parsePage, parseServer, type ServerJson } from "./schema.ts";

export const REGISTRY = "https://registry.modelcontextprotocol.io";

const BODY_BYTES_MAX = 4 * 1024 * 1024;
const REQUEST_MS = 15_000;
const REDIRECTS_MAX = 3;
const PAGE_SIZE = 50;
const PAGES_MAX = 4;
/** Newest first: v0.1 is frozen, v0 is what came before. */
const VERSIONS = ["v0.1", "v0"];

/** Servers whose name, title or description has all the words. `from` is the URL of a registry, or a file. */
export async function searchServers(from: string, words: readonly string[], limit: number): Promise<ServerJson[]> {
  const wanted = words.map((word) => word.toLowerCase());
  const matches = ({ name, title = "", description }: ServerJson) =>
    wanted.every((word) => `${name} ${title} ${description}`.toLowerCase().includes(word));
  if (!isUrl(from))
    return parsePage(await fromFile(from), from)
      .servers.filter(matches)
      .slice(0, limit);
  // The registry looks for one text in names; the longest word leaves the least to be looked through here.
  const search = words.toSorted((a, b) => b.length - a.length)[0] ?? "";
  const found: ServerJson[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < PAGES_MAX && found.length < limit; pages += 1) {
    const query = new URLSearchParams({
      search,
      version: "latest",
      limit: String(PAGE_SIZE),
      ...(cursor ? { cursor } : {}),
    });
    const page = parsePage(await fromApi(from, `/servers?${query}`), from);
    found.push(...page.servers.filter(matches));
    cursor = page.next;
    if (!cursor) break;
  }
  return found.slice(0, limit);
}

/** One server by `NAME[@VERSION]`, a file or a URL. Fault `not-found` with names that are like it. */
export async function findServer(wanted: string, registry: string): Promise<ServerJson> {
  if (isUrl(wanted)) return parseServer(await fromUrl(new URL(wanted)), wanted);
  if (wanted.endsWith(".json") || /^[./~]/.test(wanted)) return parseServer(await fromFile(wanted), wanted);
  const [, name = wanted, version = "latest"] = /^(.+?)@([^@/]+)$/.exec(wanted) ?? [];
  if (!isUrl(registry)) return ofList(parsePage(await fromFile(registry), registry).servers, name, version, registry);
  try {
    const path = `/servers/${encodeURIComponent(name)}/versions/${encodeURIComponent(version)}`;
    return parseServer(await fromApi(registry, path), registry);
  } catch (thrown) {
    if (!(thrown instanceof Fault) || thrown.kind !== "not-found") throw thrown;
    const near = await searchServers(registry, [name.split("/").at(-1) ?? name], 3).catch(() => []);
    throw noSuch(
      wanted,
      registry,
      near.map((server) => server.name),
    );
  }
}

function ofList(servers: readonly ServerJson[], name: string, version: string, where: string): ServerJson {
  const found = servers.find((server) => server.name === name && (version === "latest" || server.version === version));
  if (found) return found;
  const names = servers.map((server) => server.name);
  throw noSuch(name, where, similar(name, names));
}

function noSuch(name: string, where: string, near: readonly string[]): Fault {
  const meant = near.length > 0 ? `Did you mean ${near.join(" or ")}? ` : "";
  return new Fault("not-found", `${where} has no server ${JSON.stringify(name)}`, {
    hint: `${meant}linkspan search WORDS looks for others.`,
  });
}

function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

async function fromApi(registry: string, path: string): Promise<unknown> {
  const base = registry.replace(/\/+$/, "");
  if (/\/v\d[\w.]*$/.test(base)) return fromUrl(new URL(base + path));
  for (const version of VERSIONS.slice(0, -1)) {
    try {
      return await fromUrl(new URL(`${base}/${version}${path}`));
    } catch (thrown) {
      if (!(thrown instanceof Fault) || thrown.kind !== "not-found") throw thrown;
    }
  }
  return fromUrl(new URL(`${base}/${VERSIONS.at(-1) ?? ""}${path}`));
}

async function fromFile(file: string): Promise<unknown> {
  const size = await stat(file).then(
    (found) => (found.isFile() ? found.size : 0),
    () => undefined,
  );
  if (size === undefined) throw new Fault("not-found", `there is no file ${file}`);
  if (size > BODY_BYTES_MAX) throw new Fault("too-large", `${file} has ${size} bytes, more than ${BODY_BYTES_MAX}`);
  return json(await readFile(file, "utf8"), file);
}

async function fromUrl(start: URL): Promise<unknown> {
  const signal = AbortSignal.timeout(REQUEST_MS);
  let url = start;
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects += 1) {
    const response = await request(url, signal);
    const location = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.body?.cancel();
      url = redirected(url, location);
      continue;
    }
    if (response.status === 404) throw new Fault("not-found", `${shown(url)} is not there`);
    if (!response.ok) throw new Fault("unreachable", `${shown(url)} answered with status ${response.status}`);
    return json(await bounded(response, url, signal), shown(url));
  }
  throw new Fault("unreachable", `${shown(start)} redirects more than ${REDIRECTS_MAX} times`);
}

async function request(url: URL, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(url.href, { redirect: "manual", signal, headers: { accept: "application/json" } });
  } catch (cause) {
    if (signal.aborted) throw late(url, cause);
    throw new Fault("unreachable", `${shown(url)} cannot be reached`, {
      cause,
      hint: "--registry URL asks another registry.",
    });
  }
}

function late(url: URL, cause: unknown): Fault {
  return new Fault("timeout", `${shown(url)} did not answer in ${REQUEST_MS / 1000} s`, { cause });
}

/** Who was asked over TLS must not hand the question on without it, and nobody to a file of this machine. */
function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  if (to?.protocol === from.protocol) return to;
  throw new Fault("forbidden", `${shown(from)} redirects to another scheme (${to?.protocol ?? "none"})`);
}

async function bounded(response: Response, url: URL, signal: AbortSignal): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const part of response.body ?? []) {
      bytes += part.byteLength;
      if (bytes > BODY_BYTES_MAX)
        throw new Fault("too-large", `${shown(url)} answers with more than ${BODY_BYTES_MAX} bytes`);
      parts.push(part);
    }
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    if (signal.aborted) throw late(url, cause);
    throw new Fault("unreachable", `${shown(url)} ended in the middle of its answer`, { cause });
  }
  return Buffer.concat(parts).toString("utf8");
}

function json(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Fault("invalid", `${where} is not JSON`, { cause });
  }
}

/** Without user, password and query. */
function shown(url: URL): string {
  return url.origin + url.pathname;
}
