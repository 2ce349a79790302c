/**
 * The one interface to what runs servers: Docker, local processes, and later Swarm and Kubernetes.
 *
 * Rules that every runtime keeps, and that the contract suite checks:
 * - every call has a deadline and ends with a `timeout` fault when it passes;
 * - `stop` and `remove` are idempotent; `create` is idempotent by (owner, server, spec hash);
 * - ownership is in labels, so a manager that knows nothing finds its instances again with `list`;
 * - a setting that the engine would drop or weaken is a `Gap`, never silence.
 */
import type { Deadline } from "../base/deadline.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import type { VolumeStore } from "./volume-store.ts";

export type RuntimeKind = "docker" | "process";

/** Where a bridge can be dialled; the dialler takes the first that it can use. */
export type Address = { kind: "tcp"; host: string; port: number } | { kind: "unix"; path: string };

/** `paused`: somebody froze it; it answers nothing until it is resumed. `lost`: it does not exist any more. */
export type InstanceState = "pending" | "starting" | "running" | "paused" | "draining" | "ended" | "lost";

export type Labels = Record<string, string>;

/** A spec that runs. */
export interface Instance {
  /** Stable: a container's id, a service's id. */
  id: string;
  /** What people see: the container's name. */
  name: string;
  /** Changes when the engine replaces or restarts what runs. */
  incarnation: string;
  specHash: string;
  labels: Labels;
  node: string;
  state: InstanceState;
  /** Empty unless it runs. */
  addresses: Address[];
  /** Start of the incarnation, unix milliseconds; creation where it never started. */
  since: number;
  exit?: { code: number; reason: "finished" | "oom" | "crash" | "killed"; message: string };
  /** The engine's own health check, where there is one. */
  health?: "starting" | "healthy" | "unhealthy";
  /** When the kernel last killed a process in it for memory, unix milliseconds; only `watch` sees that of a child. */
  oomAt?: number;
  /** Bytes; absent where there is none, or it is not known. */
  memoryLimitBytes?: number;
}

/** Who owns an instance and how its bridge knows its owner. */
export interface Ownership {
  /** The manager's instance id: `[a-z0-9]{8}`; part of every name that the manager makes. */
  instance: string;
  specHash: string;
  /** Hex SHA-256 of the bridge's token. The token itself never enters a container. */
  tokenSha256: string;
  /** All labels to set, those of features.md §2 among them. */
  labels: Labels;
  /** The one session that it is for: part of its name and of what makes it the same. Absent where sessions share it. */
  session?: string;
  /** Whether the bridge waits for a `configure` frame before it starts servers (the spec has secrets). */
  configured: boolean;
  /** The bridge ends itself when nobody who owns it was heard of for so long; 0: never. */
  leaseMs: number;
}

/** A setting that this engine would weaken or cannot do. */
export interface Gap {
  field: string;
  node?: string;
  severity: "weaker" | "impossible";
  message: string;
  hint: string;
}

export interface Facts {
  /** `20.10.24`, or the version of the process runtime. */
  version: string;
  /** The API version agreed with the engine. */
  api: string;
  os: string;
  /** Architecture in Bun's words: `x64`, `arm64`. */
  arch: string;
  /** Whether container addresses can be dialled from here. */
  direct: boolean;
  warnings: string[];
  /** What of a spec this engine does not enforce, as it says itself: `limits.memory`, `limits.cpus`, … */
  unenforced?: string[];
}

/** Progress of long work (pull, build, copy). `current`/`total` in bytes or steps, absent where unknown. */
export interface Progress {
  step: string;
  detail?: string;
  current?: number;
  total?: number;
}
export type Report = (progress: Progress) => void;

export interface LogLine {
  /** Unix milliseconds. */
  at: number;
  text: string;
}

export interface LogOptions {
  /** Last lines to begin with; all that is kept when absent. */
  tail?: number;
  follow?: boolean;
  signal: AbortSignal;
}

export interface Stats {
  /** Bytes charged without the page cache's inactive part, as `docker stats` shows it. */
  memoryBytes: number;
  memoryLimitBytes: number;
  /** 100 is one full CPU. */
  cpuPercent: number;
  pids: number;
}

/** A network that some manager has made. */
export interface OwnedNetwork {
  id: string;
  name: string;
  labels: Labels;
  /** Ids of the containers that are attached to it and run. */
  users: string[];
}

/** What there can be on an engine beside the instances that `list` finds. */
export interface Leftovers {
  networks(deadline: Deadline): Promise<OwnedNetwork[]>;
  /** Removing what is gone is no error; fault `conflict` or `forbidden` when it is in use. */
  removeNetwork(id: string, deadline: Deadline): Promise<void>;
  /**
   * Containers of that image that no manager has made. Fault `unsupported` where the processes that they may have been
   * made for cannot be seen.
   */
  strangers(image: string, deadline: Deadline): Promise<Instance[]>;
}

/** Why the engine does not answer now; undefined when it does. */
export type Outage = (reason: string | undefined) => void;

export interface Runtime extends AsyncDisposable {
  readonly kind: RuntimeKind;
  /** Whether the engine answers, and what it is. Faults: `unreachable` (none there), `forbidden` (no permission), `unsupported` (too old). */
  probe(deadline: Deadline): Promise<Facts>;
  /** Pure: what of the spec this engine would weaken or cannot do. */
  check(spec: ServerSpec, facts: Facts): Gap[];
  /** Makes ready whatever the spec needs on the engine: the bridge, the image, networks. Idempotent. */
  prepare(spec: ServerSpec, report: Report, deadline: Deadline): Promise<void>;
  /**
   * What the spec would be run from if it were started now, as far as it is here already: an image's digest, a package's
   * version and integrity. Undefined where it would have to be fetched first.
   */
  identify(spec: ServerSpec, deadline: Deadline): Promise<string | undefined>;
  /** Creates, without starting. Adopts an instance of the same owner, server and spec hash. */
  create(spec: ServerSpec, owner: Ownership, deadline: Deadline): Promise<Instance>;
  /** Resolves when the engine says it runs; whether the bridge answers is the caller's question. */
  start(id: string, deadline: Deadline): Promise<Instance>;
  /** Asks to end and resolves when it has; forced after `graceMs`. */
  stop(id: string, graceMs: number, deadline: Deadline): Promise<void>;
  remove(id: string, deadline: Deadline): Promise<void>;
  /** Every instance that carries all of the labels, whatever its state. */
  list(labels: Labels, deadline: Deadline): Promise<Instance[]>;
  /** One instance with the engine's own description of it (for `linkspan inspect`), environment values masked. */
  inspect(id: string, deadline: Deadline): Promise<{ instance: Instance; raw: unknown }>;
  /**
   * Levels, not edges: every change yields the instance as it is then; a removed one as `lost`. Goes on when the engine goes
   * away; `outage` hears of it.
   */
  watch(labels: Labels, signal: AbortSignal, outage?: Outage): AsyncIterable<Instance>;
  /** The server's stderr and the bridge's own log. */
  logs(id: string, options: LogOptions): AsyncIterable<LogLine>;
  /** Absent where servers have no volumes of their own. */
  readonly volumes?: VolumeStore;
  /** Absent where the engine cannot say. */
  stats?(id: string, deadline: Deadline): Promise<Stats>;
  /** Absent where an engine knows neither networks nor images. */
  readonly leftovers?: Leftovers;
  /** Removes what the owner has made on the engine besides instances and shared caches: its networks. Idempotent. */
  clean(instance: string, deadline: Deadline): Promise<void>;
}

/** What the session adds to a name: nothing where sessions share what is named. No engine takes a colon in one. */
export function sessionSuffix({ session }: Pick<Ownership, "session">): string {
  return session === undefined ? "" : `-${session.replaceAll(":", "_")}`;
}
