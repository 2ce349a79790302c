/**
 * Whether a request may reach the engine: judged by what the engine would do with it (API reference 1.46), knowing nothing of
 * the product's own rules. Whatever is not known to be harmless is unlawful.
 */
import { realpathSync } from "node:fs";
import { extract } from "tar-stream";
import { admits, type EngineLevel } from "./engine-rules.ts";
import { HOST_NETWORKS, TRAP_VOLUMES } from "./fake-engine.ts";
import type { SentRequest } from "./http-requests.ts";

export interface Ground {
  level: EngineLevel;
  /** Canonical: the folders that containers may see and tools may read. */
  allowed: string[];
  /** What no request may carry. */
  canaries: string[];
  /** Registries for which there are credentials. */
  registries: string[];
}

type Json = Record<string, unknown>;

const CREATE_KEYS = new Set(
  "Image Cmd Entrypoint Env Labels ExposedPorts User WorkingDir Healthcheck HostConfig NetworkingConfig Hostname Domainname Tty OpenStdin StopSignal StopTimeout".split(
    " ",
  ),
);
const HOST_KEYS = new Set(
  "Memory MemorySwap MemoryReservation NanoCpus CpuShares PidsLimit RestartPolicy PortBindings Mounts CapDrop ExtraHosts ReadonlyRootfs AutoRemove Init Privileged NetworkMode Dns DnsOptions DnsSearch ShmSize Tmpfs LogConfig Ulimits".split(
    " ",
  ),
);
const EXEC_KEYS = new Set("Cmd AttachStdout AttachStderr AttachStdin Env Privileged WorkingDir User Tty".split(" "));
const UPDATE_KEYS = new Set("Memory MemorySwap NanoCpus CpuShares PidsLimit RestartPolicy".split(" "));
const NETWORK_KEYS = new Set(
  "Name Driver Internal Attachable EnableIPv6 IPAM Options Labels CheckDuplicate Scope".split(" "),
);
const SERVICE_KEYS = new Set("Name Labels TaskTemplate Mode EndpointSpec UpdateConfig".split(" "));
const TASK_KEYS = new Set("ContainerSpec Resources Placement Networks RestartPolicy ForceUpdate".split(" "));
const SERVICE_CONTAINER_KEYS = new Set(
  "Image TTY Command Args Env Dir User Mounts Healthcheck ReadOnly Init CapabilityDrop StopGracePeriod".split(" "),
);
const NETWORK_OPTIONS =
  /^(com\.docker\.network\.bridge\.enable_(icc|ip_masquerade)|com\.docker\.network\.driver\.mtu|encrypted)$/;
const ENDPOINT_KEYS = new Set(["Aliases", "Links", "IPAMConfig"]);
const BUILD_QUERY = new Set("t dockerfile buildargs nocache rm pull target forcerm labels platform".split(" "));
const OWN_LABEL = /^linkspan\.(instance|owner|server|spec|lease|nonce|sealed|bridge|carrier|blank)$/;
const ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** What is wrong with it; undefined where nothing is. */
export async function unlawful(request: SentRequest, ground: Ground): Promise<string | undefined> {
  const [raw = "", query = ""] = request.target.split("?", 2);
  if (!/^[\x21-\x7e]+$/.test(request.target)) return "bytes in the target that belong into no URL";
  if (raw.split("/").some((part) => /^(\.|%2e){1,2}$/i.test(part)) || raw.includes("//")) return "a path that moves";
  if (!admits(ground.level, request.method, raw)) return `not at level ${ground.level}`;
  const path = raw.replace(/^\/v[\d.]+/, "");
  const bytes = request.body.toString("latin1");
  if (ground.canaries.some((canary) => bytes.includes(canary))) return "carries a file that is nobody's business";
  const asked = new URLSearchParams(query);
  const leak = credentials(request, path, asked, ground);
  if (leak) return leak;
  if (request.method !== "POST" && request.method !== "PUT") return undefined;
  if (path === "/build" || path.endsWith("/archive")) return await archive(request, path, asked);
  if (path === "/images/create") return ownImage(asked) ? undefined : "an image from an address";
  if (path === "/images/load" || request.body.length === 0) return undefined;
  const body: Json = JSON.parse(request.body.toString());
  return bodyOf(path, asked, body, ground);
}

/** What helpers that read volumes are made from is the one thing that is not pulled. */
function ownImage(asked: URLSearchParams): boolean {
  return !asked.has("fromSrc") || (asked.get("fromSrc") === "-" && asked.get("repo") === "linkspan/blank");
}

function bodyOf(path: string, asked: URLSearchParams, body: Json, ground: Ground): string | undefined {
  if (path === "/containers/create") return container(asked, body, ground);
  if (path.endsWith("/update") && path.startsWith("/containers/")) return foreign(body, UPDATE_KEYS);
  if (/^\/containers\/[^/]+\/exec$/.test(path))
    return (
      foreign(body, EXEC_KEYS) ?? (body["Privileged"] ? "a privileged command" : strings(body["Cmd"], body["Env"]))
    );
  if (/^\/services\/(create|[^/]+\/update)$/.test(path)) return service(body, ground);
  if (path === "/auth") return undefined;
  if (path === "/volumes/create") return volume(body);
  if (path === "/networks/create") return network(body);
  if (/^\/networks\/[^/]+\/connect$/.test(path)) return foreign(json(body["EndpointConfig"]), ENDPOINT_KEYS);
  if (/^\/exec\/[^/]+\/start$/.test(path) || path.endsWith("/disconnect")) return undefined;
  return Object.keys(body).length === 0 ? undefined : `a body for ${path}, of which nothing is known`;
}

function container(asked: URLSearchParams, body: Json, ground: Ground): string | undefined {
  const host = json(body["HostConfig"]);
  const name = asked.get("name");
  if (name !== null && !ID.test(name)) return "a name that is none";
  if (
    typeof body["Image"] !== "string" ||
    !/^[A-Za-z0-9][\w.:/@-]*$/.test(body["Image"]) ||
    body["Image"].includes("..")
  )
    return "an image that is none";
  if (body["Image"].startsWith("borrowed")) return "an image that has Linkspan's labels";
  if (host["Privileged"]) return "privileged";
  const mode = host["NetworkMode"] ?? "default";
  if (typeof mode !== "string" || mode.includes(":") || HOST_NETWORKS.includes(mode))
    return `the network ${String(mode)}`;
  const own = Object.keys(json(body["Labels"])).find((label) => OWN_LABEL.test(label));
  const { SecurityOpt, ...known } = host;
  if (list(SecurityOpt).some((one) => one !== "no-new-privileges:true")) return "an option that isolates less";
  const driver = String(json(host["LogConfig"])["Type"] ?? "");
  if (!["", "json-file", "local", "none"].includes(driver)) return `logs to ${driver}`;
  return (
    foreign(body, CREATE_KEYS) ??
    foreign(known, HOST_KEYS) ??
    (own ? `the label ${own}` : undefined) ??
    strings(body["Cmd"], body["Entrypoint"], body["Env"]) ??
    list(host["Mounts"])
      .map((mount) => badMount(json(mount), ground))
      .find((reason) => reason !== undefined)
  );
}

/** A path means the same on one machine only: then the service is held to that one. */
function service(body: Json, ground: Ground): string | undefined {
  const task = json(body["TaskTemplate"]);
  const spec = json(task["ContainerSpec"]);
  const mounts = list(spec["Mounts"]).map(json);
  const image = String(spec["Image"]);
  if (!/^[A-Za-z0-9][\w.:/@-]*$/.test(image) || image.includes("..") || image.startsWith("borrowed")) return "an image";
  const constraints = list(json(task["Placement"])["Constraints"]);
  if (mounts.some(({ Type }) => Type === "bind") && !constraints.includes("node.id==node1"))
    return "a path of any node";
  if (JSON.stringify(mounts).includes("{{")) return "a path that is filled in later";
  if (Object.keys(json(body["Labels"])).some((label) => OWN_LABEL.test(label))) return "one of Linkspan's labels";
  return (
    foreign(body, SERVICE_KEYS) ??
    foreign(task, TASK_KEYS) ??
    foreign(spec, SERVICE_CONTAINER_KEYS) ??
    strings(spec["Command"], spec["Args"], spec["Env"]) ??
    mounts.map((mount) => badMount(mount, ground)).find((reason) => reason !== undefined)
  );
}

function badMount(mount: Json, { allowed }: Ground): string | undefined {
  const { Type, Source, Target, BindOptions, ReadOnly, VolumeOptions, ...more } = mount;
  if (Object.keys(json(VolumeOptions)).some((key) => key !== "NoCopy")) return "a volume with a driver of its own";
  const extra = Object.keys(more)[0] ?? Object.keys(json(BindOptions)).find((key) => key !== "Propagation");
  if (extra !== undefined) return `a mount with ${extra}`;
  if (typeof Target !== "string" || !/^\/[^/]/.test(Target) || Target.split("/").includes("..")) return "a mount on /";
  if (typeof ReadOnly !== "boolean") return "a mount that is writable by itself";
  if (typeof Source !== "string") return "a mount of nothing";
  if (Type === "volume") return TRAP_VOLUMES[Source] || !ID.test(Source) ? `the volume ${Source}` : undefined;
  if (Type !== "bind") return `a mount of type ${String(Type)}`;
  if (json(BindOptions)["Propagation"] !== "rprivate") return "a bind that propagates";
  if (realpathSync(Source) !== Source) return `${Source} is a link or goes through one`;
  return allowed.some((folder) => Source === folder || Source.startsWith(`${folder}/`)) ? undefined : `binds ${Source}`;
}

function volume({ Name, Driver, DriverOpts, Labels, ...more }: Json): string | undefined {
  const { type, device, o, ...others } = json(DriverOpts);
  const own = Object.keys(json(Labels)).some((label) => OWN_LABEL.test(label));
  if (own || Object.keys({ ...more, ...others }).length > 0) return "a volume with more than a volume has";
  if (Name !== undefined && !ID.test(String(Name))) return "a volume's name that is none";
  if (Driver !== "local") return `the volume driver ${String(Driver)}`;
  if (type === undefined && device === undefined && o === undefined) return undefined;
  const harmless = type === "tmpfs" && device === "tmpfs" && /^[a-z0-9=,]*$/.test(String(o ?? ""));
  return harmless ? undefined : `a volume of ${JSON.stringify(DriverOpts)}`;
}

function network(body: Json): string | undefined {
  if (body["Driver"] !== "bridge" && body["Driver"] !== "overlay")
    return `the network driver ${String(body["Driver"])}`;
  const option = Object.keys(json(body["Options"])).find((key) => !NETWORK_OPTIONS.test(key));
  const { Driver = "default", Config, ...more } = json(body["IPAM"]);
  if (Driver !== "default" || Object.keys(more).length > 0) return "somebody else's addresses";
  const wide = list(Config).find((pool) => /^(0\.|::\/)|\/[0-7]$/.test(String(json(pool)["Subnet"] ?? "")));
  if (wide) return "a subnet that takes the machine's own routes";
  return foreign(body, NETWORK_KEYS) ?? (option ? `the network option ${option}` : undefined);
}

/** Build contexts and copied files: what the archive itself would do. */
async function archive({ body }: SentRequest, path: string, asked: URLSearchParams): Promise<string | undefined> {
  const odd = path === "/build" ? [...asked.keys()].find((key) => !BUILD_QUERY.has(key)) : undefined;
  if (odd !== undefined) return `the build option ${odd}`;
  if ((asked.get("dockerfile") ?? "").split("/").some((part) => part === "..")) return "a Dockerfile outside";
  const reader = extract();
  reader.end(body);
  for await (const entry of reader) {
    const { name, type = "", mode = 0 } = entry.header;
    entry.resume();
    if (name.startsWith("/") || name.includes("\0") || name.split("/").includes("..")) return `the archive's ${name}`;
    if (!["file", "directory", "symlink"].includes(type)) return `a ${type} in an archive`;
    if (mode & 0o7000) return "set-user-id in an archive";
  }
  return undefined;
}

function credentials({ headers }: SentRequest, path: string, asked: URLSearchParams, { registries }: Ground) {
  const auth = headers["x-registry-auth"];
  if (auth === undefined) return undefined;
  const image = asked.get("fromImage") ?? decodeURIComponent(path.replace(/^\/images\/|\/push$/g, ""));
  const told = Buffer.from(auth, "base64url").toString();
  // Nobody's.
  if (told === "{}") return undefined;
  const known = registries.some((registry) => image.startsWith(`${registry}/`) && told.includes(registry));
  return known ? undefined : `credentials for ${image}`;
}

function foreign(body: Json, known: ReadonlySet<string>): string | undefined {
  const key = Object.keys(body).find((one) => !known.has(one));
  return key === undefined ? undefined : `the field ${key}`;
}

function strings(...lists: unknown[]): string | undefined {
  const wrong = lists.flatMap(list).some((one) => typeof one !== "string" || one.includes("\0"));
  return wrong ? "words that are none" : undefined;
}

function json(value: unknown): Json {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
