/**
 * Images made without any registry: from single programs of this machine and of Debian's archive. Each is made once
 * per engine and kept under a tag that names the hash of what is in it.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { archiveOf, type Entry } from "../../src/docker/archive.ts";
import type { Engine } from "../../src/docker/engine.ts";
import { importImage, inspectImage } from "../../src/docker/images.ts";

const ROOT = join(import.meta.dir, "../..");
const CACHE = join(ROOT, ".cache/test");
const FIXTURES = join(ROOT, "test/fixtures");
const REPOSITORY = "linkspan-test";
const MAKE_MS = 60_000;
const LABEL = "linkspan.test.image";

/** Imports the entries under a tag of `linkspan-test`, unless the engine has the same already; resolves with the image's id. `changes`: Dockerfile instructions. */
export async function testImage(
  engine: Engine,
  name: string,
  entries: Entry[],
  changes: string[] = [],
): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(changes));
  for await (const chunk of archiveOf(entries)) hash.update(chunk);
  const tag = `${name}-${hash.digest("hex").slice(0, 12)}`;
  const deadline = Deadline.in(MAKE_MS);
  // By its name: an image that was built on it has its label, too.
  const found = await inspectImage(engine, `${REPOSITORY}:${tag}`, deadline);
  const labelled = [`LABEL ${LABEL}=${tag}`, ...changes];
  return found?.Id ?? importImage(engine, archiveOf(entries), `${REPOSITORY}:${tag}`, labelled, deadline);
}

/** Nothing but one statically linked program: no C library, no shell, no /etc. */
export async function scratchImage(engine: Engine, changes: string[] = []): Promise<string> {
  const server: Entry = { kind: "file", name: "server", path: await nativeServer("static"), mode: 0o755 };
  return testImage(engine, "scratch", [server], ['ENTRYPOINT ["/server"]', ...changes]);
}

/** Debian's static busybox as a shell, and a server that is a script. */
export async function busyboxImage(engine: Engine, changes: string[] = []): Promise<string> {
  const folder = await debianPackage("busybox-static");
  return testImage(
    engine,
    "busybox",
    [
      { kind: "folder", name: "bin" },
      { kind: "file", name: "bin/busybox", path: join(folder, "bin/busybox"), mode: 0o755 },
      { kind: "link", name: "bin/sh", target: "busybox" },
      { kind: "file", name: "server.sh", path: join(FIXTURES, "shell-server.sh") },
    ],
    ['ENTRYPOINT ["/bin/sh","/server.sh"]', ...changes],
  );
}

/** This machine's shell with its C library and loader, at the places where they are here. */
export async function glibcImage(engine: Engine, changes: string[] = []): Promise<string> {
  const linked = await run(["ldd", "/bin/sh"]);
  const files = [...linked.matchAll(/(\/\S+) \(0x/g)].map(([, path = ""]) => path);
  return testImage(
    engine,
    "glibc",
    [
      ...files.map((path): Entry => ({ kind: "file", name: path.slice(1), path, mode: 0o755 })),
      { kind: "file", name: "bin/sh", path: "/bin/sh", mode: 0o755 },
      { kind: "file", name: "server.sh", path: join(FIXTURES, "shell-server.sh") },
    ],
    ['ENTRYPOINT ["/bin/sh","/server.sh"]', ...changes],
  );
}

/** A program linked to musl, with Debian's musl as the image's only library. */
export async function muslImage(engine: Engine, changes: string[] = []): Promise<string> {
  const { loader, library } = muslNames();
  return testImage(
    engine,
    "musl",
    [
      { kind: "file", name: loader.slice(1), path: join(await debianPackage("musl"), library), mode: 0o755 },
      { kind: "file", name: "server", path: await nativeServer("musl"), mode: 0o755 },
    ],
    ['ENTRYPOINT ["/server"]', ...changes],
  );
}

function muslNames() {
  const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
  return {
    triple: `${machine}-linux-musl`,
    loader: `/lib/ld-musl-${machine}.so.1`,
    library: `lib/${machine}-linux-musl/libc.so`,
  };
}

/** native-server.c, compiled with Debian's small compiler, so that no other one has to be installed. */
export async function nativeServer(kind: "static" | "musl"): Promise<string> {
  const source = join(FIXTURES, "native-server.c");
  const hash = createHash("sha256")
    .update(await Bun.file(source).bytes())
    .digest("hex")
    .slice(0, 12);
  const file = join(CACHE, `native-server-${kind}-${hash}`);
  if (await Bun.file(file).exists()) return file;
  const [tcc, dev, musl] = await Promise.all([debianPackage("tcc"), debianPackage("musl-dev"), debianPackage("musl")]);
  const { triple, loader, library } = muslNames();
  const [lib] = (await readdir(join(tcc, "usr/lib"))).filter((name) => name.endsWith("-linux-gnu"));
  const own = join(tcc, "usr/lib", lib ?? "", "tcc");
  const crt = (name: string) => join(dev, "usr/lib", triple, name);
  const libc = kind === "static" ? crt("libc.a") : join(musl, library);
  const draft = `${file}.${process.pid}`;
  await run([
    join(tcc, "usr/bin/tcc"),
    "-B",
    own,
    "-nostdinc",
    "-nostdlib",
    "-I",
    join(dev, "usr/include", triple),
    ...(kind === "static" ? ["-static"] : []),
    "-o",
    draft,
    crt("crt1.o"),
    crt("crti.o"),
    source,
    libc,
    join(own, "libtcc1.a"),
    crt("crtn.o"),
  ]);
  if (kind === "musl") await setLoader(draft, loader);
  await rename(draft, file);
  return file;
}

/** The compiler writes glibc's loader into the program; musl's name is shorter and fits in its place. */
async function setLoader(file: string, loader: string): Promise<void> {
  const bytes = Buffer.from(await Bun.file(file).bytes());
  const at = bytes.indexOf("/lib");
  const end = bytes.indexOf(0, at);
  if (at < 0 || end - at < loader.length) throw new Error("the program names no loader that could be replaced");
  bytes.fill(0, at, end).write(loader, at);
  await Bun.write(file, bytes);
  await run(["chmod", "755", file]);
}

const packages = new Map<string, Promise<string>>();

/** A package of Debian's archive, unpacked but not installed. */
export function debianPackage(name: string): Promise<string> {
  const started = packages.get(name) ?? unpack(name);
  packages.set(name, started);
  return started;
}

async function unpack(name: string): Promise<string> {
  const folder = join(CACHE, "debian", name);
  if (await Bun.file(join(folder, ".complete")).exists()) return folder;
  const draft = `${folder}.${process.pid}`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true });
  try {
    await run(["apt-get", "download", name], draft);
  } catch {
    await run(["apt-get", "update"]);
    await run(["apt-get", "download", name], draft);
  }
  const [deb] = (await readdir(draft)).filter((file) => file.endsWith(".deb"));
  await run(["dpkg-deb", "-x", join(draft, deb ?? ""), draft]);
  await Bun.write(join(draft, ".complete"), "");
  await rm(folder, { recursive: true, force: true });
  await rename(draft, folder);
  return folder;
}

async function run(command: string[], cwd = ROOT): Promise<string> {
  const child = Bun.spawn(command, { cwd, stdout: "pipe", stderr: "pipe", env: { ...process.env, LC_ALL: "C" } });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${basename(command[0] ?? "")} exited with ${code}: ${err.trim()}`);
  return out;
}
