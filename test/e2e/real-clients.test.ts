/** `linkspan client setup` and then the client itself: does it find what was written, and does it connect? */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linkspan } from "../support/cli.ts";
import { install, INSTALL_MS, listed, pathWith, REAL_CLIENTS } from "./real-clients.ts";
import { Stage } from "./stage.ts";

const TOOLS = join(import.meta.dir, "../fixtures/tools-legacy.ts");
const CONFIG = `servers:\n  tools:\n    image: exec:${process.execPath}\n    args: [${TOOLS}]\n`;

const programs = await Promise.all(REAL_CLIENTS.map(install));
const missing = programs.filter((found) => typeof found === "string");
let home = "";
let stage: Stage;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "ls-clients-"));
  await mkdir(join(home, "project"));
  await Bun.write(join(home, "linkspan.yaml"), CONFIG);
  stage = await Stage.open("process", { args: ["--config", join(home, "linkspan.yaml")] });
});
afterAll(async () => {
  await stage[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
  if (missing.length > 0)
    process.stderr.write(`\n!! ${missing.length} real clients were SKIPPED: ${missing.join("; ")}\n`);
});

for (const [at, client] of REAL_CLIENTS.entries()) {
  const found = programs[at];
  const name = `${client.id} ${client.version} finds all servers and one server, and neither after remove`;
  const body = async () => {
    if (found === undefined || typeof found === "string") throw new Error(found);
    const { program } = found;
    const env = {
      HOME: home,
      PATH: pathWith(program),
      LINKSPAN_DATA_DIR: stage.dataDir,
      LINKSPAN_CONFIG: join(home, "linkspan.yaml"),
    };
    const cwd = join(home, "project");
    const run = (action: string, ...more: string[]) =>
      linkspan(["client", action, client.id, ...more, "--json"], { env, cwd });
    const outcome = JSON.parse((await run("setup")).out);
    expect(outcome).toMatchObject({ client: client.id, changed: true });
    expect((await run("setup", "--server", "tools")).code).toBe(0);
    const before = await listed(client, program, home, cwd);
    expect([before, client.shows(before, "linkspan"), client.shows(before, "tools")]).toEqual([before, true, true]);
    // Some write the file again when they run; our entries are found in what they make of it.
    expect(JSON.parse((await run("setup")).out)).toMatchObject({ changed: false });
    await run("remove");
    expect(JSON.parse((await run("remove", "--server", "tools")).out)).toMatchObject({ changed: true });
    if (existsSync(outcome.file)) expect(await Bun.file(outcome.file).text()).not.toContain("linkspan");
    const after = await listed(client, program, home, cwd);
    expect([after, client.shows(after, "linkspan"), client.shows(after, "tools")]).toEqual([after, false, false]);
  };
  test.skipIf(typeof found === "string")(name, body, INSTALL_MS);
}
