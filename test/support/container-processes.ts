/** What runs in a container of an engine on this machine. */
import { readdirSync, readFileSync } from "node:fs";

export const BRIDGE = /^\/\.linkspan\/ld\.so .* bridge /;

/** Processes of the container with such a command line, as this machine numbers them. */
export function processes(container: string, command: RegExp): number[] {
  const read = (pid: string, file: string) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, "latin1");
    } catch {
      return "";
    }
  };
  const inside = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && read(pid, "cgroup").includes(container));
  return inside.filter((pid) => command.test(read(pid, "cmdline").replaceAll("\0", " "))).map(Number);
}
