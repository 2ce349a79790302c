/** Which runtime runs the servers: the list of all of them, and the choice. Each is loaded only when it is chosen. */
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Facts, Runtime, RuntimeKind } from "./runtime.ts";

export interface RuntimeOptions {
  /** The manager's instance id. */
  instance: string;
  dataDir: string;
}

export type RuntimeChoice = RuntimeKind | "auto";

/** A new runtime is one entry here and one call of the contract suite. */
const RUNTIMES: { [K in RuntimeKind]: (options: RuntimeOptions) => Promise<Runtime> } = {
  docker: async (options) => new (await import("./docker.ts")).DockerRuntime(options),
  process: async (options) => new (await import("./process.ts")).ProcessRuntime(options),
};

/** The runtime of that kind, without asking whether it works. */
export function openRuntime(kind: RuntimeKind, options: RuntimeOptions): Promise<Runtime> {
  return RUNTIMES[kind](options);
}

/**
 * The chosen runtime, which has answered. `auto` is Docker: running servers without isolation is never a silent
 * substitute, somebody must say so. Faults: those of `probe`.
 */
export async function selectRuntime(
  choice: RuntimeChoice,
  options: RuntimeOptions,
  deadline: Deadline,
): Promise<{ runtime: Runtime; facts: Facts }> {
  const runtime = await openRuntime(choice === "auto" ? "docker" : choice, options);
  try {
    return { runtime, facts: await runtime.probe(deadline) };
  } catch (thrown) {
    await runtime[Symbol.asyncDispose]();
    const fault = Fault.from(thrown);
    throw choice === "auto" ? withAlternative(fault) : fault;
  }
}

const ALTERNATIVE = "or run servers as plain processes, without isolation: --runtime process";

function withAlternative(fault: Fault): Fault {
  return new Fault(fault.kind, fault.message, {
    hint: fault.hint === undefined ? `start a container engine, ${ALTERNATIVE}` : `${fault.hint}; ${ALTERNATIVE}`,
    cause: fault,
    ...(fault.data === undefined ? {} : { data: fault.data }),
  });
}
