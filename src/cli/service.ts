import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, parse } from "node:path";
import { Argument } from "commander";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { COMPILED } from "../base/version.ts";
import { command } from "./command.ts";
import { systemctl, systemdFault, unitPath, unitState } from "./service/systemd.ts";
import { MARKER, UNIT_NAME, unitText, type Variant } from "./service/unit.ts";
import { note, print, printJson } from "./terminal.ts";
import { formatBytes } from "./units.ts";

const DOCKER_GROUP = "docker";

export const service = command({
  define: (program) =>
    program
      .addArgument(new Argument("<action>", "what to do").choices(["install", "uninstall", "status"]))
      .argument("[serve-options...]", "after --: options for linkspan serve")
      .option("--user", "a service of this user (the default, unless you are root)")
      .option("--system", "a service of the machine, with a user of its own")
      .option("--print", "install: only print the unit")
      .option("--force", "install, uninstall: also a unit that Linkspan has not made"),
  examples: [
    ["linkspan service install", "start the manager with every login, and now"],
    ["sudo linkspan service install --system -- --config /etc/linkspan.yaml", "start it with the machine"],
    ["linkspan service install --print", "see the unit, change nothing"],
    ["linkspan service status", "whether it is installed and runs, and how much memory it takes"],
  ],
  options: v.object({
    user: v.optional(v.boolean(), false),
    system: v.optional(v.boolean(), false),
    print: v.optional(v.boolean(), false),
    force: v.optional(v.boolean(), false),
  }),
  async run({ args: [action, ...serveArgs], options: { user, system, print: only, force }, json }) {
    if (user && system) throw new Fault("usage", "give --user or --system, not both");
    const variant: Variant = system || (!user && process.getuid?.() === 0) ? "system" : "user";
    if (action === "status") return await showStatus(variant, json);
    if (action === "uninstall") return await uninstall(variant, force, json);
    const unit = unitText({ variant, command: [...program(), "serve", ...serveArgs], group: engineGroup(variant) });
    const path = unitPath(variant);
    if (only) return json ? printJson({ path, unit }) : print(unit.trimEnd());
    const missing = systemdFault();
    if (missing) {
      // The unit is of use for whoever builds an image or configures another machine.
      if (!json) print(unit.trimEnd());
      throw new Fault(missing.kind, missing.message, { hint: missing.hint ?? "", data: { path, unit } });
    }
    await install(variant, path, unit, force);
    if (json) printJson({ path, unit, installed: true });
    else note(`${path} is installed, and the manager runs: linkspan service status`);
  },
});

async function install(variant: Variant, path: string, unit: string, force: boolean): Promise<void> {
  refuseForeign(path, force);
  const [executable = ""] = program();
  if (variant === "system") refuseUnreachable(executable);
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, unit, { mode: 0o644 });
  } catch (cause) {
    throw new Fault("forbidden", `${path} cannot be written`, { cause, hint: "A system service needs root: sudo." });
  }
  await systemctl(variant, "daemon-reload");
  await systemctl(variant, "enable", UNIT_NAME);
  // One that runs already goes on with the new unit.
  await systemctl(variant, "restart", UNIT_NAME);
}

async function uninstall(variant: Variant, force: boolean, json: boolean): Promise<void> {
  const path = unitPath(variant);
  const there = existsSync(path);
  if (there) {
    const missing = systemdFault();
    if (missing) throw missing;
    refuseForeign(path, force);
    await systemctl(variant, "disable", "--now", UNIT_NAME);
    rmSync(path, { force: true });
    await systemctl(variant, "daemon-reload");
  }
  if (json) printJson({ path, removed: there });
  else note(there ? `${path} is removed; data and servers stay.` : `There is no ${path}.`);
}

async function showStatus(variant: Variant, json: boolean): Promise<void> {
  const path = unitPath(variant);
  const installed = existsSync(path);
  const missing = systemdFault();
  const state = missing || !installed ? undefined : await unitState(variant);
  if (json)
    return printJson({ path, variant, installed, ...(missing ? { systemd: false } : { systemd: true, state }) });
  print(`unit     ${path}${installed ? "" : " (not installed)"}`);
  if (missing) return print(`state    ${missing.message}`);
  if (!state) return;
  const { ActiveState, SubState, UnitFileState, MainPID, MemoryCurrent, NRestarts } = state;
  print(`state    ${ActiveState} (${SubState}), ${UnitFileState}`);
  if (MainPID !== "0") print(`process  ${MainPID}, ${NRestarts} restarts`);
  if (MemoryCurrent && /^\d+$/.test(MemoryCurrent)) print(`memory   ${formatBytes(Number(MemoryCurrent))}`);
}

function program(): string[] {
  return COMPILED ? [process.execPath] : [process.execPath, join(import.meta.dir, "../main.ts")];
}

/** A service that has its own user needs the engine's group; who needs root for the engine has to say so in the unit. */
function engineGroup(variant: Variant): string | undefined {
  if (variant === "user") return undefined;
  const known = existsSync("/etc/group") && readFileSync("/etc/group", "utf8").split("\n");
  return known && known.some((line) => line.startsWith(`${DOCKER_GROUP}:`)) ? DOCKER_GROUP : undefined;
}

function refuseForeign(path: string, force: boolean): void {
  if (force || !existsSync(path) || readFileSync(path, "utf8").startsWith(MARKER)) return;
  throw new Fault("conflict", `${path} was not made by Linkspan`, { hint: "--force takes it all the same." });
}

/** A program in somebody's home folder cannot be started by another user: a service that only fails at its start. */
function refuseUnreachable(path: string): void {
  for (let part = path; part !== parse(part).root; part = dirname(part)) {
    if ((statSync(part).mode & 0o001) !== 0) continue;
    throw new Fault("forbidden", `a system service cannot reach ${path}: ${part} is closed to other users`, {
      hint: "Install the program where everybody can start it, such as /usr/local/bin.",
    });
  }
}
