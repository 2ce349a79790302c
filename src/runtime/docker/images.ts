/** The image of a spec: pulled when absent, or made from an npm package. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createHash } from "node:crypto";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { archiveOf } from "../../docker/archive.ts";
import { registryAuth } from "../../docker/credentials.ts";
import type { Engine } from "../../docker/engine.ts";
import {
  type ImageInfo,
  importImage,
  inspectImage,
  labelInstruction,
  listImages,
  pullImage,
} from "../../docker/images.ts";
import { isCodeRef } from "../../model/code.ts";
import type { ServerSpec } from "../../model/server-spec.ts";
import { type CodeImage, ensureCodeImage, findCodeImage } from "./code-image.ts";
import type { ImageFacts } from "./create.ts";
import { LAUNCH } from "./inject.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";
import {
  BUN_RUN_FLAGS,
  installNpm,
  isNpmRef,
  npmBin,
  type NpmRef,
  type NpmVersion,
  parseNpmRef,
  resolveNpm,
} from "../npm/npm.ts";
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
const APP = "/app";
/** The user that distroless images call `nonroot`; an image of ours has no list of users, and needs none. */
const NOBODY = "65532:65532";

/** The image and what matters of it. `undefined` where the engine does not have it (yet). */
export async function findImage(engine: Engine, spec: ServerSpec, deadline: Deadline): Promise<ImageFacts | undefined> {
  if (isCodeRef(spec.image)) {
    const found = await findCodeImage(engine, spec.image, deadline);
    return found && codeFacts(found);
  }
  if (!isNpmRef(spec.image)) {
    const info = await inspectImage(engine, spec.image, deadline);
    return info && factsOf(info);
  }
  const ref = parseNpmRef(spec.image);
  return findNpmImage(engine, ref, binOf(spec), ref.exact ? ref.want : undefined, deadline);
}

/** The image's digest, or of a package the version and integrity: an image of it may be made again at any time. */
export async function identifyImage(engine: Engine, spec: ServerSpec, deadline: Deadline): Promise<string | undefined> {
  const image = await findImage(engine, spec, deadline);
  if (isCodeRef(spec.image)) return image && spec.image;
  return image?.ownsCommand ? `npm ${image.labels[NPM.version]} ${image.labels[NPM.integrity]}` : image?.id;
}

/** Makes the image of the spec ready; `dataDir` has the sources of created servers. For a range or tag the registry is asked, so that `latest` means the latest. */
export async function ensureImage(
  engine: Engine,
  spec: ServerSpec,
  dataDir: string,
  report: Report,
  deadline: Deadline,
): Promise<ImageFacts> {
  if (isCodeRef(spec.image)) return codeFacts(await ensureCodeImage(engine, spec.image, dataDir, report, deadline));
  if (isNpmRef(spec.image)) return ensureNpmImage(engine, parseNpmRef(spec.image), binOf(spec), report, deadline);
  const found = await inspectImage(engine, spec.image, deadline);
  if (found) return factsOf(found);
  report({ step: "pull", detail: spec.image });
  const tell = ({ text, current, total }: { text: string; current?: number; total?: number }) =>
    report({
      step: "pull",
      detail: `${spec.image}: ${text}`,
      ...(current === undefined ? {} : { current }),
      ...(total === undefined ? {} : { total }),
    });
  await pullImage(engine, spec.image, await registryAuth(spec.image, process.env, deadline), tell, deadline);
  const pulled = await inspectImage(engine, spec.image, deadline);
  if (pulled) return factsOf(pulled);
  throw new Fault("engine-failed", `the image ${spec.image} is not there right after it was pulled`);
}

async function ensureNpmImage(
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

async function findNpmImage(
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

/** A spec's command selects one of the package's programs by name. */
function binOf(spec: ServerSpec): string {
  return npmBin(spec) ?? "";
}

function factsOf({ Id: id, Config: config }: ImageInfo): ImageFacts {
  return {
    id,
    entrypoint: config?.Entrypoint ?? [],
    cmd: config?.Cmd ?? [],
    env: config?.Env ?? [],
    user: config?.User ?? "",
    workdir: config?.WorkingDir ?? "",
    labels: config?.Labels ?? {},
    volumes: Object.keys(config?.Volumes ?? {}),
  };
}

function npmFacts(info: ImageInfo): ImageFacts {
  return programFacts(info, info.Config?.Labels?.[NPM.entry] ?? "");
}

function codeFacts({ info, entry }: CodeImage): ImageFacts {
  return programFacts(info, entry);
}

/** An image of ours has nothing but the program: the bridge's own executable, as a Bun, runs it. */
function programFacts(info: ImageInfo, entry: string): ImageFacts {
  return {
    ...factsOf(info),
    entrypoint: [...LAUNCH, ...BUN_RUN_FLAGS, entry],
    user: NOBODY,
    workdir: APP,
    ownEnv: { HOME: "/tmp", BUN_BE_BUN: "1" },
    ownsCommand: true,
  };
}
