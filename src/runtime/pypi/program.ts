import { Fault } from "../../base/fault.ts";
import { normalName } from "./ref.ts";

/**
 * Which program of an installed package is the server: the one that is asked for, else its only one, else the one named
 * like the package. Faults: `unsupported` (no program, or several and none is meant), `not-found` (none of that name).
 */
export function chooseProgram(name: string, programs: readonly string[], wanted: string | undefined): string {
  const names = programs.join(", ");
  if (wanted !== undefined) {
    if (programs.includes(wanted)) return wanted;
    throw new Fault("not-found", `${name} has no program ${JSON.stringify(wanted)}`, {
      hint: names === "" ? "it is a library, not a server" : `it has: ${names}`,
    });
  }
  const [only, ...others] = programs;
  if (only === undefined) {
    throw new Fault("unsupported", `${name} has no program to run (no console script)`, {
      hint: "it is a library, not a server; check the package's name",
    });
  }
  const found = others.length === 0 ? only : programs.find((program) => normalName(program) === name);
  if (found !== undefined) return found;
  throw new Fault("unsupported", `${name} has several programs and none is named like it: ${names}`, {
    hint: `choose one with command: [${only}]`,
    data: { programs: [...programs] },
  });
}
