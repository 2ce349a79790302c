/**
 * Where pip gets packages from, as this machine's user has set it: pip.conf and PIP_… variables, for an installation in a
 * container that has neither. Only what says where packages come from is taken, and files that it names are taken along.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";

type Environment = Record<string, string | undefined>;

export interface PipSettings {
  /** For pip's process alone: they may hold a password. */
  environment: Record<string, string>;
  /** Certificates and constraints: name → content. */
  files: Map<string, Uint8Array>;
}

/** Settings that mean something in another place; pip.conf's names. */
const TAKEN = ["index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "proxy", "timeout", "retries"];
/** Settings that name a file. */
const FILES = ["cert", "client-cert", "constraint"];
const PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
/** Where pip's HTTP library looks for certificates when pip itself is told of none, in its order. */
const BUNDLES = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"];
/** pip's own would keep somebody waiting for minutes. */
const DEFAULTS = { timeout: "15", retries: "2" };
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/** `folder`: where the files will be. A file that cannot be read is left out: pip then says what it lacks. */
export function pipSettings(folder: string, env: Environment = process.env): PipSettings {
  const settings = new Map(Object.entries(DEFAULTS));
  for (const file of configFiles(env)) for (const [key, value] of parsePipConf(textOf(file))) settings.set(key, value);
  for (const [name, value = ""] of Object.entries(env)) {
    if (name.startsWith("PIP_") && value !== "") settings.set(keyOf(name.slice("PIP_".length)), value);
  }
  const bundle = BUNDLES.map((name) => env[name]).find((path) => path);
  if (bundle !== undefined && !settings.has("cert")) settings.set("cert", bundle);
  // With none, pip takes an index that cannot be reached for one that has nothing, and does not say why.
  if (settings.get("retries") === "0") settings.set("retries", "1");
  const environment: Record<string, string> = {};
  const files: PipSettings["files"] = new Map();
  for (const [key, value] of settings) {
    if (TAKEN.includes(key)) environment[variableOf(key)] = key === "find-links" ? urlsOf(value) : value;
    if (!FILES.includes(key)) continue;
    const content = bytesOf(value);
    if (content === undefined) continue;
    const name = `${key}-${basename(value)}`;
    files.set(name, content);
    environment[variableOf(key)] = `${folder}/${name}`;
  }
  for (const name of PROXIES.flatMap((upper) => [upper, upper.toLowerCase()])) {
    const value = env[name];
    if (value) environment[name] = value;
  }
  return { environment, files };
}

/** In pip's order: what comes later wins. */
function configFiles(env: Environment): string[] {
  const chosen = env["PIP_CONFIG_FILE"];
  if (chosen === "/dev/null") return [];
  const home = env["HOME"] || homedir();
  const own = env["XDG_CONFIG_HOME"] || join(home, ".config");
  const mac = "Library/Application Support/pip/pip.conf";
  const isMac = process.platform === "darwin";
  return [
    ...(isMac ? [join("/", mac)] : ["/etc/xdg/pip/pip.conf", "/etc/pip.conf"]),
    join(home, ".pip/pip.conf"),
    ...(isMac ? [join(home, mac)] : []),
    join(own, "pip/pip.conf"),
    ...(chosen ? [chosen] : []),
  ];
}

/** The settings that hold for `pip install`; its own section wins. A value may go on in indented lines. */
export function parsePipConf(text: string): Map<string, string> {
  const sections = { global: new Map<string, string>(), install: new Map<string, string>() };
  let section: Map<string, string> | undefined;
  let open: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*([#;]|$)/.test(line)) continue;
    const [, title] = /^\[([^\]]+)\]/.exec(line) ?? [];
    const [, name, value = ""] = /^([^\s:=][^:=]*?)\s*[:=]\s*(.*)$/.exec(line) ?? [];
    if (title !== undefined) {
      section = title === "global" || title === "install" ? sections[title] : undefined;
      open = undefined;
    } else if (name !== undefined) {
      open = keyOf(name);
      section?.set(open, value.trim());
    } else if (open !== undefined) {
      section?.set(open, `${section.get(open) ?? ""} ${line.trim()}`.trim());
    }
  }
  return new Map([...sections.global, ...sections.install]);
}

function keyOf(name: string): string {
  const key = name.toLowerCase().replaceAll("_", "-");
  return key === "default-timeout" ? "timeout" : key;
}

function variableOf(key: string): string {
  return `PIP_${key.toUpperCase().replaceAll("-", "_")}`;
}

/** Folders of this machine are nowhere else. */
function urlsOf(links: string): string {
  return links
    .split(/\s+/)
    .filter((link) => /^https?:/.test(link))
    .join(" ");
}

function textOf(file: string): string {
  return Buffer.from(bytesOf(file) ?? []).toString("utf8");
}

function bytesOf(file: string): Uint8Array | undefined {
  try {
    const bytes = readFileSync(file);
    return bytes.length <= FILE_BYTES_MAX ? bytes : undefined;
  } catch {
    return undefined;
  }
}
