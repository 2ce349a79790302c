/** systemd on this machine: where units are, whether it runs, and what it says. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Fault } from "../../base/fault.ts";
import { UNIT_NAME, type Variant } from "./unit.ts";

/** The rule of sd_booted(3). */
const BOOTED = "/run/systemd/system";
const CALL_MS = 60_000;
const OUTPUT_CHARS_MAX = 2_000;

export function unitPath(variant: Variant, env: Record<string, string | undefined> = process.env): string {
  if (variant === "system") return join("/etc/systemd/system", UNIT_NAME);
  const xdg = env.XDG_CONFIG_HOME;
  const config = xdg?.startsWith("/") ? xdg : join(env.HOME || homedir(), ".config");
  return join(config, "systemd", "user", UNIT_NAME);
}

/** Why units cannot be used here; undefined where they can. */
export function systemdFault(): Fault | undefined {
  const hint = "linkspan service install --print shows the unit; any supervisor can run: linkspan serve";
  if (process.platform !== "linux") return new Fault("unsupported", "systemd is for Linux", { hint });
  if (existsSync(BOOTED)) return undefined;
  return new Fault("unsupported", "this machine is not run by systemd", { hint });
}

/** Faults: `forbidden` or `engine-failed`, with what systemctl says. */
export async function systemctl(variant: Variant, ...args: string[]): Promise<string> {
  const command = ["systemctl", ...(variant === "user" ? ["--user"] : []), "--no-pager", ...args];
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: CALL_MS });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code === 0) return out;
  const said = err.trim().slice(0, OUTPUT_CHARS_MAX) || `exit code ${code}`;
  const kind = /permission denied|access denied|authentication/i.test(said) ? "forbidden" : "engine-failed";
  throw new Fault(kind, `${command.join(" ")}: ${said}`, {
    hint: variant === "system" ? "A system service needs root: sudo." : "Is this a login session of that user?",
  });
}

/** The unit's state, as systemd has it. */
export async function unitState(variant: Variant): Promise<Record<string, string>> {
  const names = ["LoadState", "UnitFileState", "ActiveState", "SubState", "MainPID", "MemoryCurrent", "NRestarts"];
  const text = await systemctl(variant, "show", UNIT_NAME, `--property=${names.join(",")}`);
  return Object.fromEntries(text.split("\n").flatMap((line) => pair(line)));
}

function pair(line: string): [string, string][] {
  const equals = line.indexOf("=");
  return equals < 0 ? [] : [[line.slice(0, equals), line.slice(equals + 1)]];
}
