/** `npm run soak`: every file of this folder after the other, and the session machine for long. Fails if one of them does. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const files = readdirSync(import.meta.dir).filter((name) => name.endsWith(".ts") && name !== "run.ts");
const runs = [
  ...files.toSorted().map((name) => ({ what: name, command: [join(import.meta.dir, name)], env: {} })),
  { what: "machine", command: ["test", "test/transport/machine.test.ts"], env: { LINKSPAN_MACHINE_RUNS: "5000" } },
];
const failed: string[] = [];
for (const { what, command, env } of runs) {
  const child = Bun.spawn([process.execPath, ...command], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
  if ((await child.exited) !== 0) failed.push(what);
}
if (failed.length > 0) process.stderr.write(`failed: ${failed.join(", ")}\n`);
process.exit(failed.length > 0 ? 1 : 0);
