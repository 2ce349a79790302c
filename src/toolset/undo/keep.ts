/** Puts into a recovery bundle what is needed to make an object again, before it is destroyed. */
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { gzip } from "../../base/gzip.ts";
import { VERSION } from "../../base/version.ts";
import { at, type ContainerInfo } from "../../docker/containers.ts";
import { encodeRef, type ImageInfo } from "../../docker/images.ts";
import { inspectNetwork, type NetworkInfo } from "../../docker/networks.ts";
import type { ServiceInfo } from "../../docker/services.ts";
import type { VolumeInfo } from "../../docker/volumes.ts";
import { writeBackup } from "../../model/backup.ts";
import type { Draft } from "../recovery.ts";
import type { ToolCall } from "../tool.ts";
import { containerConfig, networkConfig, placesOf } from "./recreate.ts";
import type { ContainerStep, ImageStep, NetworkStep, ServiceStep, UndoStep, VolumeStep } from "./steps.ts";

/** Of all files of a bundle: more is destroyed only by hand. */
const BUNDLE_BYTES_MAX = 8 * 1024 ** 3;
/** Changed files and folders of one container. */
const CHANGES_MAX = 1_000;

/**
 * Fills and seals a bundle; resolves with its id. When anything of it fails, nothing may be destroyed: the fault goes to
 * whoever called.
 */
export async function protect(
  tool: string,
  summary: string,
  call: ToolCall,
  collect: (keeper: Keeper) => Promise<UndoStep[]>,
): Promise<string> {
  const draft = await call.recovery.begin(tool);
  try {
    await draft.seal(summary, await collect(new Keeper(draft, call)));
    return draft.id;
  } catch (error) {
    await draft.discard();
    throw error;
  }
}

const changes = v.nullable(v.array(v.object({ Path: v.string(), Kind: v.number() })));
const ADDED = 1;
const DELETED = 2;

export class Keeper {
  private count = 0;
  private bytes = 0;

  constructor(
    private readonly draft: Draft,
    private readonly call: ToolCall,
  ) {}

  async container(info: ContainerInfo): Promise<ContainerStep> {
    const { added, deleted } = await this.changesOf(info);
    const files: ContainerStep["files"] = [];
    for (const path of added) {
      const request = {
        what: `keeping ${path}`,
        method: "GET",
        path: at(info.Id, "archive"),
        query: { path },
      } as const;
      const archive = await (await this.call.engine()).stream(request, this.call.deadline, this.call.signal);
      const folder = path.slice(0, path.lastIndexOf("/")) || "/";
      files.push({ folder, file: await this.store(archive, "tar.gz") });
    }
    const { Status } = info.State;
    return {
      kind: "container",
      name: info.Name.replace(/^\//, ""),
      image_id: typeof info["Image"] === "string" ? info["Image"] : info.Config.Image,
      config: containerConfig(info),
      networks: placesOf(info),
      running: Status === "running" || Status === "restarting" || Status === "paused",
      paused: Status === "paused",
      files,
      deleted,
    };
  }

  network(info: NetworkInfo): NetworkStep {
    return { kind: "network", name: info.Name, config: networkConfig(info) };
  }

  async volume(info: VolumeInfo): Promise<VolumeStep> {
    const options = v.parse(v.fallback(v.record(v.string(), v.string()), {}), info["Options"]);
    const kept: VolumeStep = {
      kind: "volume",
      name: info.Name,
      driver: info.Driver,
      options,
      labels: info.Labels ?? {},
    };
    // A device or another machine's files: they stay where they are.
    if (info.Driver !== "local" || options["device"]) return kept;
    const volumes = await this.call.volumes();
    const facts = { format: 1, volume: info.Name, created: new Date().toISOString(), linkspan: VERSION } as const;
    const archive = gzip(writeBackup(facts, volumes.read(info.Name, this.call.signal)));
    return { ...kept, file: await this.store(Readable.from(archive, { objectMode: false }), "volume.tar.gz", false) };
  }

  /** `whole`: the image goes, and not just a name of it. */
  async image({ Id, RepoTags }: ImageInfo, whole: boolean): Promise<ImageStep> {
    const tags = RepoTags ?? [];
    if (!whole) return { kind: "image", id: Id, tags };
    const [name = Id] = tags;
    const request = {
      what: `keeping the image ${name}`,
      method: "GET",
      path: `/images/${encodeRef(name)}/get`,
    } as const;
    const archive = await (await this.call.engine()).stream(request, this.call.deadline, this.call.signal);
    return { kind: "image", id: Id, tags, file: await this.store(archive, "image.tar.gz") };
  }

  async service({ Spec }: ServiceInfo): Promise<ServiceStep> {
    const engine = await this.call.engine();
    const { Networks, ...TaskTemplate } = Spec.TaskTemplate;
    const places = await Promise.all(
      (Networks ?? []).map(async (place) => {
        const found = await inspectNetwork(engine, place.Target, this.call.deadline);
        return { ...place, Target: found?.Name ?? place.Target };
      }),
    );
    const spec = { ...Spec, TaskTemplate: { ...TaskTemplate, ...(Networks ? { Networks: places } : {}) } };
    return { kind: "service", name: Spec.Name, spec };
  }

  private async changesOf({ Id }: ContainerInfo): Promise<{ added: string[]; deleted: string[] }> {
    const request = { what: "comparing a container with its image", method: "GET", path: at(Id, "changes") } as const;
    const found = (await (await this.call.engine()).call(request, changes, this.call.deadline)) ?? [];
    const deleted = found.filter(({ Kind }) => Kind === DELETED).map(({ Path }) => Path);
    const made = new Set(found.filter(({ Kind }) => Kind === ADDED).map(({ Path }) => Path));
    const parents = new Set(found.map(({ Path }) => parentOf(Path)));
    // A folder that was added is kept as a whole; one that was modified only because of what is in it, not at all.
    const roots = found.filter(
      ({ Path, Kind }) => Kind !== DELETED && !made.has(parentOf(Path)) && (Kind === ADDED || !parents.has(Path)),
    );
    if (roots.length > CHANGES_MAX)
      throw new Fault("too-large", `more than ${CHANGES_MAX} files of the container have changed`, {
        hint: "Keep it as an image with docker commit, and remove it by hand.",
      });
    return { added: roots.map(({ Path }) => Path), deleted };
  }

  private async store(source: Readable, ending: string, pack = true): Promise<string> {
    const file = `${(this.count += 1)}.${ending}`;
    const target = createWriteStream(join(this.draft.folder, file), { mode: 0o600 });
    source.on("data", (chunk: Buffer) => {
      this.bytes += chunk.length;
      this.call.report({ text: "keeping what would be lost", current: this.bytes });
      if (this.bytes > BUNDLE_BYTES_MAX)
        source.destroy(
          new Fault("too-large", `what would be lost has more than ${BUNDLE_BYTES_MAX} bytes`, {
            hint: "Remove less at a time, or by hand.",
          }),
        );
    });
    const options = { signal: this.call.signal };
    await (pack ? pipeline(source, createGzip(), target, options) : pipeline(source, target, options));
    return file;
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
