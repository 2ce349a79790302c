/** Python with nothing but its standard library: Debian's packages and the C library of this machine. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Entry } from "../../src/docker/archive.ts";
import type { Engine } from "../../src/docker/engine.ts";
import { debianPackage, testImage } from "./images.ts";

const SYSTEM = "/usr/bin/python3";

/** The image's id; undefined, and said so, where this machine has no Python whose packages could be taken. */
export async function pythonImage(engine: Engine): Promise<string | undefined> {
  if (!existsSync(SYSTEM) || !Bun.which("apt-get")) {
    process.stderr.write(`\n!! Python servers were NOT TESTED: no ${SYSTEM} of Debian on this machine\n`);
    return undefined;
  }
  const version = said([SYSTEM, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
  const names = [`python${version}-minimal`, `libpython${version}-minimal`, `libpython${version}-stdlib`];
  const [program = "", minimal = "", library = ""] = await Promise.all(names.map(debianPackage));
  const binary = join(program, `usr/bin/python${version}`);
  const linked = [...said(["ldd", binary]).matchAll(/(\/\S+) \(0x/g)].map(([, path = ""]) => path);
  // One folder: an archive must not have the same directory twice.
  const modules = join(library, "merged");
  for (const folder of [minimal, library]) {
    mkdirSync(modules, { recursive: true });
    said(["cp", "-a", `${join(folder, "usr/lib", `python${version}`)}/.`, modules]);
  }
  return testImage(engine, "python", [
    ...linked.map((path): Entry => ({ kind: "file", name: path.slice(1), path, mode: 0o755 })),
    { kind: "file", name: "usr/bin/python3", path: binary, mode: 0o755 },
    { kind: "tree", name: `usr/lib/python${version}`, path: modules },
    { kind: "folder", name: "tmp", mode: 0o1777 },
  ]);
}

function said(command: string[]): string {
  const { stdout, stderr, exitCode } = Bun.spawnSync(command, { env: { ...process.env, LC_ALL: "C" } });
  if (exitCode !== 0) throw new Error(`${command[0]} failed: ${stderr.toString()}`);
  return stdout.toString().trim();
}
