/** The volumes of an engine, as a runtime offers them. */
import type { Deadline } from "../base/deadline.ts";
import type { TarPart } from "../base/tar.ts";
import type { Labels } from "./runtime.ts";

/** A container (or task) that has a volume. */
export interface VolumeUser {
  container: string;
  /** Where it is a server of some manager. */
  server?: string;
  /** Paused counts: it goes on with what it has in memory. */
  running: boolean;
  readOnly: boolean;
}

/** Files of the engine that outlive every server. */
export interface StoredVolume {
  name: string;
  driver: string;
  /** Unix milliseconds, where the engine says. */
  created?: number;
  labels: Labels;
  /** Whether it was made for a server by Linkspan. */
  managed: boolean;
  usedBy: VolumeUser[];
}

/** What can be done with volumes, without asking whether it should be: that is the manager's part. */
export interface VolumeStore {
  list(deadline: Deadline): Promise<StoredVolume[]>;
  /** `undefined` where there is none. */
  find(name: string, deadline: Deadline): Promise<StoredVolume | undefined>;
  /** Bytes on the disk; `undefined` where the engine cannot say. */
  measure(name: string, deadline: Deadline): Promise<number | undefined>;
  /** Makes one that is `managed`. */
  create(name: string, deadline: Deadline): Promise<void>;
  /** The files below `volume/`, as a walk in byte order. The signal ends it. Fault `engine-failed` where the walk breaks off. */
  read(name: string, signal: AbortSignal): AsyncIterable<TarPart>;
  /**
   * Puts the files in the place of all that the volume has, at once: when anything fails, the parts themselves
   * included, it keeps what it had. Servers that would use it are not started meanwhile.
   */
  replace(name: string, parts: AsyncIterable<TarPart>, signal: AbortSignal): Promise<void>;
  /** Fault `conflict` while a container has it, running or not. */
  remove(name: string, deadline: Deadline): Promise<void>;
}
