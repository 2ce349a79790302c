/** The image of an npm package: its files, installed by this executable's own Bun, in one layer and nothing else. */
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { archiveOf } from "../../docker/archive.ts";
import type { Engine } from "../../docker/engine.ts";
import { type ImageInfo, importImage, inspectImage, labelInstruction, listImages } from "../../docker/images.ts";
import type { ImageFacts } from "./create.ts";
import { APP, programFacts } from "./facts.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";
import { installNpm, type NpmRef, type NpmVersion, resolveNpm } from "../npm/npm.ts";
import type { Report } from "../runtime.ts";
import { temporaryFolder } from "../temporary.ts";

const NPM = {
  package: "linkspan.npm.package",
  version: "linkspan.npm.version",
  integrity: "linkspan.npm.integrity",
  /** The program that was asked for by name; empty where the package's own was taken. */
  bin: "linkspan.npm.bin",
  /** The program's path inside the image. */
  entry: "linkspan.npm.entry",
} as const;
const REPOSITORY = "linkspan/npm";

export async function ensureNpmImage(
  engine: Engine,
  ref: NpmRef,
  bin: string,
  report: Report,
  deadline: Deadline,
): Promise<ImageFacts> {
  const made = ref.exact ? await findNpmImage(engine, ref, bin, ref.want, deadline) : undefined;
  if (made) return made;
  const version = await resolveOrReuse(engine, ref, bin, report, deadline);
  if ("id" in version) return version;
  const same = await findNpmImage(engine, ref, bin, version.version, deadline);
  if (same && same.labels[NPM.integrity] === version.integrity) return same;
  return makeNpmImage(engine, version, bin, report, deadline);
}

/** Without its registry, the newest image of the package that the engine has is better than none. */
async function resolveOrReuse(
  engine: Engine,
  ref: NpmRef,
  bin: string,
  report: Report,
  deadline: Deadline,
): Promise<NpmVersion | ImageFacts> {
  try {
    return await resolveNpm(ref, report, deadline);
  } catch (error) {
    if (!(error instanceof Fault) || error.kind !== "unreachable" || ref.want !== "latest") throw error;
    const newest = await findNpmImage(engine, ref, bin, undefined, deadline);
    if (!newest) throw error;
    report({
      step: "resolve",
      detail: `${error.message}; using ${ref.package}@${newest.labels[NPM.version]}, which the engine has`,
    });
    return newest;
  }
}

export async function findNpmImage(
  engine: Engine,
  ref: NpmRef,
  bin: string,
  version: string | undefined,
  deadline: Deadline,
): Promise<ImageFacts | undefined> {
  // Only one label is asked for: Podman's filter knows no empty values.
  for (const { Id, Labels } of await listImages(engine, [`${NPM.package}=${ref.package}`], deadline)) {
    if ((Labels?.[NPM.bin] ?? "") !== bin || (version !== undefined && Labels?.[NPM.version] !== version)) continue;
    const info = await inspectImage(engine, Id, deadline);
    if (info?.Config?.Labels?.[NPM.entry]) return npmFacts(info);
  }
  return undefined;
}

async function makeNpmImage(
  engine: Engine,
  version: NpmVersion,
  bin: string,
  report: Report,
  deadline: Deadline,
): Promise<ImageFacts> {
  const folder = await temporaryFolder("image");
  try {
    const platform = { os: "linux", cpu: engine.arch === "arm64" ? "arm64" : "x64", libc: "glibc" } as const;
    const installed = await installNpm(version, folder, report, deadline, { platform, ...(bin === "" ? {} : { bin }) });
    report({ step: "image", detail: `${version.package}@${version.version}: copying into the engine` });
    const archive = archiveOf([
      { kind: "folder", name: "app" },
      { kind: "tree", name: "app/node_modules", path: join(folder, "node_modules") },
      { kind: "folder", name: "tmp", mode: 0o1777 },
    ]);
    const labels = {
      [LABEL.managedBy]: MANAGED_BY,
      [NPM.package]: version.package,
      [NPM.version]: version.version,
      [NPM.integrity]: version.integrity,
      [NPM.bin]: bin,
      [NPM.entry]: `${APP}/${installed.entry}`,
    };
    const changes = Object.entries(labels).map(([key, value]) => labelInstruction(key, value));
    const ref = imageRef(version, bin);
    const id = await importImage(engine, archive, ref, changes, deadline);
    const info = await inspectImage(engine, id, deadline);
    if (info) return npmFacts(info);
    throw new Fault("engine-failed", `the image ${ref} is not there right after it was made`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A tag that people recognise and that two packages never share. */
function imageRef(version: NpmVersion, bin: string): string {
  const hash = createHash("sha256")
    .update(`${version.package}\n${version.integrity}\n${bin}`)
    .digest("hex")
    .slice(0, 8);
  const readable = `${version.package}-${version.version}`
    .replaceAll(/[^A-Za-z0-9_.-]+/g, "-")
    .replaceAll(/^[-.]+/g, "");
  return `${REPOSITORY}:${readable.slice(0, 100)}-${hash}`;
}

/** An image of the same may be made again at any time. */
export function npmIdentity({ labels }: ImageFacts): string {
  return `npm ${labels[NPM.version]} ${labels[NPM.integrity]}`;
}

function npmFacts(info: ImageInfo): ImageFacts {
  return programFacts(info, info.Config?.Labels?.[NPM.entry] ?? "");
}
