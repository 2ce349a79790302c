/** What a compose file comes to: everything resolved, named and joined. */
import { createHash } from "node:crypto";
import type { ParsedFile, ParsedNetwork, ParsedVolume } from "./schema.ts";
import type { Attachment, Dependency, ParsedService } from "./service-schema.ts";

export interface Service extends Omit<ParsedService, "extends" | "env_file" | "environment"> {
  name: string;
  /** The image's, or the one that its build is given. */
  image: string;
  /** Null: without the one that the image has. */
  environment: Record<string, string | null>;
  networks: Record<string, Attachment>;
  depends_on: Record<string, Dependency>;
  /** Containers of it. */
  replicas: number;
}

export interface Network extends Pick<ParsedNetwork, "driver" | "ipam"> {
  /** The engine's name for it. */
  name: string;
  external: boolean;
  driver_opts: Record<string, string>;
  internal: boolean;
  attachable: boolean;
  enable_ipv6: boolean;
  labels: Record<string, string>;
}

export interface Volume extends Pick<ParsedVolume, "driver"> {
  name: string;
  external: boolean;
  driver_opts: Record<string, string>;
  labels: Record<string, string>;
}

export interface Project {
  name: string;
  /** The file's folder, canonical; absent for a text. */
  folder: string | undefined;
  files: string[];
  /** Of the active profiles, by name. */
  services: ReadonlyMap<string, Service>;
  /** Services whose profiles are not active: their containers are no orphans. */
  inactive: ReadonlySet<string>;
  networks: ReadonlyMap<string, Network>;
  volumes: ReadonlyMap<string, Volume>;
  secrets: ReadonlyMap<string, ParsedFile>;
  configs: ReadonlyMap<string, ParsedFile>;
  /** What came out of variables: never told. */
  hidden: ReadonlySet<string>;
  /** Things to know that are no errors. */
  remarks: string[];
}

/** The labels of `docker compose`, by which it and Linkspan see the same project. */
export const LABELS = {
  project: "com.docker.compose.project",
  service: "com.docker.compose.service",
  number: "com.docker.compose.container-number",
  hash: "com.docker.compose.config-hash",
  oneoff: "com.docker.compose.oneoff",
  files: "com.docker.compose.project.config_files",
  folder: "com.docker.compose.project.working_dir",
  image: "com.docker.compose.image",
  dependsOn: "com.docker.compose.depends_on",
  version: "com.docker.compose.version",
  network: "com.docker.compose.network",
  volume: "com.docker.compose.volume",
} as const;

/** The version of `docker compose` whose labels and names these are. */
export const COMPOSE_VERSION = "2.29.0";

export function containerName(project: Project, service: Service, number: number): string {
  return service.container_name ?? `${project.name}-${service.name}-${number}`;
}

const BESIDE = new Set("build depends_on profiles scale replicas pull_policy attach develop deploy".split(" "));

/** Changes where a container of the service would have to be made anew; not with how many there are, or what it waits for. */
export function serviceHash(project: Project, service: Service): string {
  const own = Object.entries(service).filter(([name]) => !BESIDE.has(name));
  const { replicas: _, ...deploy } = service.deploy ?? {};
  const joined = {
    networks: Object.keys(service.networks).map((key) => project.networks.get(key)?.name),
    volumes: (service.volumes ?? []).map(({ source }) => project.volumes.get(source ?? "")?.name),
    files: [
      ...(service.secrets ?? []).map(({ source }) => project.secrets.get(source)),
      ...(service.configs ?? []).map(({ source }) => project.configs.get(source)),
    ],
  };
  return hashOf({ own: Object.fromEntries(own), deploy, joined });
}

export function hashOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value, sorted)).digest("hex");
}

function sorted(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

/** Hides whatever came out of a variable. Short values only where they stand alone: they are in every second word. */
export function hide(text: string, hidden: ReadonlySet<string>): string {
  let out = text;
  for (const value of [...hidden].toSorted((left, right) => right.length - left.length)) {
    if (value.length >= 3) out = out.replaceAll(value, "***");
    else out = out.replace(new RegExp(`(?<![A-Za-z0-9])${escapeRegExp(value)}(?![A-Za-z0-9])`, "g"), "***");
  }
  return out;
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
