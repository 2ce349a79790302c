/**
 * Real MCP clients of npm that list their servers without an account. Too heavy to be dependencies (100 to 400 MiB each):
 * each is installed once, into .cache, at an exact version, without running its scripts.
 */
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";

const CACHE = join(import.meta.dir, "../../.cache/test");
const PLATFORM = `${process.platform}-${process.arch}`;
/** For the first use on a machine. */
export const INSTALL_MS = 120_000;
const LIST_MS = 60_000;

export interface RealClient {
  /** As `linkspan client` calls it. */
  id: string;
  package: string;
  version: string;
  /** Where its program is below node_modules. */
  program: string;
  list: string[];
  /** What it needs in its environment to list without a question. */
  env: Record<string, string>;
  /** The line of a server that it has connected to, or, where it does not connect, has configured. */
  shows(output: string, name: string): boolean;
}

const lineWith = (output: string, ...parts: (string | RegExp)[]) =>
  Bun.stripANSI(output)
    .split("\n")
    .some((line) => parts.every((part) => (typeof part === "string" ? line.includes(part) : part.test(line))));

export const REAL_CLIENTS: RealClient[] = [
  {
    id: "claude-code",
    package: "@anthropic-ai/claude-code",
    version: "2.1.330",
    program: `@anthropic-ai/claude-code-${PLATFORM}/claude`,
    list: ["mcp", "list"],
    env: { DISABLE_AUTOUPDATER: "1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1" },
    shows: (output, name) => lineWith(output, `${name}: `, /✔ Connected/),
  },
  {
    id: "gemini",
    package: "@google/gemini-cli",
    version: "0.61.0",
    program: ".bin/gemini",
    list: ["mcp", "list"],
    env: { GEMINI_CLI_TRUST_WORKSPACE: "true" },
    shows: (output, name) => lineWith(output, ` ${name}: `, /- Connected/),
  },
  {
    // Lists what is configured, and connects to nothing.
    id: "codex",
    package: "@openai/codex",
    version: "0.169.0",
    program: ".bin/codex",
    list: ["mcp", "list", "--json"],
    env: {},
    shows: (output, name) => {
      const listed: { name: string; enabled: boolean }[] = JSON.parse(output);
      return listed.some((one) => one.name === name && one.enabled);
    },
  },
  {
    // Lists what is configured, too.
    id: "cline",
    package: `@cline/cli-${PLATFORM}`,
    version: "3.0.65",
    program: `@cline/cli-${PLATFORM}/bin/cline`,
    list: ["config", "mcp", "--json"],
    env: {},
    shows: (output, name) => {
      const listed: { name: string; disabled: boolean }[] = JSON.parse(output);
      return listed.some((one) => one.name === name && !one.disabled);
    },
  },
  {
    id: "opencode",
    package: `opencode-${PLATFORM}`,
    version: "1.18.33",
    program: `opencode-${PLATFORM}/bin/opencode`,
    list: ["mcp", "list"],
    env: { OPENCODE_DISABLE_AUTOUPDATE: "1", OPENCODE_DISABLE_MODELS_FETCH: "1" },
    shows: (output, name) => lineWith(output, `✓ ${name} `, "connected"),
  },
];

/** The path of its program; a text with the reason where it cannot be had. */
export async function install(client: RealClient): Promise<{ program: string } | string> {
  const folder = await installed([`${client.package}@${client.version}`]);
  if (!folder.startsWith("/")) return folder;
  const program = join(folder, "node_modules", client.program);
  return (await Bun.file(program).exists()) ? { program } : `${client.package} has no ${client.program}`;
}

/** The folder of the packages, once installed on this machine; or the reason why they cannot be had. */
export async function installed(packages: string[]): Promise<string> {
  const folder = join(CACHE, packages.join("+").replaceAll("/", "-"));
  if (existsSync(folder)) return folder;
  const draft = `${folder}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  await Bun.write(join(draft, "package.json"), "{}");
  const npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", draft];
  const child = Bun.spawn([...npm, ...packages], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    timeout: INSTALL_MS,
    killSignal: "SIGKILL",
  });
  const [words, code] = await Promise.all([child.stderr.text(), child.exited]);
  if (code === 0) await rename(draft, folder).catch(() => undefined);
  await rm(draft, { recursive: true, force: true });
  return existsSync(folder)
    ? folder
    : `npm cannot install ${packages.join(" ")}: ${words.trim().split("\n").at(-1) ?? ""}`;
}

/** What the client says of its servers, in a home of its own. */
export async function listed(client: RealClient, program: string, home: string, cwd: string): Promise<string> {
  const child = Bun.spawn([program, ...client.list], {
    cwd,
    env: { ...client.env, HOME: home, PATH: pathWith(program), NO_COLOR: "1" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: LIST_MS,
    killSignal: "SIGKILL",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${client.id} exited with ${code}: ${out}${err}`);
  // Gemini CLI says it on stderr.
  return out || err;
}

/** So that `linkspan client` finds the program, as it would find an installed one. */
export function pathWith(program: string): string {
  return [dirname(program), process.env.PATH ?? ""].join(delimiter);
}
