/**
 * `npm:PACKAGE[@VERSION]`: resolve, install and find the program, with the Bun that is inside this executable. No Node,
 * no npm and no shell are needed, and no lifecycle script runs.
 *
 * Bun reads the registry, proxy and credentials of the user as always (~/.npmrc, NPM_CONFIG_*, ~/.bunfig.toml).
 * Whatever lies in the current directory does not count: Bun runs in a folder of its own.
 */
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { runBun } from "./bun.ts";
import { findBin } from "./bin.ts";
import type { Report } from "../runtime.ts";
import { temporaryFolder } from "../temporary.ts";

export interface NpmRef {
  package: string;
  /** An exact version, a range or a dist-tag; `latest` where the reference names none. */
  want: string;
  /** Whether `want` is one exact version, so that nobody needs to be asked which one is meant. */
  exact: boolean;
}

export interface NpmVersion {
  package: string;
  version: string;
  /** Subresource Integrity of the package's archive: `sha512-…`. */
  integrity: string;
}

export interface NpmInstalled extends NpmVersion {
  folder: string;
  /** The program to run, relative to `folder`, with `/`: `node_modules/PACKAGE/dist/index.js`. */
  entry: string;
}

/** For whom native parts (optional dependencies) are chosen, in npm's words; this machine where absent. */
export interface NpmPlatform {
  os: "linux" | "darwin" | "win32";
  cpu: "x64" | "arm64";
  /** The injected C library is glibc. */
  libc?: "glibc" | "musl";
}

export interface InstallOptions {
  /** Which of the package's programs, by name; needed only where findBin could not tell. */
  bin?: string;
  platform?: NpmPlatform;
}

const SCHEME = "npm:";
/** npm's rule for names (upper case only in old ones); the first character keeps options and hidden files out. */
const PACKAGE = /^(?:@[A-Za-z0-9][A-Za-z0-9._~-]*\/)?[A-Za-z0-9][A-Za-z0-9._~-]*$/;
/** A version, range or tag. Without `:` and `/` it can be no path, URL, alias or git shorthand. */
const WANT = /^[0-9A-Za-z^~<>=*][0-9A-Za-z.^~<>=|*+-]*$/;
/** Semantic Versioning 2.0.0, without leading `v`. */
const EXACT = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/;
const NAME_MAX = 214;
/** Written last: a folder with it is a complete installation. */
const MARKER = "linkspan-npm.json";

export function isNpmRef(image: string): boolean {
  return image.startsWith(SCHEME);
}

/** Fault `invalid` for anything but `npm:PACKAGE[@VERSION]`. */
export function parseNpmRef(ref: string): NpmRef {
  const spec = ref.startsWith(SCHEME) ? ref.slice(SCHEME.length) : "";
  const at = spec.indexOf("@", 1);
  const name = at < 0 ? spec : spec.slice(0, at);
  const want = at < 0 ? "latest" : spec.slice(at + 1);
  if (!PACKAGE.test(name) || name.length > NAME_MAX || !WANT.test(want) || /\.(tgz|tar\.gz|tar)$/i.test(want)) {
    throw new Fault("invalid", `${JSON.stringify(ref)} is not an npm reference`, {
      hint: "write npm:PACKAGE, npm:PACKAGE@VERSION or npm:@SCOPE/PACKAGE@VERSION; only packages of a registry can be run",
    });
  }
  return { package: name, want, exact: EXACT.test(want) };
}

const viewed = v.object({
  version: v.pipe(v.string(), v.regex(EXACT)),
  dist: v.object({ integrity: v.optional(v.string()), shasum: v.optional(v.pipe(v.string(), v.hexadecimal())) }),
});

/**
 * The version that a reference means now, asked of the registry. Faults: `not-found` (package, version or tag),
 * `unreachable`, `forbidden` (401, 403), `timeout`.
 */
export async function resolveNpm(ref: NpmRef, report: Report, deadline: Deadline): Promise<NpmVersion> {
  const spec = `${ref.package}@${ref.want}`;
  report({ step: "resolve", detail: spec });
  // A folder of our own: beside a stranger's package.json in the temporary folder, Bun would obey his .npmrc.
  const folder = await temporaryFolder("npm");
  try {
    await writeManifest(folder, {});
    const output = await runBun(["pm", "view", spec, "version", "dist", "--json"], folder, spec, () => {}, deadline);
    const { version, dist } = parseOutput(viewed, output, `the registry's answer about ${spec}`);
    const integrity = dist.integrity ?? `sha1-${Buffer.from(dist.shasum ?? "", "hex").toString("base64")}`;
    return { package: ref.package, version, integrity };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Installs the version and what it depends on into `folder/node_modules`; hoisted and copied, so that the folder holds
 * plain files and links only inside itself. Does nothing where it is installed already. Faults: those of `resolveNpm`,
 * `conflict` (the archive is not the one that was resolved), `unsupported` (it has no program to run).
 */
export async function installNpm(
  version: NpmVersion,
  folder: string,
  report: Report,
  deadline: Deadline,
  options: InstallOptions = {},
): Promise<NpmInstalled> {
  const installed = await readInstalled(folder, options.bin);
  if (installed && installed.package === version.package && installed.version === version.version) return installed;
  const spec = `${version.package}@${version.version}`;
  report({ step: "install", detail: spec });
  await mkdir(folder, { recursive: true });
  await writeManifest(folder, { [version.package]: version.version });
  const progress = (line: string) => report({ step: "install", detail: `${spec}: ${line}` });
  await runBun(["install", ...INSTALL_FLAGS, ...platformFlags(options.platform)], folder, spec, progress, deadline);
  await verifyIntegrity(version, folder);
  const entry = await findBin(folder, version.package, options.bin);
  await writeAtomic(join(folder, MARKER), JSON.stringify(version));
  return { ...version, folder, entry };
}

export const INSTALL_FLAGS = [
  "--ignore-scripts",
  "--no-progress",
  "--no-env-file",
  "--save-text-lockfile",
  "--linker=hoisted",
  // Bun's default are hard links into its cache: a server that changes its own files would change everybody's.
  "--backend=copyfile",
];

export function platformFlags(platform: NpmPlatform | undefined): string[] {
  if (!platform) return [];
  const flags = [`--os=${platform.os}`, `--cpu=${platform.cpu}`];
  return platform.libc ? [...flags, `--libc=${platform.libc}`] : flags;
}

/**
 * Flags of the Bun that runs an installed program: without them it would take .env and bunfig.toml (`preload` is code)
 * out of the server's working directory, and fetch packages that are not installed.
 */
export const BUN_RUN_FLAGS = ["--no-env-file", "--no-install", "--config=/dev/null"] as const;

const marker = v.object({ package: v.string(), version: v.string(), integrity: v.string() });

/** What is installed in the folder, completely; undefined where nothing is. Needs no network. */
export async function readInstalled(folder: string, bin?: string): Promise<NpmInstalled | undefined> {
  const file = Bun.file(join(folder, MARKER));
  if (!(await file.exists())) return undefined;
  const parsed = v.safeParse(marker, await file.json().catch(() => undefined));
  if (!parsed.success) return undefined;
  return { ...parsed.output, folder, entry: await findBin(folder, parsed.output.package, bin) };
}

/**
 * Without a name, the folder is a root of its own: Bun never takes it for a member of a workspace that some
 * package.json further up declares.
 */
async function writeManifest(folder: string, dependencies: Record<string, string>): Promise<void> {
  await Bun.write(join(folder, "package.json"), JSON.stringify({ private: true, dependencies }));
}

/** `packages` of Bun's text lock file: name → [name@version, registry, facts, integrity]. */
const lockFile = v.object({ packages: v.record(v.string(), v.array(v.unknown())) });

/** What was downloaded must be what was resolved: between the two the registry was asked twice. */
async function verifyIntegrity(version: NpmVersion, folder: string): Promise<void> {
  const text = await Bun.file(join(folder, "bun.lock"))
    .text()
    .catch(() => "");
  const lock = v.safeParse(lockFile, parseLock(text));
  const entry = lock.success ? lock.output.packages[version.package] : undefined;
  const [name, found] = [entry?.[0], entry?.at(-1)];
  const comparable = typeof found === "string" && found.split("-")[0] === version.integrity.split("-")[0];
  if (name === `${version.package}@${version.version}` && (!comparable || found === version.integrity)) return;
  throw new Fault("conflict", `what was installed is not ${version.package}@${version.version} as it was resolved`, {
    hint: "the registry or a proxy gave two different answers: check the registry that npm is configured for",
    data: { expected: version.integrity, found: typeof found === "string" ? found : null },
  });
}

/** Bun's lock file is JSON with trailing commas. */
function parseLock(text: string): unknown {
  try {
    return Bun.JSONC.parse(text);
  } catch {
    return undefined;
  }
}

async function writeAtomic(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}.new`;
  await Bun.write(draft, text);
  await rename(draft, file);
}

function parseOutput<S extends v.GenericSchema>(schema: S, output: string, what: string): v.InferOutput<S> {
  let raw: unknown;
  try {
    raw = JSON.parse(output);
  } catch (cause) {
    throw new Fault("unreachable", `${what} is not JSON`, { cause });
  }
  const parsed = v.safeParse(schema, raw);
  if (parsed.success) return parsed.output;
  throw new Fault("unreachable", `${what} makes no sense: ${parsed.issues[0].message}`);
}
