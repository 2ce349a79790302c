/** What the CLI needs of parts that it must not import itself. */
import type { EngineCheck } from "./cli/command.ts";
import { Fault } from "./base/fault.ts";

export async function checkEngine(): Promise<EngineCheck> {
  throw new Fault("unsupported", "the engine check is not wired up yet");
}
