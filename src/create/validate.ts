/** Arguments against a tool's own JSON Schema, before the server sees them. */
import { CfWorkerJsonSchemaValidator } from "@modelcontextprotocol/client/validators/cf-worker";
import { Fault } from "../base/fault.ts";
import type { ToolView } from "../model/rest.ts";

/** It interprets schemas: one that compiles them would run what a server has written. */
const validator = new CfWorkerJsonSchemaValidator();

/** Faults: `invalid`, naming the argument; `server-failed` for a schema that is none. */
export function checkArguments(tool: ToolView, args: Record<string, unknown>): void {
  const result = validate(tool, args);
  if (result === undefined) return;
  throw new Fault("invalid", `the arguments of ${tool.name} are not valid: ${result}`, {
    hint: "get-server-tools shows what each tool takes.",
  });
}

function validate({ name, inputSchema }: ToolView, args: Record<string, unknown>): string | undefined {
  try {
    const result = validator.getValidator(inputSchema)(args);
    return result.valid ? undefined : deepest(result.errorMessage);
  } catch (cause) {
    throw new Fault("server-failed", `the input schema of ${name} is not a JSON Schema`, { cause });
  }
}

/** `#: Property "a" does not match schema.; #/a: Instance type …` → `a: Instance type …`. */
function deepest(message: string): string {
  const said = message.split("; #").at(-1)?.replace(/^#/, "") ?? message;
  const [path = "", words = ""] = said.split(/: (.*)/s);
  const where = path.replace(/^\//, "").replaceAll("/", ".");
  const plain = words.replace(/\.$/, "").replace(/^False boolean schema$/, "the tool has no such argument");
  return where === "" ? plain : `${where}: ${plain}`;
}
