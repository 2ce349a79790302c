/** Just enough of compose to run images/sidecar as it is written, without docker compose. */
import { join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import type { HostConfig } from "../../src/docker/container-config.ts";
import { parseBytes } from "../../src/model/units.ts";

const list = v.optional(v.array(v.string()), []);
// Strict: what the examples use and this does not know must not be passed over.
const service = v.strictObject({
  image: v.optional(v.string()),
  command: list,
  entrypoint: list,
  environment: v.optional(v.record(v.string(), v.string()), {}),
  init: v.optional(v.boolean(), false),
  read_only: v.optional(v.boolean(), false),
  cap_drop: list,
  security_opt: list,
  tmpfs: list,
  mem_limit: v.optional(v.string()),
  cpus: v.optional(v.number()),
  pids_limit: v.optional(v.number()),
  restart: v.optional(v.string()),
  volumes: list,
  network_mode: v.optional(v.string()),
  group_add: list,
  depends_on: v.optional(v.record(v.string(), v.object({ condition: v.string() }))),
});
const file = v.strictObject({
  services: v.record(v.string(), service),
  volumes: v.optional(v.record(v.string(), v.null())),
});
type Service = v.InferOutput<typeof service>;

export async function readCompose(path: string): Promise<v.InferOutput<typeof file>> {
  return v.parse(file, parse(await Bun.file(path).text()));
}

interface Place {
  /** Of relative paths. */
  folder: string;
  /** Volumes by their names in the file. */
  volumes: Record<string, string>;
}

export function hostConfig(from: Service, { folder, volumes }: Place): HostConfig {
  const Binds = from.volumes.map((text) => {
    const [source = "", ...rest] = text.split(":");
    return [source.startsWith(".") ? join(folder, source) : (volumes[source] ?? source), ...rest].join(":");
  });
  return {
    Init: from.init,
    ReadonlyRootfs: from.read_only,
    CapDrop: from.cap_drop,
    SecurityOpt: from.security_opt,
    Tmpfs: Object.fromEntries(from.tmpfs.map((text) => [text.split(":")[0] ?? "", text.split(":")[1] ?? ""])),
    Binds,
    ...(from.mem_limit ? { Memory: parseBytes(from.mem_limit) ?? 0 } : {}),
    ...(from.cpus ? { NanoCpus: from.cpus * 1e9 } : {}),
    ...(from.pids_limit ? { PidsLimit: from.pids_limit } : {}),
  };
}
