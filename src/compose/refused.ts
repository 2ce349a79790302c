/** Fields of the specification that are not honoured: those that would lead out of the container, and the rest. Pure. */
import { isRecord, type Path, type Source } from "./source.ts";

const HOST = "it gives a container a part of the host";
/** Field of a service → why it is refused whatever the settings say. */
const FORBIDDEN: Readonly<Record<string, string>> = {
  blkio_config: HOST,
  cap_add: "capabilities are not added",
  cgroup: HOST,
  cgroup_parent: HOST,
  credential_spec: HOST,
  device_cgroup_rules: HOST,
  devices: HOST,
  gpus: HOST,
  group_add: "groups are not added",
  ipc: HOST,
  isolation: HOST,
  oom_kill_disable: HOST,
  oom_score_adj: HOST,
  pid: HOST,
  runtime: "the engine's standard runtime is the only one",
  security_opt: "what the engine isolates stays isolated",
  storage_opt: HOST,
  sysctls: "the kernel's settings are not changed",
  use_api_socket: "it gives a container the engine itself",
  userns_mode: HOST,
  uts: HOST,
  volumes_from: "volumes are named by each service that uses them",
};
const BUILD_FORBIDDEN: Readonly<Record<string, string>> = {
  entitlements: HOST,
  isolation: HOST,
  network: "a build has the engine's standard network",
  privileged: HOST,
  ssh: "a build gets no keys",
};

/** Known to the specification, and not to this version. */
const UNSUPPORTED = new Set(
  (
    "annotations cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpuset external_links " +
    "label_file links mac_address mem_swappiness memswap_limit models post_start pre_stop provider"
  ).split(" "),
);
const BUILD_UNSUPPORTED = new Set(
  "additional_contexts cache_from cache_to extra_hosts platforms provenance sbom secrets shm_size ulimits".split(" "),
);

const HINT = "Leave it out: a container that a tool makes stays within what the engine isolates.";

/** Says what is refused, and takes it out of the tree, so that the schema does not say it again. */
export function refuse(tree: unknown, source: Source, allowPrivileged: boolean): void {
  const services = isRecord(tree) ? tree["services"] : undefined;
  if (!isRecord(services)) return;
  for (const [name, service] of Object.entries(services)) {
    if (!isRecord(service)) continue;
    const path = ["services", name];
    const { security_opt: options } = service;
    if (hardens(options)) delete service["security_opt"];
    take(service, path, FORBIDDEN, UNSUPPORTED, source);
    if (hardens(options)) service["security_opt"] = options;
    if (!allowPrivileged && means(service["privileged"])) {
      source.find("forbidden", [...path, "privileged"], "a privileged container is not allowed", PRIVILEGED);
      delete service["privileged"];
    }
    const mode = service["network_mode"];
    if (typeof mode === "string" && /^(host$|container:|service:)/.test(mode)) {
      const why = "no container gets the network of the host or of another container";
      source.find("forbidden", [...path, "network_mode"], why, "Put both on one network.");
      delete service["network_mode"];
    }
    const build = service["build"];
    if (isRecord(build)) take(build, [...path, "build"], BUILD_FORBIDDEN, BUILD_UNSUPPORTED, source);
  }
}

const PRIVILEGED =
  "Leave it out; whoever configures this server decides it with SAFETY_ALLOW_PRIVILEGED_CONTAINERS=true.";

function take(
  fields: Record<string, unknown>,
  path: Path,
  forbidden: Readonly<Record<string, string>>,
  unsupported: ReadonlySet<string>,
  source: Source,
): void {
  for (const [name, value] of Object.entries(fields)) {
    const why = Object.hasOwn(forbidden, name) ? forbidden[name] : undefined;
    if (why === undefined && !unsupported.has(name)) continue;
    delete fields[name];
    if (!means(value)) continue;
    if (why !== undefined) source.find("forbidden", [...path, name], `${name} is not allowed: ${why}`, HINT);
    else source.find("unsupported", [...path, name], `${name} is not supported here`, "Leave it out.");
  }
}

/** The one option that takes something away. */
function hardens(options: unknown): boolean {
  return Array.isArray(options) && options.every((one) => /^no-new-privileges([:=]true)?$/.test(String(one)));
}

/** Whether it asks for anything: `cap_add: []` and `privileged: false` do not. */
function means(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === "" || value === "false") return false;
  if (Array.isArray(value)) return value.length > 0;
  return !isRecord(value) || Object.keys(value).length > 0;
}
