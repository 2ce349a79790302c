/** How `linkspan serve` is told what to do: options first, then `LINKSPAN_…` variables, then linkspan.yaml. Pure. */
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { similar } from "../base/similar.ts";
import { managerSection, type ManagerSection } from "../model/config.ts";
import { CONCURRENT_DEFAULT } from "../model/http-config.ts";
import { PYTHON_IMAGE } from "../runtime/pypi/ref.ts";

/** A front holds what its client asks for 30 s: before that it is to know why there is no server. */
const BUDGET_WAIT_MS = 25_000;

type Environment = Record<string, string | undefined>;

/** What is said on the command line and in the environment. */
export interface Arguments {
  help: boolean;
  /** The configuration file that is named. */
  config: string | undefined;
  dataDir: string | undefined;
  /** No TCP ports: whoever started it in the background uses the socket. */
  background: boolean;
  /** End after this long without work, milliseconds; 0 is never. */
  idleExitMs: number;
  /** End with stdin: whoever started it as a part of something holds the other end, and may be killed. */
  stdinExit: boolean;
  /** The same settings as in the file's `manager` section. */
  settings: ManagerSection;
}

interface Option {
  flag: string;
  /** The field of `ManagerSection`, or one of our own. */
  field: string;
  kind: "text" | "number" | "seconds" | "switch" | "list";
  value?: string;
  /** Another variable that means the same; the one named after the flag wins. */
  alias?: string;
  help: string;
}

/** Every option but --background-child can also be given as `LINKSPAN_` and its name in capitals. */
const OPTIONS: Option[] = [
  { flag: "--host", field: "host", kind: "text", value: "ADDRESS", help: "address of both ports (127.0.0.1)" },
  {
    flag: "--port",
    field: "port",
    kind: "number",
    value: "N",
    help: "REST and MCP over HTTP; 0 is any free one (8080)",
  },
  { flag: "--tcp-port", field: "tcpPort", kind: "number", value: "N", help: "newline-delimited JSON-RPC (8081)" },
  {
    flag: "--allow-host",
    field: "allowHosts",
    kind: "list",
    value: "NAME",
    help: "a name that the Host header of REST may have, beside localhost and addresses",
  },
  { flag: "--config", field: "config", kind: "text", value: "FILE", help: "linkspan.yaml (see linkspan config path)" },
  { flag: "--data-dir", field: "dataDir", kind: "text", value: "DIR", help: "key, token, socket and state" },
  { flag: "--runtime", field: "runtime", kind: "text", value: "KIND", help: "auto, docker or process (auto: docker)" },
  {
    flag: "--python-image",
    field: "pythonImage",
    kind: "text",
    value: "IMAGE",
    help: `what Python servers are built on (${PYTHON_IMAGE})`,
  },
  {
    flag: "--allow-weaker",
    field: "allowWeaker",
    kind: "switch",
    help: "run servers although the engine cannot keep every setting",
  },
  {
    flag: "--stop-servers-on-exit",
    field: "stopServersOnExit",
    kind: "switch",
    help: "remove every server at the end (else they run on, and the next manager takes them over)",
  },
  {
    flag: "--cleanup-interval",
    field: "cleanupInterval",
    kind: "seconds",
    value: "SECONDS",
    alias: "MCP_CLEANUP_INTERVAL",
    help: "look for containers that nobody uses so often; 0 is never (300)",
  },
  {
    flag: "--max-age",
    field: "maxAge",
    kind: "seconds",
    value: "SECONDS",
    alias: "MCP_MAX_AGE",
    help: "remove a server that has had no session for so long, unless it was started by name; 0 is never (3600)",
  },
  {
    flag: "--budget-containers",
    field: "budget.containers",
    kind: "number",
    value: "N",
    help: "run at most so many at once: one more stops the one that nobody has used for longest",
  },
  {
    flag: "--budget-memory",
    field: "budget.memory",
    kind: "text",
    value: "SIZE",
    help: "the same for the sum of their memory limits, such as 4g",
  },
  {
    flag: "--budget-wait",
    field: "budget.wait",
    kind: "seconds",
    value: "SECONDS",
    help: "how long a start waits for room when all are in use (25)",
  },
  {
    flag: "--limits-rate",
    field: "limits.rate",
    kind: "number",
    value: "N",
    help: "requests a second that one principal may send over MCP (no bound)",
  },
  {
    flag: "--limits-burst",
    field: "limits.burst",
    kind: "number",
    value: "N",
    help: "of them at once after a pause (those of two seconds)",
  },
  {
    flag: "--limits-concurrent",
    field: "limits.concurrent",
    kind: "number",
    value: "N",
    help: "requests of one principal at the same time (256)",
  },
  { flag: "--web-socket", field: "webSocket", kind: "switch", help: "MCP over WebSocket, too, on /mcp/ws" },
  { flag: "--idle-exit", field: "idleExit", kind: "number", value: "SECONDS", help: "end when nobody needs it" },
  { flag: "--stdin-exit", field: "stdinExit", kind: "switch", help: "end when stdin does" },
  { flag: "--background-child", field: "background", kind: "switch", help: "no ports, only the socket" },
  { flag: "--log-level", field: "logLevel", kind: "text", value: "LEVEL", help: "debug, info, warn or error (info)" },
  { flag: "--log-format", field: "logFormat", kind: "text", value: "FORMAT", help: "text or json (text)" },
];

const own = v.object({
  help: v.optional(v.boolean(), false),
  config: v.optional(v.string()),
  dataDir: v.optional(v.string()),
  background: v.optional(v.boolean(), false),
  stdinExit: v.optional(v.boolean(), false),
  idleExit: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(31_536_000)), 0),
});

export const USAGE = `Usage: linkspan serve [OPTIONS]

The manager: REST and MCP over HTTP on port 8080, newline-delimited JSON-RPC on port 8081, both on 127.0.0.1, and a unix
socket.

Options:
${[...OPTIONS, { flag: "-h, --help", help: "show this text" }].map(describe).join("\n")}

Options but --background-child can also be given in the environment: LINKSPAN_TCP_PORT=9001.

Examples:
  linkspan serve                                             # in the foreground; Ctrl-C ends it, servers run on
  linkspan serve --config linkspan.yaml --port 9000          # another file, another port
  linkspan serve --budget-containers 10 --budget-memory 4g   # no more than fits
`;

/** Faults: `usage`, naming the option or the variable. */
export function readArguments(argv: readonly string[], env: Environment): Arguments {
  const given = new Map<string, unknown>();
  for (const option of OPTIONS) {
    const named = `LINKSPAN_${option.flag.slice(2).replaceAll("-", "_").toUpperCase()}`;
    const variable = option.alias && !env[named] ? option.alias : named;
    const text = env[variable];
    if (option.field === "background" || text === undefined || text === "") continue;
    given.set(option.field, convert(option, text, variable));
  }
  // Lists on the command line replace that of the environment, and grow with each option.
  const lists = new Map<string, string[]>();
  for (let index = 0; index < argv.length; index += 1) {
    const [word = "", attached] = split(argv[index] ?? "");
    if (word === "-h" || word === "--help") {
      given.set("help", true);
      continue;
    }
    const option = OPTIONS.find(({ flag }) => flag === word);
    if (!option) throw unknown(word);
    if (option.kind === "switch") {
      given.set(option.field, attached === undefined ? true : convert(option, attached, word));
      continue;
    }
    const text = attached ?? argv[(index += 1)];
    if (text === undefined || text === "") throw usage(`${word} needs a value`);
    if (option.kind === "list") lists.set(option.field, [...(lists.get(option.field) ?? []), text]);
    given.set(option.field, lists.get(option.field) ?? convert(option, text, word));
  }
  return checked(Object.fromEntries(given));
}

/** The options win over the file. Choosing local processes by name accepts that they isolate nothing. */
export function mergeSettings(options: ManagerSection, file: ManagerSection) {
  const merged = { ...file, ...options };
  const runtime = merged.runtime ?? "auto";
  return {
    host: merged.host ?? "127.0.0.1",
    port: merged.port ?? 8080,
    tcpPort: merged.tcpPort ?? 8081,
    allowHosts: merged.allowHosts ?? [],
    runtime,
    pythonImage: merged.pythonImage ?? PYTHON_IMAGE,
    allowWeaker: merged.allowWeaker ?? runtime === "process",
    stopServersOnExit: merged.stopServersOnExit ?? false,
    cleanupInterval: merged.cleanupInterval ?? 300_000,
    maxAge: merged.maxAge ?? 3_600_000,
    budget: { wait: BUDGET_WAIT_MS, ...file.budget, ...options.budget },
    oauth: merged.oauth,
    limits: { concurrent: CONCURRENT_DEFAULT, ...file.limits, ...options.limits },
    webSocket: merged.webSocket ?? false,
    logLevel: merged.logLevel ?? "info",
    logFormat: merged.logFormat ?? "text",
  } as const;
}
export type Settings = ReturnType<typeof mergeSettings>;

function checked(given: Record<string, unknown>): Arguments {
  const ours = v.safeParse(own, given);
  const { help: _h, config: _c, dataDir: _d, background: _b, idleExit: _i, stdinExit: _s, ...rest } = given;
  const settings = v.safeParse(managerSection, nested(rest));
  const issue = ours.success ? settings.issues?.[0] : ours.issues[0];
  if (issue) {
    const field = v.getDotPath(issue) ?? "";
    const flag =
      OPTIONS.find((option) => option.field === field || field.startsWith(`${option.field}.`))?.flag ?? field;
    throw usage(`${flag}: expected ${issue.expected ?? `an ${issue.type}`}, not ${issue.received}`);
  }
  if (!ours.success || !settings.success) throw usage("the options cannot be read");
  const { help, config, dataDir, background, stdinExit, idleExit } = ours.output;
  return { help, config, dataDir, background, stdinExit, idleExitMs: idleExit * 1000, settings: settings.output };
}

/** `budget.memory` as `memory` of `budget`. */
function nested(fields: Record<string, unknown>): Record<string, unknown> {
  const groups: Record<string, Record<string, unknown>> = {};
  const plain: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(fields)) {
    const [group = "", inner] = field.split(".");
    if (inner === undefined) plain[field] = value;
    else (groups[group] ??= {})[inner] = value;
  }
  return { ...plain, ...groups };
}

function convert(option: Option, text: string, source: string): unknown {
  if (option.kind === "number" || option.kind === "seconds") {
    if (!/^\d+(\.\d+)?$/.test(text)) throw usage(`${source}: expected a number, not ${JSON.stringify(text)}`);
    return option.kind === "seconds" ? Number(text) * 1000 : Number(text);
  }
  if (option.kind === "switch") {
    if (/^(1|true|yes)$/i.test(text)) return true;
    if (/^(0|false|no)$/i.test(text)) return false;
    throw usage(`${source}: expected true or false, not ${JSON.stringify(text)}`);
  }
  return option.kind === "list" ? text.split(",") : text;
}

/** `--name=value` as both halves; anything else is one. */
function split(argument: string): [string, string?] {
  const equals = argument.indexOf("=");
  if (!argument.startsWith("--") || equals < 0) return [argument];
  return [argument.slice(0, equals), argument.slice(equals + 1)];
}

function unknown(word: string): Fault {
  const [close] = similar(
    word,
    OPTIONS.map(({ flag }) => flag),
    1,
  );
  return usage(`linkspan serve knows no ${word}`, close === undefined ? undefined : `Did you mean ${close}?`);
}

function usage(message: string, hint = "linkspan serve --help lists the options."): Fault {
  return new Fault("usage", message, { hint });
}

function describe({ flag, value, help }: { flag: string; value?: string; help: string }): string {
  return `  ${`${flag}${value === undefined ? "" : ` ${value}`}`.padEnd(26)}  ${help}`;
}
