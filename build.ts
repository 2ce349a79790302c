/**
 * Builds dist/linkspan for this machine (elsewhere with `--outfile FILE`); `--all` builds every target and SHA256SUMS.
 * `--version TEXT`: another version than package.json's, for tests of upgrades.
 *
 * A Linux build carries the loader and the C library that it was linked for (loader.tar): with them it runs as the
 * bridge in images that have another C library or none.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, readdir, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { pack } from "tar-stream";
import manifest from "./package.json";

interface Target {
  /** As `linkspan version` prints it, and the end of the file's name. */
  name: string;
  bun: Bun.Build.CompileTarget;
  /** Debian's package with loader and C library, for building on a machine of another kind. */
  libc?: { package: string; dir: string; loader: string };
}

const TARGETS: Target[] = [
  {
    name: "linux-x64",
    bun: "bun-linux-x64",
    libc: { package: "libc6-amd64-cross", dir: "usr/x86_64-linux-gnu/lib", loader: "ld-linux-x86-64.so.2" },
  },
  {
    name: "linux-arm64",
    bun: "bun-linux-arm64",
    libc: { package: "libc6-arm64-cross", dir: "usr/aarch64-linux-gnu/lib", loader: "ld-linux-aarch64.so.1" },
  },
  { name: "darwin-arm64", bun: "bun-darwin-arm64" },
  { name: "darwin-x64", bun: "bun-darwin-x64" },
  { name: "windows-x64", bun: "bun-windows-x64" },
];

/** What a Bun executable asks the loader for; the names are the same on both architectures. */
const LIBRARIES = ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"];

const root = import.meta.dir;
const dist = join(root, "dist");
const cache = join(root, ".cache");

function thisMachine(): string {
  return `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
}

async function main(args: string[]): Promise<void> {
  const all = args.includes("--all");
  const outfileAsked = valueOf(args, "--outfile");
  const version = valueOf(args, "--version") ?? manifest.version;
  const targets = all ? TARGETS : TARGETS.filter((target) => target.name === thisMachine());
  if (targets.length === 0) throw new Error(`no build target for ${thisMachine()}`);
  const commit = await currentCommit();
  await mkdir(dist, { recursive: true });
  const files: string[] = [];
  for (const target of targets) {
    const suffix = target.name.startsWith("windows") ? ".exe" : "";
    const outfile = outfileAsked
      ? resolve(outfileAsked)
      : join(dist, all ? `linkspan-${target.name}${suffix}` : `linkspan${suffix}`);
    const startedAt = performance.now();
    await compile(target, version, commit, outfile);
    files.push(outfile);
    if (all && target.libc) files.push(await loaderForRelease(target));
    const size = Math.round(Bun.file(outfile).size / 1024 ** 2);
    console.error(`built ${basename(outfile)} (${size} MiB) in ${Math.round(performance.now() - startedAt)} ms`);
  }
  if (all) await writeChecksums(files);
}

function valueOf(args: string[], option: string): string | undefined {
  const at = args.indexOf(option);
  return at < 0 ? undefined : args[at + 1];
}

async function compile(target: Target, version: string, commit: string, outfile: string): Promise<void> {
  const entrypoints = [join(root, "src/main.ts")];
  if (target.libc) entrypoints.push(await loaderArchive(target));
  await rm(outfile, { force: true });
  const result = await Bun.build({
    entrypoints,
    minify: true,
    bytecode: true,
    format: "esm",
    splitting: true,
    // ssh2's optional native parts: it works without them, and a single file cannot carry them.
    external: ["cpu-features", "*.node"],
    loader: { ".tar": "file" },
    naming: { asset: "[name].[ext]" },
    define: {
      LINKSPAN_VERSION: JSON.stringify(version),
      LINKSPAN_COMMIT: JSON.stringify(commit),
      LINKSPAN_TARGET: JSON.stringify(target.name),
    },
    compile: {
      target: target.bun,
      outfile,
      // Else the binary would run `preload` from bunfig.toml and load .env of whatever folder it is started in.
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
  });
  if (!result.success) throw new AggregateError(result.logs, `the build of ${target.name} failed`);
}

/** loader.tar: `ld.so` and `lib/…`, from this machine where it is of the target's kind, else from Debian's package. */
async function loaderArchive(target: Target): Promise<string> {
  const file = join(cache, "loader", target.name, "loader.tar");
  if (await Bun.file(file).exists()) return file;
  await mkdir(dirname(file), { recursive: true });
  const parts = target.name === thisMachine() ? await fromThisMachine() : await fromDebian(target);
  const archive = pack();
  for (const [name, path] of parts) {
    archive.entry({ name, mode: 0o755 }, Buffer.from(await Bun.file(path).arrayBuffer()));
  }
  const chunks: Uint8Array[] = [];
  archive.on("data", (chunk) => {
    if (chunk instanceof Uint8Array) chunks.push(chunk);
  });
  archive.finalize();
  await once(archive, "end");
  await Bun.write(file, Buffer.concat(chunks));
  return file;
}

/** Beside the executable too: a host of another kind cannot get it out of there. */
async function loaderForRelease(target: Target): Promise<string> {
  const file = join(dist, `loader-${target.name}.tar`);
  await Bun.write(file, Bun.file(await loaderArchive(target)));
  return file;
}

/** Name in the archive → file. The loader says itself which files this machine's Bun is linked to. */
async function fromThisMachine(): Promise<Map<string, string>> {
  const linked = await run(["ldd", process.execPath]);
  const parts = new Map<string, string>();
  for (const [, name = "", path = ""] of linked.matchAll(/^\s*(\S+) => (\/\S+) /gm)) parts.set(`lib/${name}`, path);
  const loader = /^\s*(\/\S*ld-\S+) \(/m.exec(linked)?.[1];
  if (!loader) throw new Error(`ldd names no loader for ${process.execPath}`);
  return parts.set("ld.so", loader);
}

async function fromDebian({ name, libc }: Target): Promise<Map<string, string>> {
  if (!libc) throw new Error(`${name} needs no loader`);
  const folder = join(cache, "debian", name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  try {
    await run(["apt-get", "download", libc.package], folder);
  } catch (error) {
    throw new Error(
      `the loader for ${name} comes from Debian's package ${libc.package}: build it on Debian (after apt-get update) or on a ${name} machine`,
      { cause: error },
    );
  }
  const [deb] = (await readdir(folder)).filter((file) => file.endsWith(".deb"));
  await run(["dpkg-deb", "-x", join(folder, deb ?? ""), folder]);
  const parts = new Map(LIBRARIES.map((library) => [`lib/${library}`, join(folder, libc.dir, library)]));
  return parts.set("ld.so", join(folder, libc.dir, libc.loader));
}

async function writeChecksums(files: string[]): Promise<void> {
  let sums = "";
  for (const file of files) {
    const hash = createHash("sha256");
    for await (const chunk of Bun.file(file).stream()) hash.update(chunk);
    sums += `${hash.digest("hex")}  ${basename(file)}\n`;
  }
  await Bun.write(join(dist, "SHA256SUMS"), sums);
}

async function currentCommit(): Promise<string> {
  try {
    const commit = (await run(["git", "rev-parse", "--short=12", "HEAD"])).trim();
    return (await run(["git", "status", "--porcelain"])) === "" ? commit : `${commit}-dirty`;
  } catch {
    return "none";
  }
}

async function run(command: string[], cwd = root): Promise<string> {
  const child = Bun.spawn(command, { cwd, stdout: "pipe", stderr: "pipe", env: { ...process.env, LC_ALL: "C" } });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${command.join(" ")} exited with ${code}: ${err.trim()}`);
  return out;
}

await main(process.argv.slice(2));
