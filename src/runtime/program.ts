import { Fault } from "../base/fault.ts";

/** Which of a package's programs a spec asks for: `command: [PROGRAM]`. Fault `invalid` for anything longer. */
export function programOf(spec: { image: string; command?: string[] | undefined }): string | undefined {
  const [program, ...others] = spec.command ?? [];
  if (others.length === 0) return program;
  throw new Fault("invalid", `the command of ${spec.image} can only name one of the package's programs`, {
    hint: "put arguments into args",
  });
}
