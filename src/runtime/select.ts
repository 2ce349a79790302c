/** The list of all runtimes. Each is loaded only when it is chosen. */
import type { Runtime, RuntimeKind } from "./runtime.ts";

export interface RuntimeOptions {
  /** The manager's instance id. */
  instance: string;
  /** Where a runtime keeps what managers may share, such as installed packages. */
  dataDir: string;
  /** The manager's own data directory, where that is another one: whose things on the engine are. */
  home?: string;
  /** What Python servers are built on: an image, or `exec:PROGRAM` where they are processes. */
  pythonImage?: string;
}

/** A new runtime is one entry here and one call of the contract suite. */
const RUNTIMES: { [K in RuntimeKind]: (options: RuntimeOptions) => Promise<Runtime> } = {
  docker: async (options) => new (await import("./docker/docker.ts")).DockerRuntime(options),
  process: async (options) => new (await import("./process/process.ts")).ProcessRuntime(options),
};

/**
 * The runtime of that kind, without asking whether it works. `auto` is Docker: running servers without isolation is
 * never a silent substitute, somebody must say so.
 */
export function openRuntime(choice: RuntimeKind | "auto", options: RuntimeOptions): Promise<Runtime> {
  return RUNTIMES[choice === "auto" ? "docker" : choice](options);
}
