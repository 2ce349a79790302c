/** `linkspan.yaml`: the manager's settings and the servers that it knows from the start. */
import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { similar } from "../base/similar.ts";
import type { Environment } from "./env-reference.ts";
import { gatewaySection, type GatewaySection } from "./gateway-section.ts";
import { limitsSection, oauthSection } from "./http-config.ts";
import { imageRef, name, type ServerSpec, serverBody } from "./server-spec.ts";
import { byteSize, duration } from "./units.ts";
import { type ConfigError, YamlSource } from "./yaml-source.ts";

export type { ConfigError } from "./yaml-source.ts";

/** A configuration is text for people; what is longer is something else. */
const FILE_BYTES_MAX = 1024 * 1024;

const YEAR_MS = 365 * 24 * 3_600_000;

const port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535));

/** What all servers together may have; what is left out has no bound. */
export const budgetSection = v.strictObject({
  /** Containers (or processes of the process runtime) that run at the same time. */
  containers: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100_000))),
  /** The sum of their limits, bytes. */
  memory: v.optional(byteSize(6 * 1024 ** 2, 1024 ** 5)),
  /** A start that has to wait for room gives up after so long. */
  wait: v.optional(duration(0, 600_000)),
});

/** Every setting has a flag of `linkspan serve` of the same name, which wins. */
export const managerSection = v.strictObject({
  /** The address of REST and of the TCP port. */
  host: v.optional(v.pipe(v.string(), v.minLength(1))),
  /** REST; 0 is any free port. */
  port: v.optional(port),
  /** Newline-delimited JSON-RPC; 0 is any free port. */
  tcpPort: v.optional(port),
  /** Names that the Host header of REST may have, beside `localhost` and addresses. */
  allowHosts: v.optional(v.pipe(v.array(v.pipe(v.string(), v.regex(/^[A-Za-z0-9.-]{1,253}$/))), v.maxLength(100))),
  /** `auto` is Docker. `process` is without isolation, and so is never chosen silently. */
  runtime: v.optional(v.picklist(["auto", "docker", "process"])),
  /** What Python servers are built on: an image, or `exec:PROGRAM` with the process runtime. */
  pythonImage: v.optional(imageRef),
  /** Run servers although the engine cannot keep every setting, such as a limit. */
  allowWeaker: v.optional(v.boolean()),
  /** Stop and remove every server when the manager ends; otherwise they run on and the next manager takes them over. */
  stopServersOnExit: v.optional(v.boolean()),
  /** Between two looks for containers that nobody uses; 0: only on `linkspan cleanup`. */
  cleanupInterval: v.optional(duration(0, YEAR_MS)),
  /** A server that runs for sessions and has had none for so long is removed; 0 is never. */
  maxAge: v.optional(duration(0, YEAR_MS)),
  budget: v.optional(budgetSection),
  /** Access tokens of an issuer, beside our own. */
  oauth: v.optional(oauthSection),
  /** What one principal may ask for over MCP. */
  limits: v.optional(limitsSection),
  /** MCP over WebSocket on `/mcp/ws` and `/servers/NAME/mcp/ws`, too. */
  webSocket: v.optional(v.boolean()),
  logLevel: v.optional(v.picklist(["debug", "info", "warn", "error"])),
  logFormat: v.optional(v.picklist(["json", "text"])),
});
export type ManagerSection = v.InferOutput<typeof managerSection>;

export const configFile = v.strictObject({
  manager: v.optional(managerSection, {}),
  gateway: v.optional(gatewaySection, {}),
  servers: v.optional(v.record(name, serverBody), {}),
});

export interface Config {
  manager: ManagerSection;
  gateway: GatewaySection;
  servers: ServerSpec[];
}

export type ConfigResult = { ok: true; config: Config } | { ok: false; errors: ConfigError[] };

export const EMPTY_CONFIG: Config = { manager: {}, gateway: v.parse(gatewaySection, {}), servers: [] };

/** Faults `not-found`, `forbidden` and `too-large` when there is no text to look at; errors in the text are the result. */
export async function loadConfig(file: string, env: Environment): Promise<ConfigResult> {
  const path = resolve(file);
  const size = await stat(path).then((found) => found.size, unreadable(path));
  if (size > FILE_BYTES_MAX) {
    throw new Fault("too-large", `${path} has ${size} bytes, a configuration has at most ${FILE_BYTES_MAX}`);
  }
  return parseConfig(await readFile(path, "utf8").catch(unreadable(path)), file, env);
}

/** The same for a text; `file` is what errors call it. Every error is reported, not just the first. */
export function parseConfig(text: string, file: string, env: Environment): ConfigResult {
  const source = new YamlSource(file, text, env);
  const raw = source.read(configFile);
  if (source.errors.length > 0 && raw === undefined) return { ok: false, errors: source.errors };
  const checked = v.safeParse(configFile, raw ?? {});
  if (!checked.success) for (const issue of checked.issues) reportIssue(source, issue);
  if (checked.success) checkGateway(source, checked.output.gateway, Object.keys(checked.output.servers));
  if (source.errors.length > 0 || !checked.success) return { ok: false, errors: inOrder(source.errors) };
  const servers = Object.entries(checked.output.servers).map(([name, body]) => ({ name, ...body }));
  const { manager, gateway } = checked.output;
  return { ok: true, config: { manager, gateway, servers } };
}

/** What no schema sees: servers that are written wrongly, and names that are given twice. */
function checkGateway(source: YamlSource, { tools, groups }: GatewaySection, servers: readonly string[]): void {
  for (const [group, { servers: wanted = [] }] of Object.entries(groups)) {
    for (const [index, name] of wanted.entries()) {
      if (name.includes("*") || servers.includes(name)) continue;
      // One that is defined elsewhere, over REST, is as good.
      const near = similar(name, servers);
      if (near.length === 0) continue;
      const hint = `Did you mean ${near.join(" or ")}?`;
      source.error(["gateway", "groups", group, "servers", index], `this file has no server ${name}`, hint);
    }
  }
  const filters: [path: string[], rename: Record<string, string>][] = [
    [["gateway"], tools.rename],
    ...Object.entries(groups).map(([name, group]): [string[], Record<string, string>] => [
      ["gateway", "groups", name],
      group.tools.rename,
    ]),
  ];
  for (const [path, rename] of filters) {
    const names = Object.values(rename);
    for (const [tool, name] of Object.entries(rename)) {
      if (names.indexOf(name) === names.lastIndexOf(name)) continue;
      source.error([...path, "tools", "rename", tool], `several tools would be called ${name}`);
    }
  }
}

/** One error a line, `FILE:LINE:COLUMN: message (path)`, its hint below. */
export function explain(errors: readonly ConfigError[]): string {
  return errors
    .map((error) => {
      const where = error.path === "" ? "" : ` (${error.path})`;
      const hint = error.hint === undefined ? "" : `\n  hint: ${error.hint}`;
      return `${error.file}:${error.line}:${error.column}: ${error.message}${where}${hint}`;
    })
    .join("\n");
}

/** The errors as one fault, for programs that cannot go on without the configuration. */
export function configFault(errors: readonly ConfigError[]): Fault {
  const file = errors[0]?.file ?? "the configuration";
  return new Fault(
    "invalid",
    `${file} has ${errors.length === 1 ? "an error" : `${errors.length} errors`}:\n${explain(errors)}`,
    {
      hint: "linkspan config validate checks the file again",
      data: { errors: [...errors] },
    },
  );
}

/** Where a manager looks that is started without `--config`. */
export function chosenConfigFile(env: Environment): string {
  return env.LINKSPAN_CONFIG || defaultConfigFile(env);
}

/**
 * Where the configuration is looked for when none is named: the user's own folder, never the current one, which may
 * belong to a project that is not trusted.
 */
export function defaultConfigFile(env: Environment, platform: NodeJS.Platform = process.platform): string {
  const home = env.HOME || homedir();
  if (platform === "win32") return join(env.APPDATA || join(home, "AppData", "Roaming"), "linkspan", "linkspan.yaml");
  const xdg = env.XDG_CONFIG_HOME;
  return join(xdg?.startsWith("/") ? xdg : join(home, ".config"), "linkspan", "linkspan.yaml");
}

function reportIssue(source: YamlSource, issue: v.BaseIssue<unknown>, above: string[] = []): void {
  const path = [...above, ...(issue.path ?? []).map((step) => String(step.key))];
  // Of a union of text and object, what is wrong with the text or inside the object says more than "neither".
  const inner = issue.issues?.filter((one) => one.path !== undefined || one.kind === "validation") ?? [];
  if (inner.length > 0) return inner.forEach((one) => reportIssue(source, one, path));
  if (source.reported(path)) return;
  const last = path.at(-1) ?? "";
  if (issue.type === "strict_object" && issue.received === "undefined") {
    return source.error(path, `the field "${last}" is missing`, HINTS[last]);
  }
  // A text that came out of the environment, or any secret, must not be repeated in an error.
  const quiet = source.fromEnvironment(path) || path.includes("secrets") || path.includes("env");
  source.error(
    path,
    sentence(issue, quiet),
    /expected at least \d+ ms/.test(issue.message) ? HINTS.duration : HINTS[last],
  );
}

const HINTS: Record<string, string> = {
  image: "an image such as alpine:3.20, npm:PACKAGE[@VERSION] or pypi:PACKAGE[@VERSION]",
  duration: "a number without a unit is milliseconds; write 30s",
  secrets: "KEY: ${NAME_OF_A_VARIABLE}",
  env: "KEY: value",
};

const EXPECTED: Record<string, string> = {
  string: "text",
  number: "a number",
  boolean: "true or false",
  Object: "a mapping",
  Array: "a list",
  "(string | Object)": "text or a mapping",
  "(number | string)": "a number or text",
};

/** Our own schemas bring their sentence; valibot's own are reworded, without the value where it may be secret. */
function sentence(issue: v.BaseIssue<unknown>, quiet: boolean): string {
  if (!/^Invalid [a-z]+:/.test(issue.message)) return issue.message;
  const wanted = issue.expected ?? "another value";
  const bound = /^([<>])=(.*)$/.exec(wanted);
  const expected = bound ? `at ${bound[1] === "<" ? "most" : "least"} ${bound[2]}` : (EXPECTED[wanted] ?? wanted);
  return quiet ? `expected ${expected}` : `expected ${expected}, not ${EXPECTED[issue.received] ?? issue.received}`;
}

function inOrder(errors: ConfigError[]): ConfigError[] {
  return errors.sort((a, b) => a.line - b.line || a.column - b.column);
}

function unreadable(path: string) {
  return (cause: unknown): never => {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOENT") throw new Fault("not-found", `there is no configuration file ${path}`, { cause });
    throw new Fault("forbidden", `${path} cannot be read (${String(code ?? cause)})`, { cause });
  };
}
