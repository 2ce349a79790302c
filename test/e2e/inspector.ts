/** The command line of the official MCP Inspector. Too heavy to be a dependency (110 MiB): installed once, into .cache. */
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Launch } from "./launch.ts";

const VERSION = "2.12.0";
const PACKAGE = "@modelcontextprotocol/inspector";
const CACHE = join(import.meta.dir, "../../.cache/test");
const FOLDER = join(CACHE, `inspector-${VERSION}`);
/** Starts the command line, or with `--web` the page. */
export const PROGRAM = join(FOLDER, "node_modules", PACKAGE, "clients/launcher/build/index.js");

/** For the first use on a machine. */
export const INSTALL_MS = 180_000;

export async function installInspector(): Promise<void> {
  if (await Bun.file(PROGRAM).exists()) return;
  const draft = `${FOLDER}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  await Bun.write(join(draft, "package.json"), "{}");
  await run([
    "npm",
    "install",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--prefix",
    draft,
    `${PACKAGE}@${VERSION}`,
  ]);
  await rm(FOLDER, { recursive: true, force: true });
  await rename(draft, FOLDER);
}

/** Runs one method against what `launch` starts; the printed result. */
export async function inspect(launch: Launch, method: string, ...args: string[]): Promise<Record<string, unknown>> {
  const { LINKSPAN_DATA_DIR: dataDir = "", DOCKER_HOST: host } = launch.env;
  // It passes on no variable of its own environment that is not named.
  const program = [
    process.execPath,
    PROGRAM,
    "--cli",
    "-e",
    `LINKSPAN_DATA_DIR=${dataDir}`,
    ...(host ? ["-e", `DOCKER_HOST=${host}`] : []),
    launch.command,
    ...launch.args,
  ];
  return JSON.parse(await run([...program, "--method", method, ...args], { ...launch.env, HOME: dataDir }));
}

/** The same over HTTP. `home`: where it may write. */
export async function inspectUrl(
  { url, transport, token, home }: { url: string; transport: "http" | "sse"; token: string; home: string },
  method: string,
  ...args: string[]
): Promise<Record<string, unknown>> {
  const header = ["--header", `Authorization: Bearer ${token}`];
  const program = [process.execPath, PROGRAM, "--cli", url, "--transport", transport, ...header];
  return JSON.parse(await run([...program, "--method", method, ...args], { ...process.env, HOME: home }));
}

async function run(command: string[], env: Record<string, string | undefined> = process.env): Promise<string> {
  const child = Bun.spawn(command, { env, stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: INSTALL_MS });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${command.join(" ")} exited with ${code}: ${err.trim()} ${out.trim()}`);
  return out;
}
