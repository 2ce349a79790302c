/** Prompts about one container. */
import * as v from "valibot";
import { stringify } from "yaml";
import type { ContainerInfo } from "../../docker/containers.ts";
import { inspectNetwork } from "../../docker/networks.ts";
import { nameOf } from "../containers/common.ts";
import { diagnosed } from "../system/diagnose.ts";
import type { ToolCall } from "../tool.ts";
import { message, type Prompt } from "./prompt.ts";
import { containerArgument, findFor, logText, processesOf, stateText, statsText } from "./state.ts";

export const troubleshootContainer: Prompt = {
  name: "troubleshoot_container",
  title: "Find out what is wrong with a container",
  description:
    "State, health, exit code, findings and the end of the log of a container, with the question why it does not work.",
  arguments: [containerArgument],
  async body(args, call) {
    const info = await findFor(args, call);
    const found = diagnosed(info).map(({ severity, what, next }) => `${severity}: ${what}. ${next}`);
    return message(
      `Find out what is wrong with the Docker container ${nameOf(info)}. Say the most likely cause first and what in the state shows it, then what to do, as calls of the docker_ tools where there are any. Change nothing before it was agreed to. Where the state shows no problem, say so.`,
      [
        ["State", stateText(info)],
        ["Findings", found.join("\n") || "nothing is amiss"],
        ["End of the log", await logText(info, call)],
      ],
    );
  },
};

export const optimizeContainer: Prompt = {
  name: "optimize_container",
  title: "Make a container leaner",
  description:
    "Settings, limits and current use of a container, with the question what could be better: limits, restart policy, health check, image.",
  arguments: [containerArgument],
  async body(args, call) {
    const info = await findFor(args, call);
    const processes = await processesOf(info, call);
    return message(
      `Say how the Docker container ${nameOf(info)} could be run better: limits that fit what it uses, a health check, a restart policy, a read-only root file system, fewer rights, the way its image is named. Give for each change the reason in the state and what could break, and keep to those that matter.`,
      [
        ["State", stateText(info)],
        ["Use now", await statsText(info, call)],
        ["Processes", processes ? programs(processes) : "It does not run."],
      ],
    );
  },
};

export const debugNetworking: Prompt = {
  name: "debug_networking",
  title: "Find out why a container cannot be reached, or cannot reach something",
  description: "Ports, networks, addresses and neighbours of a container, with the question why a connection fails.",
  arguments: [
    containerArgument,
    { name: "target_host", description: "What it cannot reach: a host, or a container's name", required: false },
  ],
  async body(args, call) {
    const info = await findFor(args, call);
    const target = args["target_host"]?.slice(0, 255);
    const aim = target ? `cannot reach ${JSON.stringify(target)}` : "cannot be reached, or cannot reach others";
    return message(
      `Find out why the Docker container ${nameOf(info)} ${aim}. Go through: does the program listen, and on which address (docker_container_top, docker_exec_command); are the ports published, and where; are both ends on one network; is the network internal; names and DNS. Say the most likely cause first and how to check it.`,
      [
        ["State", stateText(info)],
        ["Networks", await networksText(info, call)],
        ["End of the log", await logText(info, call, 20)],
      ],
    );
  },
};

const neighbours = v.record(
  v.string(),
  v.object({ Name: v.optional(v.string(), ""), IPv4Address: v.optional(v.string(), "") }),
);

async function networksText(info: ContainerInfo, call: ToolCall): Promise<string> {
  const engine = await call.engine();
  const joined = Object.entries(info.NetworkSettings.Networks ?? {});
  const described = joined.map(async ([name, { IPAddress, NetworkID, Aliases }]) => {
    const network = await inspectNetwork(engine, NetworkID || name, call.deadline);
    const others = v.safeParse(neighbours, network?.Containers);
    return {
      network: name,
      driver: network?.Driver,
      internal: network?.Internal,
      address: IPAddress,
      aliases: Aliases,
      subnets: network?.IPAM?.Config?.map(({ Subnet }) => Subnet),
      containers: others.success
        ? Object.values(others.output).map(({ Name, IPv4Address }) => `${Name} ${IPv4Address}`)
        : [],
    };
  });
  return stringify({
    mode: info.HostConfig.NetworkMode,
    published: info.NetworkSettings.Ports,
    joined: await Promise.all(described),
  });
}

/** Without arguments, which may repeat secrets. */
function programs(processes: readonly string[]): string {
  return processes.map((line) => line.split(/\s/, 1)[0] ?? "").join("\n");
}
