/** The engine's image calls: inspect, pull, import, build, tag, remove. */
import type { Readable } from "node:stream";
import * as v from "valibot";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { orAbsent } from "./containers.ts";
import type { Engine } from "./engine.ts";
import { readProgress, type ReportStep } from "./progress.ts";

/**
 * An image's name or id, by the grammar of references (distribution/reference): never something that could be an option,
 * or, as a part of the engine's path, lead to another call.
 */
export const IMAGE_REF =
  /^[A-Za-z0-9][A-Za-z0-9._-]*(:\d{1,5}(?=\/))?(\/[A-Za-z0-9][A-Za-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[a-z0-9]{1,32}:[0-9a-fA-F]{32,128})?$/;

const strings = v.optional(v.nullable(v.array(v.string())));

const imageInfo = v.looseObject({
  Id: v.string(),
  Architecture: v.optional(v.string(), ""),
  Os: v.optional(v.string(), ""),
  Created: v.optional(v.string(), ""),
  RepoTags: strings,
  RepoDigests: strings,
  Config: v.optional(
    v.nullable(
      v.looseObject({
        Entrypoint: strings,
        Cmd: strings,
        Env: strings,
        User: v.optional(v.string(), ""),
        WorkingDir: v.optional(v.string(), ""),
        Labels: v.optional(v.nullable(v.record(v.string(), v.string()))),
        Volumes: v.optional(v.nullable(v.record(v.string(), v.unknown()))),
      }),
    ),
  ),
});
export type ImageInfo = v.InferOutput<typeof imageInfo>;

const listed = v.array(
  v.object({ Id: v.string(), Created: v.number(), Labels: v.optional(v.nullable(v.record(v.string(), v.string()))) }),
);

/** `undefined` where the engine has no such image. */
export async function inspectImage(engine: Engine, ref: string, deadline: Deadline): Promise<ImageInfo | undefined> {
  return orAbsent(
    engine.call(
      { what: `inspecting the image ${ref}`, method: "GET", path: `/images/${encodeRef(ref)}/json` },
      imageInfo,
      deadline,
    ),
  );
}

/** Images that carry all of the labels (`key=value`), newest first. */
export async function listImages(engine: Engine, labels: string[], deadline: Deadline) {
  const query = { filters: JSON.stringify({ label: labels }) };
  const images = await engine.call(
    { what: "listing images", method: "GET", path: "/images/json", query },
    listed,
    deadline,
  );
  return images.toSorted((left, right) => right.Created - left.Created);
}

/** A pull in which nothing moves for so long has stalled: the engine itself would wait for its registry for ever. */
const STALL_MS = 120_000;

/**
 * Pulls with the progress of all layers summed up. Faults: `not-found`, `unauthenticated`, `exhausted`, `unreachable`,
 * `timeout`, also when nothing comes for `stallMs`.
 */
export async function pullImage(
  engine: Engine,
  ref: string,
  registryAuth: string | undefined,
  report: ReportStep,
  deadline: Deadline,
  stallMs = STALL_MS,
  platform?: string,
): Promise<void> {
  const what = `pulling the image ${ref}`;
  const ended = new AbortController();
  // A tag must be named: without one the engine pulls every tag that there is.
  const tag = /[:@][^/]*$/.test(ref) ? undefined : "latest";
  const request = { what, method: "POST", path: "/images/create", query: { fromImage: ref, tag, platform } } as const;
  const auth = registryAuth ? { registryAuth } : {};
  const opening = deadline.within(stallMs);
  try {
    const stream = await engine.stream({ ...request, ...auth }, opening, ended.signal);
    await deadline.race(what, readProgress(stream, what, report, stallMs));
  } catch (error) {
    if (!(error instanceof Fault) || error.kind !== "timeout" || deadline.passed) throw error;
    throw new Fault("timeout", `${what}: nothing has come from the registry for ${Math.round(stallMs / 1000)} s`, {
      hint: "the registry or the way to it has stalled: try again, and look at the engine's proxy and network",
    });
  } finally {
    ended.abort();
  }
}

/**
 * An image with one layer, the archive; resolves with its id. `changes` are Dockerfile instructions such as `LABEL a=b`.
 * Use the id and not the reference: Podman files what it imports under `localhost/`, and looks for it at Docker Hub.
 */
export async function importImage(
  engine: Engine,
  archive: Readable,
  ref: string,
  changes: string[],
  deadline: Deadline,
): Promise<string> {
  const what = `making the image ${ref}`;
  const { repo, tag } = splitRef(ref);
  const ended = new AbortController();
  const request = {
    what,
    method: "POST",
    path: "/images/create",
    query: { fromSrc: "-", repo, tag, changes },
    archive,
  } as const;
  const stream = await engine.stream(request, deadline, ended.signal);
  try {
    const id = await deadline.race(
      what,
      readProgress(stream, what, () => {}),
    );
    if (id) return id;
    throw new Fault("engine-failed", `${what}: the engine does not say the image's id`);
  } finally {
    ended.abort();
  }
}

/** For `changes`. Quoted only where it must be: Podman would keep the quotes. It takes one pair in each instruction, too. */
export function labelInstruction(key: string, value: string): string {
  return `LABEL ${key}=${/^[\w@.,:/+=-]*$/.test(value) ? value : JSON.stringify(value)}`;
}

/** Removing what is gone is no error; what is in use is a `conflict` fault. */
export async function removeImage(engine: Engine, ref: string, deadline: Deadline): Promise<void> {
  await orAbsent(
    engine.act({ what: `removing the image ${ref}`, method: "DELETE", path: `/images/${encodeRef(ref)}` }, deadline),
  );
}

/** `host:5000/a/b:tag` → `host:5000/a/b` and `tag`; `latest` where none is named. */
export function splitRef(ref: string): { repo: string; tag: string } {
  const colon = ref.lastIndexOf(":");
  if (colon < 0 || ref.indexOf("/", colon) >= 0) return { repo: ref, tag: "latest" };
  return { repo: ref.slice(0, colon), tag: ref.slice(colon + 1) };
}

/** The slashes of a reference are part of the engine's path and stay. */
export function encodeRef(ref: string): string {
  return ref.split("/").map(encodeURIComponent).join("/");
}
