/** Where the official plugin is installed, it reads the cases of agreement.unit.test.ts as they are read here. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { caseNames, inFolder, ours, plain, type Said, storyOf } from "../support/compose-cases.ts";

/** Older versions read some of them in another way. */
const SINCE = [5, 6] as const;

const there = Bun.which("docker") !== null;
const version = there ? Bun.spawnSync(["docker", "compose", "version", "--short"]).stdout.toString().trim() : "";
const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
const speaks = major > SINCE[0] || (major === SINCE[0] && minor >= SINCE[1]);
if (!speaks) {
  const why = version === "" ? "docker has no compose plugin here" : `the compose plugin is ${version}`;
  process.on("exit", () => process.stderr.write(`\n!! 1 test was SKIPPED: ${why}\n`));
}

async function official(name: string): Promise<Said> {
  const { use = [], env, profiles, name: project, ...files } = await storyOf(name);
  return inFolder({ env, profiles, ...files }, async (folder) => {
    const args = [
      ...use.flatMap((file) => ["-f", join(folder, file)]),
      ...profiles.flatMap((profile) => ["--profile", profile]),
      ...(project === undefined ? [] : ["-p", project]),
    ];
    const { PATH, HOME, DOCKER_CONFIG } = process.env;
    const child = Bun.spawn(["docker", "compose", ...args, "config", "--format", "json"], {
      cwd: folder,
      env: { PATH, HOME, ...(DOCKER_CONFIG ? { DOCKER_CONFIG } : {}), ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [out, error, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    // It is written so that it could be read again.
    return code === 0 ? { config: JSON.parse(out.replaceAll("$$", "$")) } : { error };
  });
}

const AT_ONCE = 8;

test.skipIf(!speaks)(
  "config is what docker compose config says",
  async () => {
    const names = caseNames();
    while (names.length > 0) {
      const compared = names.splice(0, AT_ONCE).map(async (name) => {
        const [wanted, found] = await Promise.all([official(name), ours(await storyOf(name))]);
        if (wanted.config === undefined) expect([name, found.error]).toEqual([name, expect.any(String)]);
        else expect([name, found.error ?? plain(found.config)]).toEqual([name, plain(wanted.config)]);
      });
      await Promise.all(compared);
    }
  },
  120_000,
);
