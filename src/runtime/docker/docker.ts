/** Servers in containers of a Docker engine (or one that speaks its API, such as Podman's). */
import { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { type ContainerInfo, inspectContainer, listContainers, startContainer } from "../../docker/containers.ts";
import { type Endpoint, type Environment, findEndpoint, formatEndpoint, isLocal } from "../../docker/endpoint.ts";
import { Engine } from "../../docker/engine.ts";
import { openLogs } from "../../docker/logs.ts";
import { containerStats } from "../../docker/stats.ts";
import { inspectVolume, type VolumeInfo } from "../../docker/volumes.ts";
import type { ServerSpec } from "../../model/server-spec.ts";
import type { BridgeFiles } from "./bridge-files.ts";
import { removeAbandonedBuilds } from "./builds.ts";
import { bridgeFilesFor } from "./bridge-release.ts";
import { checkSpec, factsOf } from "./check.ts";
import { containerConfig, maskDescription } from "./create.ts";
import { ensureImage, findImage, identifyImage, type ImageSources } from "./images.ts";
import { instanceOf } from "./instance.ts";
import { dockerLeftovers } from "./leftovers.ts";
import { mountsOf, ownerOfBinds } from "./mounts.ts";
import { createNamed, identity } from "./naming.ts";
import { canStart, ensureNetwork, removeNetworks, type ServerNetwork } from "./networks.ts";
import { PythonSource } from "./python-build.ts";
import { Reach } from "./reach.ts";
import { DockerVolumes } from "./volumes.ts";
import { endContainer, failedStart, removeEnded } from "./ends.ts";
import { ensureVolumes, ownVolume } from "./volume-owner.ts";
import { watchContainers } from "./watch.ts";
import { ensureBridgeVolume } from "./inject.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";
import { PYTHON_IMAGE } from "../pypi/ref.ts";
import { Locks } from "../locks.ts";
import { ownerLabel } from "../owner.ts";
import {
  type Facts,
  type Gap,
  type Instance,
  type Labels,
  type Leftovers,
  type LogLine,
  type LogOptions,
  type Outage,
  type Ownership,
  type Report,
  type Runtime,
  type Stats,
  sessionSuffix,
} from "../runtime.ts";

export interface DockerOptions {
  /** The manager's instance id: part of the names of networks and containers. */
  instance: string;
  /** Never mounted into a server. */
  dataDir: string;
  /** The manager's own data directory, where that is another one. */
  home?: string;
  env?: Environment;
  /** The bridge's files where they are not this executable's own. */
  bridge?: typeof bridgeFilesFor;
  /** `always`: publish the bridge's port on the engine host's loopback even where container addresses can be dialled. */
  publish?: "auto" | "always";
  /** What Python servers are built on. */
  pythonImage?: string;
}

/** Containers inspected at the same time by `list`. */
const LIST_WIDTH = 8;
/** Until an engine has said what it is. */
const CONNECT_MS = 10_000;
/** Until a log begins to flow. */
const LOG_OPEN_MS = 10_000;

export class DockerRuntime implements Runtime {
  readonly kind = "docker";
  private readonly endpoint: Endpoint;
  private connected: Promise<Engine> | undefined;
  /** The bridge's volume, once its files were seen to be complete. */
  private verified: VolumeInfo | undefined;
  private bridgeFiles: BridgeFiles | undefined;
  private readonly env: Environment;
  private readonly reach: Reach;
  private readonly locks = new Locks();
  private readonly sources: ImageSources;
  readonly leftovers: Leftovers;
  readonly volumes: DockerVolumes;

  constructor(private readonly options: DockerOptions) {
    this.env = options.env ?? process.env;
    this.endpoint = findEndpoint(this.env);
    this.reach = new Reach(this.endpoint, this.env, options.publish ?? "auto");
    const { dataDir, home = dataDir, pythonImage = PYTHON_IMAGE } = options;
    this.sources = { dataDir: home, python: new PythonSource(pythonImage) };
    const engine = (deadline: Deadline) => this.engine(deadline);
    this.leftovers = dockerLeftovers({
      engine,
      instanceOf: (info) => this.instanceOf(info),
      local: isLocal(this.endpoint),
    });
    this.volumes = new DockerVolumes(engine, (found, deadline) => this.bridgeVolume(found, () => {}, deadline));
  }

  async probe(deadline: Deadline): Promise<Facts> {
    this.connected = undefined;
    const engine = await this.engine(deadline);
    return factsOf(engine, await engine.info(deadline), await this.reach.canDial(engine, deadline));
  }

  check(spec: ServerSpec, facts: Facts): Gap[] {
    return checkSpec(spec, facts);
  }

  async prepare(spec: ServerSpec, report: Report, deadline: Deadline): Promise<void> {
    const engine = await this.engine(deadline);
    const parts = await Promise.allSettled([
      this.bridgeVolume(engine, report, deadline),
      this.locks.run(spec.image, deadline, () => ensureImage(engine, spec, this.sources, report, deadline)),
      this.network(engine, spec, deadline),
    ]);
    // All have ended before one fails the whole: nothing goes on making networks behind the caller's back.
    for (const part of parts) if (part.status === "rejected") throw part.reason;
  }

  async identify(spec: ServerSpec, deadline: Deadline): Promise<string | undefined> {
    return await identifyImage(await this.engine(deadline), spec, this.sources, deadline);
  }

  async create(spec: ServerSpec, owner: Ownership, deadline: Deadline): Promise<Instance> {
    const engine = await this.engine(deadline);
    return this.locks.run(`create ${spec.name}${sessionSuffix(owner)}`, deadline, async () => {
      const adopted = await this.find(spec, owner, deadline);
      if (adopted && (await canStart(engine, adopted.id, deadline))) return adopted;
      // Nobody can start it any more: its network was removed, as a prune does with networks where nothing runs.
      if (adopted) await removeEnded(engine, adopted.id, deadline);
      const image = await findImage(engine, spec, this.sources, deadline);
      if (!image)
        throw new Fault("not-found", `the engine has no image ${spec.image}`, { hint: "prepare pulls or makes it" });
      const bridgeVolume = await this.bridgeVolume(engine, () => {}, deadline);
      const network = await this.network(engine, spec, deadline);
      const mounts = await mountsOf(spec, { protect: this.protectedPaths(), local: this.reach.sharesFiles });
      const fresh = await ensureVolumes(engine, spec.volumes, deadline);
      const publishOn = network.direct ? undefined : this.reach.publishAddress();
      // An image that we made knows no user of its own: whoever owns the folder that is mounted is the best one.
      const user = image.ownsCommand ? await ownerOfBinds(mounts) : undefined;
      const config = containerConfig(spec, owner, user === undefined ? image : { ...image, user }, {
        bridgeVolume,
        network: network.name,
        publishOn,
        mounts,
        tmpfsOwner: !engine.isPodman,
      });
      const id = await createNamed(engine, spec, owner, config, deadline);
      for (const volume of fresh) await ownVolume(engine, volume, id, config.User ?? "", deadline);
      return this.instance(id, deadline);
    });
  }

  async start(id: string, deadline: Deadline): Promise<Instance> {
    const engine = await this.engine(deadline);
    await this.volumes.admit(id, deadline);
    try {
      await startContainer(engine, id, deadline);
    } catch (error) {
      throw await failedStart(engine, id, error);
    }
    return this.instance(id, deadline);
  }

  async stop(id: string, graceMs: number, deadline: Deadline): Promise<void> {
    await endContainer(await this.engine(deadline), id, graceMs, deadline);
  }

  async remove(id: string, deadline: Deadline): Promise<void> {
    await removeEnded(await this.engine(deadline), id, deadline);
  }

  async list(labels: Labels, deadline: Deadline): Promise<Instance[]> {
    const engine = await this.engine(deadline);
    const found = await listContainers(engine, { label: labelFilter(labels) }, deadline);
    const ids = found.map(({ Id }) => Id);
    const instances: Instance[] = [];
    for (let from = 0; from < ids.length; from += LIST_WIDTH) {
      const some = await Promise.all(
        ids.slice(from, from + LIST_WIDTH).map((id) => inspectContainer(engine, id, deadline)),
      );
      for (const info of some) if (info) instances.push(this.instanceOf(info));
    }
    return instances;
  }

  async inspect(id: string, deadline: Deadline): Promise<{ instance: Instance; raw: unknown }> {
    const info = await this.info(id, deadline);
    return { instance: this.instanceOf(info), raw: maskDescription(info) };
  }

  watch(labels: Labels, signal: AbortSignal, outage?: Outage): AsyncIterable<Instance> {
    const source = {
      engine: (deadline: Deadline) => {
        this.connected = undefined;
        return this.engine(deadline);
      },
      list: (deadline: Deadline) => this.list(labels, deadline),
      inspect: async (id: string, deadline: Deadline) => {
        const info = await inspectContainer(await this.engine(deadline), id, deadline);
        return info && this.instanceOf(info);
      },
    };
    return watchContainers(source, { label: labelFilter(labels) }, signal, outage);
  }

  async *logs(id: string, { tail, follow, signal }: LogOptions): AsyncIterable<LogLine> {
    const deadline = Deadline.in(LOG_OPEN_MS, signal);
    const request = { ...(tail === undefined ? {} : { tail }), ...(follow === undefined ? {} : { follow }) };
    for await (const { at, text } of await openLogs(await this.engine(deadline), id, request, deadline, signal))
      yield { at, text };
  }

  async stats(id: string, deadline: Deadline): Promise<Stats> {
    const { instance } = await this.inspect(id, deadline);
    if (instance.state !== "running") throw new Fault("conflict", `${instance.name} does not run`);
    return containerStats(await this.engine(deadline), id, deadline);
  }

  async clean(instance: string, deadline: Deadline): Promise<void> {
    const engine = await this.engine(deadline);
    await removeNetworks(engine, instance, deadline);
    await removeAbandonedBuilds(engine, deadline);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held open: every call has its own connection, streams end with their signals.
  }

  /** Connects at the first use; after a failure the next call tries anew. */
  private async engine(deadline: Deadline): Promise<Engine> {
    // Not the first caller's deadline: others wait for the same answer.
    const connecting = (this.connected ??= Engine.connect(this.endpoint, Deadline.in(CONNECT_MS)));
    try {
      return await deadline.race("asking the engine for its version", connecting);
    } catch (error) {
      if (this.connected === connecting) this.connected = undefined;
      throw error;
    }
  }

  private async bridgeVolume(engine: Engine, report: Report, deadline: Deadline): Promise<string> {
    return this.locks.run("the bridge's volume", deadline, async () => {
      const known = this.verified && (await inspectVolume(engine, this.verified.Name, deadline));
      // A volume of the same name that was made later is not the one whose files were looked at.
      if (known && known.CreatedAt === this.verified?.CreatedAt) return known.Name;
      const { bridge, dataDir } = this.options;
      const source = { url: this.env["LINKSPAN_RELEASE_URL"], dataDir };
      this.bridgeFiles ??= await (bridge ?? bridgeFilesFor)(engine.arch, source, report, deadline);
      this.verified = await ensureBridgeVolume(engine, this.bridgeFiles, report, deadline);
      return this.verified.Name;
    });
  }

  private network(engine: Engine, spec: ServerSpec, deadline: Deadline): Promise<ServerNetwork> {
    const { instance, dataDir, home = dataDir } = this.options;
    const labels = {
      [LABEL.managedBy]: MANAGED_BY,
      [LABEL.instance]: instance,
      [LABEL.owner]: ownerLabel(home === "" ? undefined : home),
    };
    const owner = { instance, labels };
    const work = () => ensureNetwork(engine, owner, spec.network, this.reach.mayDial, deadline);
    return this.locks.run(`the network ${spec.network}`, deadline, work);
  }

  private protectedPaths(): string[] {
    const { dataDir } = this.options;
    return this.endpoint.kind === "socket" ? [dataDir, this.endpoint.path] : [dataDir];
  }

  private async find(spec: ServerSpec, owner: Ownership, deadline: Deadline): Promise<Instance | undefined> {
    const found = await this.list(identity(spec, owner), deadline);
    return found.find(({ state }) => state !== "draining");
  }

  private async info(id: string, deadline: Deadline): Promise<ContainerInfo> {
    const info = await inspectContainer(await this.engine(deadline), id, deadline);
    if (info) return info;
    throw new Fault("not-found", `the engine has no container ${id}`);
  }

  private async instance(id: string, deadline: Deadline): Promise<Instance> {
    return this.instanceOf(await this.info(id, deadline));
  }

  private instanceOf(info: ContainerInfo): Instance {
    return instanceOf(info, formatEndpoint(this.endpoint));
  }
}

function labelFilter(labels: Labels): string[] {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`);
}
