/**
 * Images with whole programs of Debian's stable archive, of another release than this machine's if need be: packages with
 * all that they depend on are downloaded and unpacked, not installed, so that neither a registry nor root is needed.
 */
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Entry } from "../../src/docker/archive.ts";
import type { Engine } from "../../src/docker/engine.ts";
import { testImage } from "./images.ts";

const CACHE = join(import.meta.dir, "../../.cache/test/debian-roots");
const KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";
const SUITE = "trixie";
/** Comes along, and is not needed to run anything. */
const LEFT_OUT = /^(?:libllvm|libz3|perl|libperl|locales|dpkg|debconf|tar_|systemd|adduser|passwd|ucf|libdb|gcc-)/;
const USELESS = ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/bug"];

/** Why such images cannot be made here; undefined where they can. */
export const noDebian = !Bun.which("apt-get")
  ? "this machine has no apt-get"
  : existsSync(KEYS)
    ? undefined
    : "this machine has no Debian keys";

/** Python 3.13 with pip and venv, as in the official image `python:3.13-slim`, root certificates included. */
export async function debianPython(engine: Engine, changes: string[] = []): Promise<string> {
  const root = await debianRoot("python", ["python3-minimal", "python3-pip", "python3-venv"]);
  return testImage(engine, "debian-python", await entriesOf(root), changes);
}

/** PostgreSQL 17 that makes itself a database in /data and lets everybody in as `postgres`, without a password. */
export async function debianPostgres(engine: Engine): Promise<string> {
  const root = await debianRoot("postgres", ["postgresql-17", "dash"]);
  const bin = "/usr/lib/postgresql/17/bin";
  const script = [
    `${bin}/initdb -D /data/db -U postgres -A trust --no-sync >/dev/null`,
    "echo 'host all all all trust' >> /data/db/pg_hba.conf",
    `exec ${bin}/postgres -D /data/db -c listen_addresses='*' -c unix_socket_directories=/tmp -c fsync=off -c jit=off`,
  ].join(" && ");
  const passwd = "postgres:x:65532:65532::/data:/bin/sh\n";
  return testImage(
    engine,
    "debian-postgres",
    [...(await entriesOf(root)), { kind: "bytes", name: "etc/passwd", bytes: Buffer.from(passwd) }],
    [`ENTRYPOINT ${JSON.stringify(["/bin/dash", "-c", script])}`, "USER 65532:65532"],
  );
}

async function entriesOf(root: string): Promise<Entry[]> {
  const links = ["bin", "lib", "lib64", "sbin"].map((name): Entry => ({ kind: "link", name, target: `usr/${name}` }));
  const trees = (await readdir(root)).toSorted().map((name): Entry => ({ kind: "tree", name, path: join(root, name) }));
  return [...trees, ...links, { kind: "folder", name: "tmp", mode: 0o1777 }];
}

/** The files of the packages and of all that they need, in one folder; kept for the next time. */
async function debianRoot(name: string, packages: string[]): Promise<string> {
  const folder = join(CACHE, name);
  if (existsSync(folder)) return folder;
  const work = await mkdtemp(join(tmpdir(), "linkspan-test-debian-"));
  try {
    const root = join(work, "root");
    for (const deb of await download(work, packages)) await run(["dpkg-deb", "-x", deb, root]);
    for (const path of USELESS) await rm(join(root, path), { recursive: true, force: true });
    await certificates(root);
    await mkdir(CACHE, { recursive: true });
    const draft = `${folder}.${process.pid}`;
    await cp(root, draft, { recursive: true, verbatimSymlinks: true });
    // Another test may have been faster.
    await rename(draft, folder).catch(() => rm(draft, { recursive: true, force: true }));
    return folder;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** With an apt of its own, which knows nothing of this machine's packages. */
async function download(work: string, packages: string[]): Promise<string[]> {
  const apt = join(work, "apt");
  for (const folder of ["lists/partial", "archives/partial"]) await mkdir(join(apt, folder), { recursive: true });
  const sources = join(apt, "sources.list");
  await Bun.write(sources, `deb [signed-by=${KEYS}] http://deb.debian.org/debian ${SUITE} main\n`);
  await Bun.write(join(apt, "status"), "");
  const options = {
    "Dir::State": apt,
    "Dir::State::status": join(apt, "status"),
    "Dir::State::lists": join(apt, "lists"),
    "Dir::Cache": apt,
    "Dir::Cache::archives": join(apt, "archives"),
    "Dir::Etc::sourcelist": sources,
    "Dir::Etc::sourceparts": "/dev/null",
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
  };
  const words = Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  await run(["apt-get", ...words, "update"]);
  await run(["apt-get", ...words, "install", "--no-install-recommends", "--download-only", "-y", ...packages]);
  const files = (await readdir(join(apt, "archives"))).filter((file) => file.endsWith(".deb") && !LEFT_OUT.test(file));
  return files.map((file) => join(apt, "archives", file));
}

/** What the package's own installation would make of them. */
async function certificates(root: string): Promise<void> {
  const folder = join(root, "usr/share/ca-certificates/mozilla");
  if (!existsSync(folder)) return;
  const files = (await readdir(folder)).toSorted();
  const texts = await Promise.all(files.map((file) => Bun.file(join(folder, file)).text()));
  await Bun.write(join(root, "etc/ssl/certs/ca-certificates.crt"), texts.join("\n"));
}

async function run(command: string[]): Promise<void> {
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe", env: { ...process.env, LC_ALL: "C" } });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${command.slice(-3).join(" ")} exited with ${code}: ${err || out}`);
}
