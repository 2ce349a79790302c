/** Tools about the containers of a project that exists, whoever has made it. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { inspectContainer, at } from "../../docker/containers.ts";
import type { Seen } from "../../compose/plan.ts";
import { argv, environment, userName, workdir } from "../containers/arguments.ts";
import { runIn } from "../containers/exec.ts";
import { output } from "../output.ts";
import { tool, type ToolCall } from "../tool.ts";
import {
  containersOf,
  nameOfProject,
  hasProject,
  ONE_PROJECT,
  runningFields,
  serviceName,
  services,
} from "./common.ts";

const timeout = v.optional(
  v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(240), v.description("Seconds until a container is killed")),
);
const input = v.pipe(
  v.strictObject({ ...runningFields, services, timeout }),
  v.check((asked) => hasProject(asked), ONE_PROJECT),
);
const result = output({
  project: v.string(),
  containers: v.array(v.object({ name: v.string(), service: v.string(), state: v.string() })),
});
const text = ({ containers }: v.InferOutput<typeof result>) =>
  containers.map(({ name, state }) => `${name} is ${state}`).join("\n");

async function each(asked: v.InferOutput<typeof input>, action: "stop" | "restart", call: ToolCall) {
  const project = await nameOfProject(asked, call);
  const found = await containersOf(project, asked.services, call);
  const engine = await call.engine();
  const containers: v.InferOutput<typeof result>["containers"] = [];
  // As `docker compose` does it: all at once, for none of them is removed.
  await Promise.all(
    found.map(async ({ id, name }) => {
      const query = asked.timeout === undefined ? {} : { t: asked.timeout };
      const request = {
        what: `${action} of ${name}`,
        method: "POST",
        path: at(id, action),
        query,
        patient: true,
      } as const;
      await engine.act(request, call.deadline);
      call.report({ text: `${action} of ${name}` });
    }),
  );
  for (const { id, name, service } of found) {
    const info = await inspectContainer(engine, id, call.deadline);
    containers.push({ name, service, state: info?.State.Status ?? "removed" });
  }
  return { project, containers };
}

export const composeStopTool = tool({
  name: "docker_compose_stop",
  category: "compose",
  title: "Stop a project",
  description:
    "Stops the containers of a project, or of some of its services. Nothing is removed; docker_compose_up starts them again.",
  level: "moderate",
  time: "long",
  idempotent: true,
  input,
  output: result,
  example: { project_name: "shop" },
  handle: (asked, call) => each(asked, "stop", call),
  text,
});

export const composeRestartTool = tool({
  name: "docker_compose_restart",
  category: "compose",
  title: "Restart a project",
  description:
    "Restarts the containers of a project, or of some of its services, as they are: a file that has changed needs docker_compose_up.",
  level: "moderate",
  time: "long",
  input,
  output: result,
  example: { project_name: "shop", services: ["web"] },
  handle: (asked, call) => each(asked, "restart", call),
  text,
});

export const composeExecTool = tool({
  name: "docker_compose_exec",
  category: "compose",
  title: "Run a command in a service",
  description:
    "Runs a command inside a running container of a service and returns its output and exit code. No shell is involved.",
  level: "moderate",
  time: "long",
  input: v.pipe(
    v.strictObject({
      ...runningFields,
      service: serviceName,
      command: argv,
      index: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.description("Which of its containers"))),
      workdir: v.optional(workdir),
      user: v.optional(userName),
      environment: v.optional(environment, {}),
    }),
    v.check((asked) => hasProject(asked), ONE_PROJECT),
  ),
  output: output({ container: v.string(), exit_code: v.number(), stdout: v.string(), stderr: v.string() }),
  example: { project_name: "shop", service: "web", command: ["ls", "/"] },
  async handle({ service, command: Cmd, index, workdir: folder, user, environment: variables, ...asked }, call) {
    const found = await containersOf(await nameOfProject(asked, call), [service], call);
    const { id, name } = chosen(found, service, index);
    const body = {
      Cmd,
      Env: Object.entries(variables).map(([variable, value]) => `${variable}=${value}`),
      ...(folder === undefined ? {} : { WorkingDir: folder }),
      ...(user === undefined ? {} : { User: user }),
    };
    return { container: name, ...(await runIn(id, body, call)) };
  },
  text: ({ exit_code, stdout, stderr }) =>
    [`exit code ${exit_code}`, stdout, stderr && `stderr:\n${stderr}`].filter((part) => part !== "").join("\n"),
});

function chosen(found: readonly Seen[], service: string, index: number | undefined): Seen {
  const one =
    index === undefined ? found.find(({ state }) => state === "running") : found.find(({ number }) => number === index);
  if (one?.state === "running") return one;
  throw new Fault(one ? "conflict" : "not-found", `no such container of ${service} runs`, {
    hint: "docker_compose_ps shows them; docker_compose_up starts them.",
  });
}
