import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { sleep } from "../../base/deadline.ts";
import type { ContainerInfo } from "../../docker/containers.ts";
import { output } from "../output.ts";
import { tool } from "../tool.ts";
import { affected, containerId, findContainer, nameOf } from "./common.ts";

const LOOK_MS = 250;
const TIMEOUT_S = 30;
const TIMEOUT_S_MAX = 290;

const STATES = ["healthy", "exited", "running"] as const;

export const waitContainerTool = tool({
  name: "docker_wait_container",
  category: "containers",
  title: "Wait for a container",
  description:
    "Waits until a container is running, healthy (its health check says so) or exited, and says which it came to. Ends with an error as soon as the state cannot come any more.",
  level: "safe",
  time: "long",
  input: v.strictObject({
    container_id: containerId,
    condition: v.optional(v.picklist(STATES), "healthy"),
    timeout: v.optional(
      v.pipe(v.number(), v.minValue(1), v.maxValue(TIMEOUT_S_MAX), v.description("Seconds")),
      TIMEOUT_S,
    ),
  }),
  output: output({
    ...affected,
    health: v.optional(v.string()),
    exit_code: v.optional(v.number()),
    waited_seconds: v.number(),
  }),
  example: { container_id: "web", condition: "running", timeout: 10 },
  async handle({ container_id, condition, timeout }, call) {
    const from = performance.now();
    const deadline = call.deadline.within(timeout * 1000);
    while (true) {
      const info = await findContainer(container_id, call);
      if (reached(info, condition)) {
        const { Status: state, ExitCode: exit_code, Health } = info.State;
        const more = state === "exited" ? { exit_code } : Health ? { health: Health.Status } : {};
        const waited_seconds = Math.round((performance.now() - from) / 100) / 10;
        return { id: info.Id, name: nameOf(info), state, waited_seconds, ...more };
      }
      if (deadline.passed)
        throw new Fault(
          "timeout",
          `${container_id} is ${stateOf(info)} and did not become ${condition} within ${timeout} s`,
          {
            hint: "docker_diagnose says why; docker_container_logs shows what it has written.",
          },
        );
      await sleep(Math.min(LOOK_MS, deadline.remainingMs), call.signal);
    }
  },
  text: ({ name, state, health, waited_seconds, exit_code }) =>
    `${name} is ${state}${health ? ` (${health})` : ""}${exit_code === undefined ? "" : ` with exit code ${exit_code}`} after ${waited_seconds} s`,
});

/** Faults: `conflict` where it can never come to that. */
function reached({ Name, State }: ContainerInfo, condition: (typeof STATES)[number]): boolean {
  const ended = State.Status === "exited" || State.Status === "dead";
  if (condition === "exited") return ended;
  if (ended)
    throw new Fault("conflict", `${Name.slice(1)} has ended with exit code ${State.ExitCode}`, {
      hint: "docker_diagnose says why.",
    });
  if (condition === "running" || State.Status !== "running") return State.Status === "running";
  if (!State.Health)
    throw new Fault("conflict", `${Name.slice(1)} has no health check`, { hint: "Wait for running instead." });
  return State.Health.Status === "healthy";
}

function stateOf({ State }: ContainerInfo): string {
  return State.Health ? `${State.Status} (${State.Health.Status})` : State.Status;
}
