/** The engine's container calls, each as a small function with a schema for what is used of the answer. */
import type { Readable } from "node:stream";
import * as v from "valibot";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { firstEntry, type ReadEntry } from "./archive.ts";
import type { ContainerConfig } from "./container-config.ts";
import type { Engine } from "./engine.ts";

/** An engine that takes longer to create a container does not create it any more. */
const CREATE_MS = 60_000;

const strings = v.optional(v.nullable(v.array(v.string())));
const stringMap = v.optional(v.nullable(v.record(v.string(), v.string())));
const text = v.optional(v.string(), "");

/** What Linkspan reads of a container's description; everything else is kept as it came. */
const containerInfo = v.looseObject({
  Id: v.string(),
  Name: v.string(),
  Created: v.string(),
  State: v.looseObject({
    Status: v.string(),
    OOMKilled: v.optional(v.boolean(), false),
    ExitCode: v.optional(v.number(), 0),
    Error: text,
    StartedAt: text,
    FinishedAt: text,
    Health: v.optional(v.nullable(v.looseObject({ Status: v.string() }))),
  }),
  Config: v.looseObject({ Env: strings, Labels: stringMap, Image: text, Tty: v.optional(v.boolean(), false) }),
  HostConfig: v.looseObject({ Memory: v.optional(v.number(), 0), NetworkMode: text }),
  NetworkSettings: v.looseObject({
    Ports: v.optional(
      v.nullable(v.record(v.string(), v.nullable(v.array(v.looseObject({ HostIp: text, HostPort: text }))))),
    ),
    Networks: v.optional(v.nullable(v.record(v.string(), v.looseObject({ IPAddress: text, NetworkID: text })))),
  }),
});
export type ContainerInfo = v.InferOutput<typeof containerInfo>;

const created = v.object({ Id: v.string(), Warnings: v.optional(v.nullable(v.array(v.string())), []) });
const ended = v.object({ StatusCode: v.number() });
const listed = v.array(
  v.object({
    Id: v.string(),
    /** Unix seconds by the engine's clock. */
    Created: v.number(),
    Names: strings,
    Labels: stringMap,
    State: text,
    /** As it was named, and what it is. */
    Image: text,
    ImageID: text,
  }),
);

/** Creates without starting. Faults: `conflict` where the name is taken, `not-found` where the image is absent. */
export async function createContainer(
  engine: Engine,
  name: string | undefined,
  config: ContainerConfig,
  deadline: Deadline,
  platform?: string,
): Promise<string> {
  const what = `creating the container ${name ?? `from ${config.Image}`}`;
  const request = {
    what,
    method: "POST",
    path: "/containers/create",
    query: { name, platform },
    body: config,
  } as const;
  // The engine goes on with what was given up: whoever asked would never learn the id, and the container would stay.
  const creating = engine.call(request, created, Deadline.in(CREATE_MS));
  try {
    return (await deadline.race(what, creating)).Id;
  } catch (error) {
    const tooLate = creating.then(({ Id }) => removeContainer(engine, Id, Deadline.in(CREATE_MS)));
    tooLate.catch(() => {});
    throw error;
  }
}

/** `undefined` where there is no such container. */
export async function inspectContainer(
  engine: Engine,
  id: string,
  deadline: Deadline,
): Promise<ContainerInfo | undefined> {
  return orAbsent(
    engine.call(
      { what: `inspecting the container ${id}`, method: "GET", path: at(id, "json") },
      containerInfo,
      deadline,
    ),
  );
}

export type Filters = Record<string, string[]>;

/** Containers in every state that fit the filters (`label`, `name`, `status`, …). */
export async function listContainers(engine: Engine, filters: Filters, deadline: Deadline) {
  const query = { all: true, filters: JSON.stringify(filters) };
  return engine.call({ what: "listing containers", method: "GET", path: "/containers/json", query }, listed, deadline);
}

/** Starting what runs already is no error. */
export async function startContainer(engine: Engine, id: string, deadline: Deadline): Promise<void> {
  await engine.act({ what: `starting the container ${id}`, method: "POST", path: at(id, "start") }, deadline);
}

export async function unpauseContainer(engine: Engine, id: string, deadline: Deadline): Promise<void> {
  await engine.act({ what: `resuming the container ${id}`, method: "POST", path: at(id, "unpause") }, deadline);
}

/** `false` where it does not run or does not exist: then there is nothing to signal. */
export async function signalContainer(
  engine: Engine,
  id: string,
  signal: "SIGTERM" | "SIGKILL",
  deadline: Deadline,
): Promise<boolean> {
  const request = {
    what: `sending ${signal} to the container ${id}`,
    method: "POST",
    path: at(id, "kill"),
    query: { signal },
  } as const;
  try {
    await engine.act(request, deadline);
    return true;
  } catch (error) {
    if (error instanceof Fault && (error.kind === "not-found" || error.kind === "conflict")) return false;
    throw error;
  }
}

/** Resolves with the exit code when it does not run any more, with `undefined` when it does not exist. */
export async function waitForEnd(engine: Engine, id: string, deadline: Deadline): Promise<number | undefined> {
  const query = { condition: "not-running" };
  const answer = await orAbsent(
    engine.call(
      { what: `waiting for the container ${id} to end`, method: "POST", path: at(id, "wait"), query, patient: true },
      ended,
      deadline,
    ),
  );
  return answer?.StatusCode;
}

/** Removes with force and with its anonymous volumes. Removing what is gone, or going, is no error. */
export async function removeContainer(engine: Engine, id: string, deadline: Deadline): Promise<void> {
  const request = {
    what: `removing the container ${id}`,
    method: "DELETE",
    path: at(id),
    query: { force: true, v: true },
  } as const;
  try {
    await engine.act(request, deadline);
  } catch (error) {
    const gone = error instanceof Fault && (error.kind === "not-found" || /already in progress/.test(error.message));
    if (!gone) throw error;
  }
}

/** Unpacks an archive at a path of the container's file system or of a volume mounted in it. */
export async function putArchive(
  engine: Engine,
  id: string,
  path: string,
  archive: Readable,
  deadline: Deadline,
): Promise<void> {
  const what = `copying files to ${path} of the container ${id}`;
  // The engine would wait for the rest, and keep the container from being removed.
  const broken = new AbortController();
  let reason: unknown;
  archive.once("error", (error) => {
    reason = error;
    broken.abort();
  });
  try {
    const request = { what, method: "PUT", path: at(id, "archive"), query: { path }, archive, patient: true } as const;
    await engine.act(request, deadline.endedBy(broken.signal));
  } catch (error) {
    throw reason ?? error;
  }
}

/** The file or folder at a path: its header and, of a file, at most `bytesMax` bytes. `undefined` where there is none. */
export async function readPath(
  engine: Engine,
  id: string,
  path: string,
  bytesMax: number,
  deadline: Deadline,
): Promise<ReadEntry | undefined> {
  const what = `reading ${path} of the container ${id}`;
  const ended = new AbortController();
  const archive = await orAbsent(
    engine.stream({ what, method: "GET", path: at(id, "archive"), query: { path } }, deadline, ended.signal),
  );
  if (!archive) return undefined;
  try {
    return await deadline.race(what, firstEntry(archive, bytesMax));
  } finally {
    ended.abort();
  }
}

export function at(id: string, action?: string): string {
  return `/containers/${encodeURIComponent(id)}${action ? `/${action}` : ""}`;
}

/** The value, or `undefined` where the engine says that the thing does not exist. */
export async function orAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Fault && error.kind === "not-found") return undefined;
    throw error;
  }
}
