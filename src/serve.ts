import { Fault } from "./base/fault.ts";
import type { Manager } from "./manager/manager.ts";

export async function serveMain(_argv: string[]): Promise<number> {
  return 1;
}
/** A manager inside this process, on no port and no socket. */
export async function embeddedManager(): Promise<Manager> {
  throw new Fault("unsupported", "the manager is not wired up yet");
}
