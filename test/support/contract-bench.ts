/** What the tests of the runtime contract share: a registry with the contract server, a runtime, and instances of it. */
import { test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { Deadline } from "../../src/base/deadline.ts";
import { serverSpec, type ServerBodyInput, type ServerSpec } from "../../src/model/server-spec.ts";
import { LABEL, MANAGED_BY } from "../../src/runtime/labels.ts";
import type { Address, Instance, Ownership, Runtime, RuntimeKind } from "../../src/runtime/runtime.ts";
import { openRuntime, type RuntimeOptions } from "../../src/runtime/select.ts";
import { specHash } from "../../src/runtime/spec-hash.ts";
import { configure } from "./contract-client.ts";
import { type Registry, startRegistry } from "./npm-registry.ts";
import { until } from "./until.ts";

/** An instance and the engine's own description of it. */
export interface Seen {
  instance: Instance;
  raw: unknown;
}

/** A runtime under test, and what only its engine can do. */
export interface Subject {
  kind: RuntimeKind;
  /** Path of a module with `open(options)`, where the runtime needs more than `openRuntime` gives it. */
  module?: string;
  /** Ends what runs behind the runtime's back, as a human with `docker kill` or `kill -9` does. */
  killOutside(seen: Seen): Promise<void>;
  /** Removes it behind the runtime's back. */
  removeOutside(seen: Seen): Promise<void>;
  /** Names of whatever is left of the owner on the engine: instances, networks, processes, folders. */
  leftovers(options: RuntimeOptions): Promise<string[]>;
  /** For each test, and for each call in it. */
  timeoutMs?: number;
  /** Declares a test; where the engine may be missing, one that is then skipped loudly. */
  test?: (name: string, body: () => Promise<void>, timeoutMs: number) => void;
}

export interface Owner extends Ownership {
  token: string;
}

export interface Made {
  spec: ServerSpec;
  owner: Owner;
  instance: Instance;
}

const PACKAGE = "linkspan-contract-server";
const VARIABLES = ["NPM_CONFIG_REGISTRY", "BUN_INSTALL_CACHE_DIR"] as const;
const key = randomBytes(32);

/** As a manager that knows nothing yet. */
export async function openSubject(
  { kind, module }: Pick<Subject, "kind" | "module">,
  options: RuntimeOptions,
): Promise<Runtime> {
  return module === undefined ? openRuntime(kind, options) : (await import(module)).open(options);
}

export class ContractBench {
  readonly timeoutMs: number;
  readonly instance = randomBytes(4).toString("hex");
  private opened: { runtime: Runtime; registry: Registry; folder: string } | undefined;
  private readonly saved = new Map(VARIABLES.map((name) => [name, process.env[name]]));
  private count = 0;
  /** Whether a test has run, and so whether the engine is there. */
  private used = false;

  constructor(readonly subject: Subject) {
    this.timeoutMs = subject.timeoutMs ?? 30_000;
  }

  readonly test = (name: string, body: () => Promise<void>): void => {
    const declare = this.subject.test ?? test;
    declare(
      name,
      () => {
        this.used = true;
        return body();
      },
      this.timeoutMs,
    );
  };

  get runtime(): Runtime {
    return this.parts.runtime;
  }

  get options(): RuntimeOptions {
    return { instance: this.instance, dataDir: join(this.parts.folder, "data") };
  }

  /** What the registry was asked for. */
  get requests(): readonly string[] {
    return this.parts.registry.requests;
  }

  async setUp(): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), "linkspan-test-contract-"));
    const script = await Bun.file(join(import.meta.dir, "../fixtures/contract-server.js")).text();
    const version = { manifest: { type: "module", bin: "server.js" }, files: { "server.js": script } };
    const registry = await startRegistry({ [PACKAGE]: { versions: { "1.0.0": version } } });
    process.env.NPM_CONFIG_REGISTRY = registry.url;
    process.env.BUN_INSTALL_CACHE_DIR = join(folder, "cache");
    const runtime = await this.openIn(folder);
    this.opened = { runtime, registry, folder };
  }

  async tearDown(): Promise<void> {
    for (const [name, value] of this.saved) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    const { runtime, registry, folder } = this.parts;
    if (this.used) {
      await this.removeAll();
      await runtime.clean(this.instance, this.deadline());
    }
    await runtime[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }

  async removeAll(): Promise<void> {
    for (const { id } of await this.ours()) await this.runtime.remove(id, this.deadline());
  }

  /** Another runtime over the same engine and data directory. */
  open(): Promise<Runtime> {
    return this.openIn(this.parts.folder);
  }

  deadline(ms = this.timeoutMs): Deadline {
    return Deadline.in(ms);
  }

  spec(body: Partial<ServerBodyInput> = {}): ServerSpec {
    this.count += 1;
    return v.parse(serverSpec, { name: `contract-${this.count}`, image: `npm:${PACKAGE}@1.0.0`, ...body });
  }

  /** A new owner of the spec: another token and nonce each time. */
  owner(spec: ServerSpec): Owner {
    const token = randomBytes(32).toString("base64url");
    const hash = specHash(spec, key);
    const labels = {
      [LABEL.managedBy]: MANAGED_BY,
      [LABEL.instance]: this.instance,
      [LABEL.server]: spec.name,
      [LABEL.spec]: hash,
      [LABEL.nonce]: randomBytes(16).toString("hex"),
      ...spec.labels,
    };
    const tokenSha256 = createHash("sha256").update(token).digest("hex");
    const configured = Object.keys(spec.secrets).length > 0;
    return { instance: this.instance, token, specHash: hash, tokenSha256, labels, configured, leaseMs: 0 };
  }

  async created(body: Partial<ServerBodyInput> = {}): Promise<Made> {
    const spec = this.spec(body);
    const owner = this.owner(spec);
    await this.runtime.prepare(spec, () => {}, this.deadline());
    return { spec, owner, instance: await this.runtime.create(spec, owner, this.deadline()) };
  }

  async started(body: Partial<ServerBodyInput> = {}): Promise<Made & { addresses: Address[] }> {
    const made = await this.created(body);
    const instance = await this.runtime.start(made.instance.id, this.deadline());
    return { ...made, instance, addresses: await this.dialable(instance, made.owner) };
  }

  /** "Running" is the engine's word; when the bridge answers is seen by dialling. Secrets are handed over on the way. */
  dialable(running: Instance, owner: Owner, secrets: Record<string, string> = {}): Promise<Address[]> {
    return until(`the bridge of ${running.name}`, async () => {
      const { addresses } = await this.current(running.id);
      const configured = configure(addresses, owner.token, secrets);
      return configured.then(
        () => addresses,
        () => undefined,
      );
    });
  }

  async current(id: string): Promise<Instance> {
    return (await this.seen(id)).instance;
  }

  seen(id: string): Promise<Seen> {
    return this.runtime.inspect(id, this.deadline());
  }

  ours(): Promise<Instance[]> {
    return this.runtime.list({ [LABEL.instance]: this.instance }, this.deadline());
  }

  private openIn(folder: string): Promise<Runtime> {
    const options = { instance: this.instance, dataDir: join(folder, "data") };
    return openSubject(this.subject, options);
  }

  private get parts() {
    if (!this.opened) throw new Error("the bench is not set up");
    return this.opened;
  }
}
