/** Prompts about compose projects, and about making one. */
import { stringify } from "yaml";
import type { ContainerInfo } from "../../docker/containers.ts";
import { nameOf } from "../containers/common.ts";
import { composeModel, projectContainers, serviceOf } from "../projects.ts";
import { diagnosed } from "../system/diagnose.ts";
import { message, type Prompt } from "./prompt.ts";
import { containerArgument, findFor, logText, projectArgument, stateText } from "./state.ts";

const LOGGED_MAX = 10;

export const generateCompose: Prompt = {
  name: "generate_compose",
  title: "Write a compose file",
  description: "A compose file from a container that runs, from a description, or from both.",
  arguments: [
    { ...containerArgument, required: false },
    { name: "service_description", description: "What the services are to be", required: false },
  ],
  async body(args, call) {
    const wanted = args["service_description"]?.slice(0, 4_000);
    const info = args["container_id"] ? await findFor(args, call) : undefined;
    const task = [
      "Write a compose file (compose specification, without version).",
      info
        ? `It has to make what the Docker container ${nameOf(info)} is now. The draft below is made from the container and also has what its image brings along: leave that out.`
        : "",
      wanted ? `What it is for: ${wanted}` : "",
      "Give each service limits, a health check and a restart policy; pin images; publish ports on 127.0.0.1 unless more is needed; take the values of environment variables from an env file, they are not shown here. docker_compose_validate checks the result where it is there.",
    ];
    const state = info
      ? ([
          ["Draft made from the container", stringify(composeModel([info]))],
          ["State", stateText(info)],
        ] as const)
      : [];
    return message(task.filter(Boolean).join(" "), state);
  },
};

export const troubleshootComposeStack: Prompt = {
  name: "troubleshoot_compose_stack",
  title: "Find out what is wrong with a compose project",
  description:
    "State, findings and log ends of all containers of a compose project, with the question which service is the cause.",
  arguments: [projectArgument],
  async body(args, call) {
    const infos = await projectContainers(args["project"] ?? "", call);
    const worst = infos.toSorted((a, b) => trouble(b) - trouble(a)).slice(0, LOGGED_MAX);
    const logs = worst.map(
      async (info) => [`End of the log of ${nameOf(info)}`, await logText(info, call, 20)] as const,
    );
    return message(
      `Find out what is wrong with the compose project ${JSON.stringify(args["project"])}. Tell the cause from its consequences: a service that waits for another one that failed is not the cause. Say what to do, in order, and change nothing before it was agreed to.`,
      [["Containers", overview(infos)], ["Project", stringify(composeModel(infos))], ...(await Promise.all(logs))],
    );
  },
};

export const optimizeComposeConfig: Prompt = {
  name: "optimize_compose_config",
  title: "Make a compose project better",
  description: "The project as its containers show it, with the question what its compose file should say instead.",
  arguments: [projectArgument],
  async body(args, call) {
    const infos = await projectContainers(args["project"] ?? "", call);
    return message(
      `Say how the compose file of the project ${JSON.stringify(args["project"])} could be better: limits, health checks and depends_on with conditions, restart policies, networks that keep services apart, volumes, rights, pinned images. Give the changed parts as YAML, each with its reason, and keep to those that matter.`,
      [
        ["Project, made from its containers", stringify(composeModel(infos))],
        ["Containers", overview(infos)],
      ],
    );
  },
};

function trouble(info: ContainerInfo): number {
  return diagnosed(info).filter(({ severity }) => severity === "problem").length;
}

function overview(infos: readonly ContainerInfo[]): string {
  return stringify(
    infos.map((info) => ({
      container: nameOf(info),
      service: serviceOf(info),
      state: info.State.Status,
      exit_code: info.State.ExitCode,
      health: info.State.Health?.Status ?? "none",
      findings: diagnosed(info).map(({ what }) => what),
    })),
  );
}
