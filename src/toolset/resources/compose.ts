/** `compose://…`: compose projects, as the labels of their containers tell. */
import { stringify } from "yaml";
import { nameOf } from "../containers/common.ts";
import { logText } from "../prompts/state.ts";
import { LABELS } from "../../compose/project.ts";
import { composeModel, projectContainers, projectNames, serviceNames, serviceOf } from "../projects.ts";
import type { ToolCall } from "../tool.ts";
import { followLogsOf, followProject } from "./follow.ts";
import type { ResourceTemplate, Variables } from "./resource.ts";

const LOG_LINES = 100;

export const composeConfig: ResourceTemplate = {
  name: "compose_config",
  template: "compose://config/{project}",
  title: "Configuration of a compose project",
  description:
    "The project as a compose file made from its containers; values of environment variables are hidden. Changes when a container of it does.",
  mimeType: "application/yaml",
  list: everyProject,
  complete: (_, __, call) => projectNames(call),
  async read({ project = "" }, call) {
    const infos = await projectContainers(project, call);
    return stringify({ name: project, ...composeModel(infos) });
  },
  watch: ({ project = "" }, watching) => followProject([`${LABELS.project}=${project}`], watching),
};

export const composeServices: ResourceTemplate = {
  name: "compose_services",
  template: "compose://services/{project}",
  title: "Services of a compose project",
  description: "Each container of the project with its service, state and health. Changes when one of them does.",
  mimeType: "application/json",
  list: everyProject,
  complete: (_, __, call) => projectNames(call),
  async read({ project = "" }, call) {
    const infos = await projectContainers(project, call);
    const services = infos.map((info) => ({
      service: serviceOf(info),
      container: nameOf(info),
      id: info.Id,
      image: info.Config.Image,
      state: info.State.Status,
      exit_code: info.State.ExitCode,
      health: info.State.Health?.Status ?? "none",
    }));
    return JSON.stringify({ project, config_files: infos[0]?.Config.Labels?.[LABELS.files] ?? "", services });
  },
  watch: ({ project = "" }, watching) => followProject([`${LABELS.project}=${project}`], watching),
};

export const composeLogs: ResourceTemplate = {
  name: "compose_logs",
  template: "compose://logs/{project}/{service}",
  title: "Log of a compose service",
  description: `The last ${LOG_LINES} lines of each container of a service. Changes while they write.`,
  mimeType: "text/plain",
  async list(call) {
    return (await serviceNames(undefined, call)).map(([project, service]) => ({ project, service }));
  },
  async complete(variable, { project }, call) {
    if (variable === "project") return projectNames(call);
    return [...new Set((await serviceNames(project, call)).map(([, service]) => service))];
  },
  async read({ project = "", service = "" }, call) {
    const infos = await projectContainers(project, call, service);
    const parts = infos.map(async (info) => `== ${nameOf(info)}\n${await logText(info, call, LOG_LINES)}`);
    return (await Promise.all(parts)).join("\n");
  },
  watch: ({ project = "", service = "" }, watching) =>
    followLogsOf([`${LABELS.project}=${project}`, `${LABELS.service}=${service}`], watching),
};

async function everyProject(call: ToolCall): Promise<Variables[]> {
  return (await projectNames(call)).map((project) => ({ project }));
}
