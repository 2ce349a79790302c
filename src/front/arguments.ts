/** The command line of `linkspan mcp`, without a parser library: it is read before anything may take time. */
import { Fault } from "../base/fault.ts";
import { absoluteSource, secrets, variables } from "../base/words.ts";
import type { SessionRequestInput } from "../model/session-request.ts";

export interface FrontArguments {
  /** A configured name, or a REF that is run under a derived name. Empty with a toolset, and for all servers as one. */
  server: string;
  /** With no server: those of this group only. */
  group?: string | undefined;
  /** Through the manager's gateway, which speaks the client's era and the server's. */
  translate: boolean;
  /** Tools of this binary, served instead of a server: `docker`, `servers`, `create`, and `compact` for their small form. */
  toolset: string[];
  /** How a REF is to be run; undefined where nothing is said. */
  definition: SessionRequestInput["definition"];
  /** The manager runs in this process instead of in the background. */
  embedded: boolean;
  dataDir: string | undefined;
  /** Calls that their tool calls read-only or idempotent are made again when the server ends in the middle of them. */
  retryIdempotent: boolean;
  /** How a toolset is served. */
  serving?: Serving;
  /** While the server starts, what it answered last time is answered at once, and its answers are kept for the next time. */
  manifest: boolean;
}

interface Serving {
  transport: (typeof TRANSPORTS)[number];
  host: string;
  port: number;
  /** A file with variables. */
  envFile: string | undefined;
  /** Whether clients over HTTP need the token. */
  auth: boolean;
}

const TRANSPORTS = ["stdio", "http", "sse"] as const;
const HOST = "127.0.0.1";
const PORT = 8000;
const PORT_MAX = 65_535;

/** What `--toolset` knows. */
const TOOLSETS = ["docker", "servers", "create", "compact"];

export const USAGE = `Usage: linkspan mcp [OPTIONS] SERVER [-- ARGS...]
       linkspan mcp [--group NAME]
       linkspan mcp --toolset docker

Serves one MCP server on stdin and stdout, for an MCP client to launch.
SERVER is a name (linkspan ps -a), an image, npm:PACKAGE[@VERSION] or pypi:PACKAGE[@VERSION].
Without one, all servers of the configuration are served as one.

Options:
  --group NAME     only the servers of this group of linkspan.yaml, as one
  --translate      with a server's name: for a client and a server of
                   different eras of MCP; goes through the manager
  --toolset NAMES  serve tools of Linkspan itself instead of a server: docker,
                   servers (the MCP servers that Linkspan runs), create
                   (servers made on the fly), or several: docker,servers;
                   with compact for small context windows
  --embedded       run the manager inside this process; servers end with it
  --data-dir DIR   where the manager keeps its files (LINKSPAN_DATA_DIR)
  --retry-idempotent
                   when the server ends in the middle of a call, make the call
                   again if its tool says that it only reads or is idempotent
  --no-manifest    while the server starts, make the client wait for it instead
                   of answering initialize and the lists as it did last time
  -h, --help       show this text

With --toolset:
  --transport T    stdio (default), http (/mcp), or sse (/sse, for old clients)
  --host HOST      where http and sse listen (default: ${HOST})
  --port PORT      (default: ${PORT}; 0: any free one)
  --no-auth        http and sse without a bearer token (linkspan token);
                   loopback only
  --env-file FILE  NAME=value lines for the environment; what is set stays

With an image or a package, as in linkspan run:
  -v, --volume SRC:DST[:rw]   a volume's name or a path; read-only without :rw (repeatable)
  -e, --env K=V               environment; K alone takes it from here (repeatable)
  --secret K                  like -e K, but the engine never sees it; K=@FILE reads a file (repeatable)
  --network NAME              none, egress (outbound only), or a network's name (default: none)
  -- ARGS                     arguments of the server

Examples:
  linkspan mcp                                        # all servers as one, with tools of Linkspan itself
  linkspan mcp files                                  # one server, as it is
  linkspan mcp --group work                           # a part of them
  linkspan mcp --toolset docker,servers               # tools for Docker and for MCP servers
  linkspan mcp --toolset docker --transport http      # the same on http://${HOST}:${PORT}/mcp
  linkspan mcp -v ~/notes:/data npm:@modelcontextprotocol/server-filesystem -- /data
`;

/** Options that take a value, under their long name. */
const VALUED: Record<string, string> = {
  "--data-dir": "data-dir",
  "--group": "group",
  "--toolset": "toolset",
  "--transport": "transport",
  "--host": "host",
  "--port": "port",
  "--env-file": "env-file",
  "--volume": "volume",
  "-v": "volume",
  "--env": "env",
  "-e": "env",
  "--secret": "secret",
  "--network": "network",
};

/** Faults: `usage`. Undefined when help is asked for. */
export function parseArguments(argv: readonly string[]): FrontArguments | undefined {
  const end = argv.indexOf("--");
  const words = end < 0 ? argv : argv.slice(0, end);
  const args = end < 0 ? undefined : argv.slice(end + 1);
  const values: Record<string, string[]> = {};
  let server = "";
  let embedded = false;
  let retryIdempotent = false;
  let manifest = true;
  let translate = false;
  let auth = true;
  for (let index = 0; index < words.length; index += 1) {
    const [option = "", attached] = split(words[index] ?? "");
    const valued = VALUED[option];
    if (option === "-h" || option === "--help") return undefined;
    if (option === "--embedded") embedded = true;
    else if (option === "--retry-idempotent") retryIdempotent = true;
    else if (option === "--translate") translate = true;
    else if (option === "--no-auth") auth = false;
    else if (option === "--no-manifest") manifest = false;
    else if (valued) {
      const value = attached ?? words[(index += 1)];
      if (!value) throw usage(`${option} needs a value`);
      (values[valued] ??= []).push(value);
    } else if (option.startsWith("-")) throw usage(`the option ${option} is not known`);
    else if (server) throw usage("more than one server is named; arguments of the server come after --");
    else server = option;
  }
  const toolset = (values.toolset ?? []).flatMap((names) => names.split(",")).map((name) => name.trim());
  const unknown = toolset.find((name) => !TOOLSETS.includes(name));
  if (unknown !== undefined) throw usage(`there is no toolset ${unknown}`);
  if (server && toolset.length > 0) throw usage("a toolset and a server are two MCP servers");
  const definition = definitionOf(values, args);
  const dataDir = values["data-dir"]?.at(-1);
  const group = values["group"]?.at(-1);
  const asked = { server, group, translate, toolset, definition, embedded, dataDir, retryIdempotent, manifest };
  checkGateway(asked);
  if (toolset.length > 0) return { ...asked, serving: servingOf(values, auth) };
  if (!auth || SERVING.some((name) => values[name]))
    throw usage("--transport, --host, --port, --no-auth and --env-file are for --toolset");
  return asked;
}

/** What is for the gateway, and what is not. */
function checkGateway({ server, group, translate, toolset, definition }: FrontArguments): void {
  if (group !== undefined && (server || toolset.length > 0)) throw usage("--group is for all servers as one");
  if (translate && !server)
    throw usage("--translate needs the name of one server; all servers as one are translated anyway");
  if (!definition || (server && !translate)) return;
  if (toolset.length === 0)
    throw usage("-v, -e, --secret, --network and arguments are for one server that is run as named here");
}

const SERVING = ["transport", "host", "port", "env-file"];

function servingOf(values: Record<string, string[]>, auth: boolean): Serving {
  const [asked = "stdio", port = String(PORT)] = [values["transport"]?.at(-1), values["port"]?.at(-1)];
  const transport = TRANSPORTS.find((one) => one === asked);
  if (!transport) throw usage(`there is no transport ${asked}: it is ${TRANSPORTS.join(", ")}`);
  if (!/^\d{1,5}$/.test(port) || Number(port) > PORT_MAX) throw usage(`${port} is not a port`);
  const [host = HOST, envFile] = [values["host"]?.at(-1), values["env-file"]?.at(-1)];
  return { transport, host, port: Number(port), envFile, auth };
}

function definitionOf(
  values: Record<string, string[]>,
  args: readonly string[] | undefined,
): FrontArguments["definition"] {
  const { volume, env, secret, network } = values;
  if (!volume && !env && !secret && !network && !args) return undefined;
  return {
    ...(args ? { args: [...args] } : {}),
    ...(volume ? { volumes: volume.map(absoluteSource) } : {}),
    ...(env ? { env: variables(env) } : {}),
    ...(secret ? { secrets: secrets(secret) } : {}),
    ...(network ? { network: network.at(-1) } : {}),
  };
}

/** `--name=value` as both halves; anything else is one. */
function split(argument: string): [string, string?] {
  const equals = argument.indexOf("=");
  if (!argument.startsWith("--") || equals < 0) return [argument];
  return [argument.slice(0, equals), argument.slice(equals + 1)];
}

function usage(message: string): Fault {
  return new Fault("usage", message, { hint: "Write it as: linkspan mcp SERVER. `linkspan mcp --help` shows more." });
}
