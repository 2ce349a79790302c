/** A server.json as a server of linkspan.yaml. What its user has to say is a reference to a variable, and is told. */
import { Fault } from "../../base/fault.ts";
import { problemWith } from "../import/config.ts";
import { containerOf } from "../import/docker-run.ts";
import { type Body, type Decision, inOrder, type Kind, type Making, present, Refusal } from "../import/draft.ts";
import { literal, variableName } from "../import/references.ts";
import { isSecretName, Variables } from "../import/secrets.ts";
import type { Argument, Input, KeyValue, Package, ServerJson } from "./schema.ts";

const RUNNABLE = ["npm", "oci", "pypi"] as const;
export type PackageKind = (typeof RUNNABLE)[number];

/** How much of a text of others is repeated. */
const WORDS_MAX = 160;

/** Fault `unsupported` where nothing in it can be run here. */
export function become(server: ServerJson, name: string, wanted: PackageKind | undefined): Decision {
  const chosen = choose(server, wanted);
  const making: Making = { name, variables: new Variables(), inClear: true, notes: [] };
  try {
    const { kind, body } = bodyOf(chosen, making);
    const problem = problemWith(body);
    if (problem !== undefined) throw new Refusal(`linkspan.yaml cannot say it: ${problem}`);
    return { name, was: server.name, kind, body: inOrder(body), notes: making.notes };
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    throw new Fault("unsupported", `${server.name} is not taken over: ${thrown.message}`);
  }
}

function choose(server: ServerJson, wanted: PackageKind | undefined): Package {
  const packages = server.packages ?? [];
  const speaks = (one: Package) => (one.transport?.type ?? "stdio") === "stdio";
  const kinds = wanted ? [wanted] : RUNNABLE;
  const fit = kinds.flatMap((kind) => packages.filter((one) => one.registryType === kind && speaks(one)));
  if (fit[0]) return fit[0];
  const there = packages.map((one) => `${one.registryType}${speaks(one) ? "" : ` over ${one.transport?.type ?? ""}`}`);
  const remotes = (server.remotes ?? []).map(({ url }) => url);
  const offered = [...there, ...(remotes.length > 0 ? [`a remote server at ${remotes.join(", ")}`] : [])];
  throw new Fault("unsupported", `${server.name} has no ${wanted ?? "npm, oci or pypi"} package that speaks stdio`, {
    hint: `It offers ${offered.join(", ") || "nothing to run"}.${remotes.length > 0 ? " Clients connect to a remote server themselves." : ""}`,
  });
}

function bodyOf(chosen: Package, making: Making): { kind: Kind; body: Body } {
  const args = (chosen.packageArguments ?? []).flatMap((one) => argumentWords(one, making));
  const { env, secrets } = environmentOf(chosen.environmentVariables ?? [], making);
  const given = { ...present("args", args), ...present("env", env), ...present("secrets", secrets) };
  if (chosen.registryType === "oci") {
    const options = (chosen.runtimeArguments ?? []).flatMap((one) => optionWords(one, making));
    const { body } = containerOf(making, [...options, imageOf(chosen)], {});
    return { kind: "image", body: merge(body, given) };
  }
  const kind = chosen.registryType === "npm" ? "npm" : "pypi";
  const others = (chosen.runtimeArguments ?? []).flatMap((one) => argumentWords(one, making));
  const said = others.filter((word) => !["-y", "--yes"].includes(word));
  if (said.length > 0) making.notes.push(`arguments of its runtime were left out: ${said.join(" ")}`);
  making.notes.push(
    "network: egress, because a server.json does not say what it needs; remove the line if it need not reach the outside",
  );
  checkIdentifier(kind, chosen.identifier);
  const version = chosen.version && chosen.version !== "latest" ? `@${chosen.version}` : "";
  return { kind, body: { image: `${kind}:${chosen.identifier}${version}`, ...given, network: "egress" } };
}

/** A registry is somebody else's text: a package's name must not become a folder, a URL or an option. */
function checkIdentifier(kind: "npm" | "pypi", identifier: string): void {
  const form = kind === "npm" ? /^(@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*$/i : /^[a-z0-9][\w.-]*$/i;
  if (!form.test(identifier)) throw new Refusal(`${JSON.stringify(identifier)} is no name of a package`);
}

function merge(body: Body, given: Pick<Body, "args" | "env" | "secrets">): Body {
  const env = { ...body.env, ...given.env };
  const secrets = { ...body.secrets, ...given.secrets };
  return { ...body, ...present("args", given.args ?? []), ...present("env", env), ...present("secrets", secrets) };
}

/** Since 2025-10-17 the identifier is a whole reference; before, registry and version were apart. */
function imageOf({ identifier, version, registryBaseUrl }: Package): string {
  const host = registryBaseUrl && registryBaseUrl !== "https://docker.io" ? new URL(registryBaseUrl).host : "";
  const name = host && !identifier.startsWith(`${host}/`) ? `${host}/${identifier}` : identifier;
  const hasTag = /[:@][^/]*$/.test(name);
  return hasTag || !version ? name : `${name}:${version}`;
}

function environmentOf(inputs: readonly KeyValue[], making: Making) {
  const env: Record<string, string> = {};
  const secrets: Record<string, string> = {};
  for (const one of inputs) {
    const isSecret = one.isSecret ?? isSecretName(one.name);
    const value = valueOf(one, one.name, making);
    if (value === undefined) making.notes.push(`${one.name} may be set, too${about(one)}`);
    else if (isSecret) secrets[one.name] = value;
    else env[one.name] = value;
  }
  return { env, secrets };
}

/** `--flag=value`, as the schema has it; a short flag and its value are two words. */
function argumentWords(one: Argument, making: Making): string[] {
  const label = one.type === "named" ? one.name.replace(/^-+/, "") : (one.valueHint ?? "argument");
  if (one.type === "named" && one.value === undefined && one.default === undefined && !one.isRequired) {
    // A flag without any value is a switch; one that could have a value is left to the user.
    if (one.description === undefined && one.format === undefined) return [literal(one.name)];
    making.notes.push(`${one.name} may be given, too${about(one)}`);
    return [];
  }
  const value = valueOf(one, `${making.name}_${label}`, making);
  if (value === undefined) {
    making.notes.push(`the argument ${label} may be given, too${about(one)}`);
    return [];
  }
  if (one.value === undefined && one.default !== undefined)
    making.notes.push(`${label} is ${value} by default${about(one)}`);
  if (one.type === "positional") return [value];
  return one.name.startsWith("--") ? [`${literal(one.name)}=${value}`] : [literal(one.name), value];
}

/** For `docker run`, whose options take their value as a word of its own, too. */
function optionWords(one: Argument, making: Making): string[] {
  if (one.type === "positional") return argumentWords(one, making);
  const hasValue = one.value !== undefined || one.default !== undefined || one.isRequired === true;
  if (!hasValue) return [one.name];
  return [one.name, valueOf(one, `${making.name}_${one.name.replace(/^-+/, "")}`, making) ?? ""];
}

/** A fixed value, a default, or what has to be set; undefined where nothing has to be. */
function valueOf(one: Input & { variables?: Record<string, Input> }, name: string, making: Making): string | undefined {
  if (one.value !== undefined) return filled(one.value, one.variables ?? {}, making);
  if (one.default !== undefined && one.isSecret !== true) return literal(one.default);
  if (one.isRequired !== true) return undefined;
  const reference = `\${${variable(name)}}`;
  making.notes.push(`${reference} has to be set${about(one)}`);
  return reference;
}

/** `{name}` where a variable of that name is described; other braces stay. */
function filled(template: string, variables: Record<string, Input>, making: Making): string {
  return template
    .split(/(\{[\w.-]+\})/)
    .map((part) => {
      const name = part.startsWith("{") ? part.slice(1, -1) : "";
      const described = Object.hasOwn(variables, name) ? variables[name] : undefined;
      if (!described) return literal(part);
      return valueOf({ isRequired: true, ...described }, `${making.name}_${name}`, making) ?? "";
    })
    .join("");
}

/** Names of the environment are taken as they are, others are made to look like them. */
function variable(name: string): string {
  const made = variableName(name);
  return /^[A-Z_][A-Za-z0-9_]*$/.test(made) ? made : made.toUpperCase();
}

function about({ description, placeholder, choices, format }: Input): string {
  const parts = [
    description ?? "",
    choices && choices.length > 0 ? `one of ${choices.join(", ")}` : "",
    placeholder ? `such as ${placeholder}` : "",
    format === "filepath" ? "a path: mount it as a volume" : "",
  ].filter(Boolean);
  return parts.length === 0 ? "" : `: ${parts.join("; ").slice(0, WORDS_MAX)}`;
}
