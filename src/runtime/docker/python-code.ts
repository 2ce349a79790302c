/**
 * A created server in Python: the base image, its packages in a virtual environment, and its file. Packages are an image of
 * their own, which all servers with the same packages share, so that a change of the code installs nothing.
 */
import type { Deadline } from "../../base/deadline.ts";
import { archiveOf } from "../../docker/archive.ts";
import { putArchive } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { type ImageInfo, listImages, inspectImage, removeImage } from "../../docker/images.ts";
import { CODE_ENTRY, type CodeSource } from "../../model/code.ts";
import { keepVersions } from "../code-source.ts";
import { requirementsOf, versionsFound } from "../pypi/code.ts";
import { lockOf } from "../pypi/installer.ts";
import { digest } from "../pypi/ref.ts";
import { APP, PYTHON_HOME } from "./facts.ts";
import {
  buildEnvironment,
  installedIn,
  makeImage,
  type NewImage,
  pythonBase,
  type PythonSource,
  type Work,
} from "./python-build.ts";

const ENVIRONMENT = {
  /** Digest of the base and of what was asked for. */
  wanted: "linkspan.python.wanted",
  /** Digest of the base and of the exact versions that were found. */
  lock: "linkspan.python.lock",
} as const;
const REPOSITORY = "linkspan/python";
/** Kept on the engine; older ones go when one is made, unless another image is built on them. */
const IMAGES_MAX = 32;

interface PythonCode {
  dataDir: string;
  id: string;
  source: CodeSource;
  python: PythonSource;
}

/** `describe` gets the path of the program and what runs it. */
export async function makePythonCode(
  engine: Engine,
  { dataDir, id, source, python }: PythonCode,
  describe: (entry: string, interpreter: string) => NewImage,
  work: Work,
): Promise<ImageInfo> {
  const name = source.base ?? python.base;
  const requirements = requirementsOf(source);
  const base = await pythonBase(engine, name, work);
  const hasPackages = requirements.length > 0;
  const below = hasPackages
    ? await python.locks.run(requirements.join(), work.deadline, () =>
        ensureEnvironment(engine, base, requirements, source.lock, work),
      )
    : base;
  const entry = `${APP}/${CODE_ENTRY.python}`;
  const made = describe(entry, hasPackages ? `${PYTHON_HOME}/bin/python` : "python3");
  return await makeImage(engine, below, made, work.deadline, async (container) => {
    const file = { kind: "bytes", name: entry.slice(1), bytes: Buffer.from(source.code) } as const;
    const folder = { kind: "folder", name: APP.slice(1) } as const;
    await putArchive(engine, container, "/", archiveOf([folder, file]), work.deadline);
    const installed = hasPackages ? await installedIn(engine, container, work.deadline) : undefined;
    const versions = installed && versionsFound(source, installed);
    if (versions && source.lock === undefined) await keepVersions(dataDir, id, versions);
  });
}

/** The base with the packages. The same wish, or the same versions, of the same base are the same image. */
async function ensureEnvironment(
  engine: Engine,
  base: ImageInfo,
  requirements: string[],
  lock: string | undefined,
  work: Work,
): Promise<ImageInfo> {
  const wanted = digest("wanted", base.Id, ...requirements);
  const label = lock === undefined ? `${ENVIRONMENT.wanted}=${wanted}` : lockLabel(base, lock);
  const [known] = await listImages(engine, [label], work.deadline);
  const found = known && (await inspectImage(engine, known.Id, work.deadline));
  if (found) return found;
  const wish = { requirements, lock, system: true };
  const made = await buildEnvironment(
    engine,
    base,
    wish,
    (answer) => {
      const [key = "", value = ""] = lockLabel(base, lock ?? lockOf(answer)).split("=");
      return {
        ref: `${REPOSITORY}:${wanted.slice(0, 12)}-${value.slice(0, 12)}`,
        entrypoint: [`${PYTHON_HOME}/bin/python`],
        labels: { [key]: value, ...(lock === undefined ? { [ENVIRONMENT.wanted]: wanted } : {}) },
      };
    },
    { ...work, subject: requirements.join(", ") },
  );
  await trim(engine, work.deadline);
  return made;
}

function lockLabel(base: ImageInfo, lock: string): string {
  return `${ENVIRONMENT.lock}=${digest("lock", base.Id, lock)}`;
}

/** Never throws: what another image is built on stays; that one has the label, too, with nothing in it. */
async function trim(engine: Engine, deadline: Deadline): Promise<void> {
  const images = await listImages(engine, [ENVIRONMENT.lock], deadline).catch(() => []);
  for (const { Id } of images.filter(({ Labels }) => Labels?.[ENVIRONMENT.lock]).slice(IMAGES_MAX))
    await removeImage(engine, Id, deadline).catch(() => {});
}
