/**
 * The image of a created server: its source and packages. Where the bridge's executable runs it there is nothing else in
 * it; one in Python is built on an image that has it.
 */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { archiveOf } from "../../docker/archive.ts";
import type { Engine } from "../../docker/engine.ts";
import {
  type ImageInfo,
  importImage,
  inspectImage,
  labelInstruction,
  listImages,
  removeImage,
} from "../../docker/images.ts";
import type { CodeSource } from "../../model/code.ts";
import { idOfCode, readSource } from "../code-source.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";
import { installCode } from "../npm/code.ts";
import type { Report } from "../runtime.ts";
import { temporaryFolder } from "../temporary.ts";
import type { ImageFacts } from "./create.ts";
import { APP, programFacts, pythonFacts } from "./facts.ts";
import type { PythonSource } from "./python-build.ts";
import { makePythonCode } from "./python-code.ts";

const CODE = {
  /** The digest of the source. */
  id: "linkspan.code",
  /** The program's path inside the image. */
  entry: "linkspan.code.entry",
  /** What runs it; absent where our own executable does. */
  python: "linkspan.code.python",
} as const;
const REPOSITORY = "linkspan/created";
/** Kept on the engine; older ones go when one is made, unless a container has them. */
const IMAGES_MAX = 32;

/** `undefined` where the engine does not have it (yet). */
export async function findCodeImage(
  engine: Engine,
  image: string,
  deadline: Deadline,
): Promise<ImageFacts | undefined> {
  const [found] = await listImages(engine, [`${CODE.id}=${idOfCode(image)}`], deadline);
  const info = found && (await inspectImage(engine, found.Id, deadline));
  return info && codeFacts(info);
}

/** Faults: those of installing its packages, of the base image's pull, `not-found` where the source is not there. */
export async function ensureCodeImage(
  engine: Engine,
  image: string,
  { dataDir, python }: { dataDir: string; python: PythonSource },
  report: Report,
  deadline: Deadline,
): Promise<ImageFacts> {
  const made = await findCodeImage(engine, image, deadline);
  if (made) return made;
  const id = idOfCode(image);
  const source = await readSource(dataDir, id);
  const info =
    source.language === "python"
      ? await makePythonCode(engine, { dataDir, id, source, python }, describePython(id), {
          subject: id,
          report,
          deadline,
        })
      : await makeCode(engine, dataDir, id, source, report, deadline);
  await trim(engine, deadline);
  return codeFacts(info);
}

async function makeCode(
  engine: Engine,
  dataDir: string,
  id: string,
  source: CodeSource,
  report: Report,
  deadline: Deadline,
): Promise<ImageInfo> {
  const folder = await temporaryFolder("image");
  try {
    const platform = { os: "linux", cpu: engine.arch === "arm64" ? "arm64" : "x64", libc: "glibc" } as const;
    const { entry } = await installCode(dataDir, id, source, join(folder, "app"), report, deadline, platform);
    report({ step: "image", detail: `${id}: copying into the engine` });
    const inApp = (name: string) => ({ name: `app/${name}`, path: join(folder, "app", name) });
    const hasPackages = existsSync(join(folder, "app/node_modules"));
    const archive = archiveOf([
      { kind: "folder", name: "app" },
      { kind: "file", ...inApp("package.json") },
      { kind: "file", ...inApp(entry) },
      ...(hasPackages ? [{ kind: "tree" as const, ...inApp("node_modules") }] : []),
      { kind: "folder", name: "tmp", mode: 0o1777 },
    ]);
    const labels = { [LABEL.managedBy]: MANAGED_BY, [CODE.id]: id, [CODE.entry]: `${APP}/${entry}` };
    const changes = Object.entries(labels).map(([key, value]) => labelInstruction(key, value));
    const imageId = await importImage(engine, archive, `${REPOSITORY}:${id}`, changes, deadline);
    const info = await inspectImage(engine, imageId, deadline);
    if (info) return info;
    throw new Fault("engine-failed", `the image of ${id} is not there right after it was made`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function describePython(id: string) {
  return (entry: string, interpreter: string) => ({
    ref: `${REPOSITORY}:${id}`,
    entrypoint: [interpreter, entry],
    labels: { [CODE.id]: id, [CODE.entry]: entry, [CODE.python]: interpreter },
  });
}

function codeFacts(info: ImageInfo): ImageFacts {
  const labels = info.Config?.Labels ?? {};
  const entry = labels[CODE.entry] ?? "";
  const interpreter = labels[CODE.python];
  return interpreter ? pythonFacts(info, [interpreter, entry]) : programFacts(info, entry);
}

/** Never throws: what is in use, or gone by now, stays or is gone. */
async function trim(engine: Engine, deadline: Deadline): Promise<void> {
  const images = await listImages(engine, [CODE.id], deadline).catch(() => []);
  for (const { Id } of images.slice(IMAGES_MAX)) await removeImage(engine, Id, deadline).catch(() => {});
}
