/** What the tests of the Docker runtime share: a manager's worth of it, servers of it, and nothing left afterwards. */
import { afterAll } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { Deadline } from "../../src/base/deadline.ts";
import { inspectContainer, type ContainerInfo } from "../../src/docker/containers.ts";
import { removeVolume } from "../../src/docker/volumes.ts";
import { serverSpec, type ServerBodyInput, type ServerSpec } from "../../src/model/server-spec.ts";
import type { DockerOptions, DockerRuntime } from "../../src/runtime/docker/docker.ts";
import { LABEL, MANAGED_BY } from "../../src/runtime/labels.ts";
import type { Address, Instance, Ownership } from "../../src/runtime/runtime.ts";
import { configure } from "./contract-client.ts";
import { open } from "./docker-subject.ts";
import { engine } from "./engine.ts";
import { until } from "./until.ts";

export interface Running {
  spec: ServerSpec;
  instance: Instance;
  addresses: Address[];
  token: string;
}

/** One bench for all tests of a file: the engine takes longest for networks. Opened at its first use. */
export function sharedBench(): () => Promise<DockerBench> {
  let opened: Promise<DockerBench> | undefined;
  afterAll(async () => {
    await (await opened)?.[Symbol.asyncDispose]();
  }, 60_000);
  return () => {
    opened ??= DockerBench.open();
    return opened;
  };
}

export class DockerBench implements AsyncDisposable {
  readonly instance = randomBytes(4).toString("hex");
  readonly token = randomBytes(32).toString("base64url");
  private readonly volumes: string[] = [];

  private constructor(
    readonly runtime: DockerRuntime,
    readonly folder: string,
  ) {}

  static async open(options: Partial<DockerOptions> = {}): Promise<DockerBench> {
    const folder = await mkdtemp(join(tmpdir(), "linkspan-test-docker-"));
    const instance = randomBytes(4).toString("hex");
    const bench = new DockerBench(open({ instance, dataDir: join(folder, "data"), ...options }), folder);
    return Object.assign(bench, { instance });
  }

  deadline(ms = 60_000): Deadline {
    return Deadline.in(ms);
  }

  spec(body: ServerBodyInput): ServerSpec {
    return v.parse(serverSpec, { name: `s${randomBytes(3).toString("hex")}`, ...body });
  }

  owner(spec: ServerSpec): Ownership {
    const labels = {
      [LABEL.managedBy]: MANAGED_BY,
      [LABEL.instance]: this.instance,
      [LABEL.server]: spec.name,
      [LABEL.nonce]: randomBytes(8).toString("hex"),
    };
    const specHash = createHash("sha256").update(JSON.stringify(spec)).digest("hex");
    const tokenSha256 = createHash("sha256").update(this.token).digest("hex");
    return { instance: this.instance, specHash, tokenSha256, labels, configured: false, leaseMs: 0 };
  }

  /** A volume's name that is removed at the end. */
  volume(): string {
    const name = `linkspan-test-${this.instance}-${this.volumes.length}`;
    this.volumes.push(name);
    return name;
  }

  async created(body: ServerBodyInput): Promise<{ spec: ServerSpec; instance: Instance }> {
    const spec = this.spec(body);
    await this.runtime.prepare(spec, () => {}, this.deadline());
    return { spec, instance: await this.runtime.create(spec, this.owner(spec), this.deadline()) };
  }

  /** Until its bridge answers. */
  async running(body: ServerBodyInput): Promise<Running> {
    const { spec, instance } = await this.created(body);
    const { addresses } = await this.runtime.start(instance.id, this.deadline());
    await until(`the bridge of ${instance.name} at ${JSON.stringify(addresses)}`, () =>
      configure(addresses, this.token, {}).then(
        () => true,
        () => false,
      ),
    );
    return { spec, instance, addresses, token: this.token };
  }

  /** The engine's own word. */
  async description(id: string): Promise<ContainerInfo> {
    const info = await inspectContainer(engine(), id, this.deadline());
    if (!info) throw new Error(`there is no container ${id}`);
    return info;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ours = { [LABEL.instance]: this.instance };
    for (const { id } of await this.runtime.list(ours, this.deadline())) await this.runtime.remove(id, this.deadline());
    await this.runtime.clean(this.instance, this.deadline());
    for (const name of this.volumes) await removeVolume(engine(), name, this.deadline());
    await rm(this.folder, { recursive: true, force: true });
  }
}
