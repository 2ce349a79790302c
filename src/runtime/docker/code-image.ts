/** The image of a created server: its source and packages in one layer, and nothing else; the bridge's executable runs it. */
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
import { LABEL, MANAGED_BY } from "../labels.ts";
import { idOfCode, installCode } from "../npm/code.ts";
import type { Report } from "../runtime.ts";
import { temporaryFolder } from "../temporary.ts";

const CODE = {
  /** The digest of the source. */
  id: "linkspan.code",
  /** The program's path inside the image. */
  entry: "linkspan.code.entry",
} as const;
const REPOSITORY = "linkspan/created";
const APP = "/app";
/** Kept on the engine; older ones go when one is made, unless a container has them. */
const IMAGES_MAX = 32;

export interface CodeImage {
  info: ImageInfo;
  entry: string;
}

/** `undefined` where the engine does not have it (yet). */
export async function findCodeImage(engine: Engine, image: string, deadline: Deadline): Promise<CodeImage | undefined> {
  const [found] = await listImages(engine, [`${CODE.id}=${idOfCode(image)}`], deadline);
  const info = found && (await inspectImage(engine, found.Id, deadline));
  const entry = info?.Config?.Labels?.[CODE.entry];
  return info && entry !== undefined ? { info, entry } : undefined;
}

export async function ensureCodeImage(
  engine: Engine,
  image: string,
  dataDir: string,
  report: Report,
  deadline: Deadline,
): Promise<CodeImage> {
  const made = await findCodeImage(engine, image, deadline);
  if (made) return made;
  const id = idOfCode(image);
  const folder = await temporaryFolder("image");
  try {
    const platform = { os: "linux", cpu: engine.arch === "arm64" ? "arm64" : "x64", libc: "glibc" } as const;
    const { entry } = await installCode(dataDir, id, join(folder, "app"), report, deadline, platform);
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
    if (!info) throw new Fault("engine-failed", `the image of ${id} is not there right after it was made`);
    await trim(engine, deadline);
    return { info, entry: `${APP}/${entry}` };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Never throws: what is in use, or gone by now, stays or is gone. */
async function trim(engine: Engine, deadline: Deadline): Promise<void> {
  const images = await listImages(engine, [CODE.id], deadline).catch(() => []);
  for (const { Id } of images.slice(IMAGES_MAX)) await removeImage(engine, Id, deadline).catch(() => {});
}
