/** What a service that a tool makes or changes may have: an allowlist. Whatever is not named here never reaches the engine. */
import * as v from "valibot";
import { duration } from "../../model/units.ts";
import { argv, environment, userName, workdir } from "../containers/arguments.ts";
import { changeable as limits, containerSpec, imageRef } from "../containers/spec.ts";
import { volumes } from "../mounts.ts";
import { networkName } from "../networks/common.ts";

export const REPLICAS_MAX = 10_000;
const HOUR_MS = 3_600_000;

export const replicas = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(REPLICAS_MAX));

const portNumber = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));
const publishMode = v.picklist(["ingress", "host"]);
const portObject = v.strictObject({
  target: portNumber,
  published: v.optional(portNumber),
  protocol: v.optional(v.picklist(["tcp", "udp", "sctp"]), "tcp"),
  mode: v.optional(publishMode, "ingress"),
});
type PortObject = v.InferOutput<typeof portObject>;
/** `8080:80`, `80` (a free one), `8080:80/udp`. A service's port has no address. */
const portLine = v.pipe(
  v.string(),
  v.regex(/^(\d{1,5}:)?\d{1,5}(\/(tcp|udp|sctp))?$/, "expected 8080:80: a service's port is open at every address"),
  v.transform((input): v.InferInput<typeof portObject> => {
    const [numbers = "", protocol = "tcp"] = input.split("/");
    const [target = "", published] = numbers.split(":").reverse();
    return {
      target: Number(target),
      ...(published === undefined ? {} : { published: Number(published) }),
      protocol: protocol === "udp" || protocol === "sctp" ? protocol : "tcp",
    };
  }),
  portObject,
);
const ports = v.pipe(
  v.array(v.union([portObject, portLine])),
  v.maxLength(256),
  v.description(
    '["8080:80"] or [{"target": 80, "published": 8080, "mode": "host"}]: open on every address of every node, or with mode host of those where a task runs',
  ),
);

const constraint = v.pipe(
  v.string(),
  v.maxLength(512),
  v.regex(
    /^(node\.(id|hostname|role|ip|platform\.(os|arch))|(node|engine)\.labels\.[A-Za-z0-9][A-Za-z0-9_.-]*) *(==|!=) *[A-Za-z0-9_][A-Za-z0-9_.:/ -]*$/,
    "expected a constraint such as node.role==worker or node.labels.disk==ssd",
  ),
);

const updateConfig = v.strictObject({
  parallelism: v.optional(v.pipe(replicas, v.description("Tasks at a time; 0 is all"))),
  delay: v.optional(duration(0, HOUR_MS)),
  order: v.optional(v.picklist(["stop-first", "start-first"])),
  failure_action: v.optional(v.picklist(["pause", "continue", "rollback"])),
  monitor: v.optional(duration(0, HOUR_MS)),
  max_failure_ratio: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))),
});
export type UpdateConfig = v.InferOutput<typeof updateConfig>;
export type Port = PortObject;

/** In both: a service that is made, and one that is changed. What is not named stays as it is, or as the engine has it. */
export const serviceFields = {
  command: v.optional(argv),
  entrypoint: v.optional(argv),
  environment: v.optional(environment),
  replicas: v.optional(replicas),
  ports: v.optional(ports),
  volumes: v.optional(
    v.pipe(volumes, v.description("As of a container. With a path of the machine, the service stays on this node")),
  ),
  networks: v.optional(
    v.pipe(
      v.array(networkName),
      v.maxLength(32),
      v.description("Names of networks that the whole swarm has (overlay)"),
    ),
  ),
  endpoint_mode: v.optional(
    v.pipe(
      v.picklist(["vip", "dnsrr"]),
      v.description("One address for all tasks, or each task's; dnsrr has no ingress ports"),
    ),
  ),
  constraints: v.optional(v.pipe(v.array(constraint), v.maxLength(32), v.description('["node.role==worker"]'))),
  labels: v.optional(containerSpec.labels.wrapped),
  user: v.optional(userName),
  workdir: v.optional(workdir),
  health_check: containerSpec.health_check,
  memory: limits.memory,
  cpus: limits.cpus,
  pids: limits.pids,
  reserve_memory: limits.memory,
  reserve_cpus: limits.cpus,
  read_only: v.optional(v.pipe(v.boolean(), v.description("Read-only root file system"))),
  init: v.optional(v.pipe(v.boolean(), v.description("A first process that reaps orphans"))),
  cap_drop: v.optional(containerSpec.cap_drop.wrapped),
  restart_policy: v.optional(v.picklist(["none", "on-failure", "any"])),
  stop_grace_period: v.optional(duration(0, HOUR_MS, "Before a task is killed, such as 10s")),
  update_config: v.optional(v.pipe(updateConfig, v.description("How changes reach the tasks"))),
};

const fields = v.strictObject({ image: v.optional(imageRef), ...serviceFields });
export type ServiceFields = v.InferOutput<typeof fields>;
