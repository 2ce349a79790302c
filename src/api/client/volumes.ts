/** The routes of volumes as methods. Backups and restores are streams: nobody holds a volume in memory. */
import * as v from "valibot";
import { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { REQUEST_MS } from "../../model/rest.ts";
import {
  ARCHIVE_TYPE,
  type VolumeDetails,
  type VolumeRestored,
  type VolumeView,
  volumeDetails,
  volumeRestored,
  volumeView,
} from "../../model/volumes.ts";
import { connectionFault, type Exchange, exchange, exchangeJson, type ManagerTarget, serverTimeout } from "./http.ts";

interface Waiting {
  /** 60 s when absent. */
  deadline?: Deadline;
}

interface Forcing {
  /** Also a volume that Linkspan has not made, that is in use, or (a restore) that has files in it. */
  force?: boolean;
}

export interface RestoreRequest extends Forcing {
  /** Take symbolic links that lead out of the volume. */
  outwardLinks?: boolean;
  /** Of the content, bytes; the manager's limits when absent. */
  maxSize?: number;
  signal: AbortSignal;
}

/** Every method throws a `Fault`, as those of the client do. */
export class VolumeClient {
  constructor(private readonly target: ManagerTarget) {}

  /** Those that Linkspan has made, or all of the engine. */
  list(all = false, options: Waiting = {}): Promise<VolumeView[]> {
    return exchangeJson(this.target, v.array(volumeView), waiting("/volumes", { all }, "the list of volumes", options));
  }

  inspect(name: string, { force, ...options }: Waiting & Forcing = {}): Promise<VolumeDetails> {
    return exchangeJson(this.target, volumeDetails, waiting(at(name), { force }, `the state of ${name}`, options));
  }

  /** The archive, which is being made while it is read. It may be cut: only its own checksum says that it is whole. */
  async *backup(name: string, { force, signal }: Forcing & { signal: AbortSignal }): AsyncGenerator<Uint8Array> {
    const what = `the backup of ${name}`;
    const request: Exchange = {
      method: "GET",
      path: at(name, "backup"),
      query: { force },
      accept: ARCHIVE_TYPE,
      signal,
      what,
    };
    const { body } = await exchange(this.target, request);
    if (!body) throw new Fault("internal", `the manager's answer to ${what} has no body`);
    try {
      yield* body;
    } catch (error) {
      throw connectionFault(this.target, request, error);
    }
  }

  restore(
    name: string,
    archive: ReadableStream<Uint8Array>,
    { signal, ...query }: RestoreRequest,
  ): Promise<VolumeRestored> {
    const upload = { type: ARCHIVE_TYPE, stream: archive };
    const what = `the restore of ${name}`;
    const request: Exchange = { method: "POST", path: at(name, "restore"), query: { ...query }, upload, signal, what };
    return exchangeJson(this.target, volumeRestored, request);
  }

  async remove(name: string, { force, ...options }: Waiting & Forcing = {}): Promise<void> {
    const request = waiting(at(name), { force }, `the removal of ${name}`, options);
    await exchange(this.target, { ...request, method: "DELETE" });
  }
}

function waiting(path: string, query: Exchange["query"], what: string, { deadline }: Waiting): Exchange {
  const until = deadline ?? Deadline.in(REQUEST_MS);
  return { method: "GET", path, query: { ...query, timeoutMs: serverTimeout(until) }, signal: until.signal, what };
}

function at(name: string, verb?: string): string {
  return `/volumes/${encodeURIComponent(name)}${verb ? `/${verb}` : ""}`;
}
