/** The image of a Python package: the base image with a virtual environment that has the package. One for each version and base. */
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { Engine } from "../../docker/engine.ts";
import { type ImageInfo, inspectImage, listImages } from "../../docker/images.ts";
import type { ImageFacts } from "./create.ts";
import { PYTHON_HOME, pythonFacts } from "./facts.ts";
import { buildEnvironment, pythonBase, type PythonSource, resolveInside, type Work } from "./python-build.ts";
import type { PythonAnswer } from "../pypi/installer.ts";
import { chooseProgram } from "../pypi/program.ts";
import { digest, flavourOf, normalName, type PypiRef, type PypiVersion, requirementOf } from "../pypi/ref.ts";
import type { Report } from "../runtime.ts";

const PYPI = {
  package: "linkspan.pypi.package",
  version: "linkspan.pypi.version",
  /** Digest of the package's archive. */
  sha256: "linkspan.pypi.sha256",
  /** Extras and further requirements. */
  flavour: "linkspan.pypi.flavour",
  /** Its programs, with spaces between. */
  programs: "linkspan.pypi.programs",
  /** The base image: its id and its name. */
  base: "linkspan.pypi.base",
  baseName: "linkspan.pypi.base-name",
} as const;
const REPOSITORY = "linkspan/pypi";
/** What an index has said holds for so long: asking it takes a container. */
const MEANT_MS = 600_000;

/** The newest that fits, as far as the version is known. */
export async function findPypiImage(
  engine: Engine,
  ref: PypiRef,
  program: string | undefined,
  source: PythonSource,
  deadline: Deadline,
): Promise<ImageFacts | undefined> {
  const version = ref.exact ? ref.want : source.meant.get(requirementOf(ref))?.version;
  const info = await findVersion(engine, ref, version, source, deadline);
  return info && pypiFacts(info, ref, program);
}

/** Another archive, another base or another Python is another one, whatever the version says. */
export function pypiIdentity({ labels }: ImageFacts): string {
  return `pypi ${labels[PYPI.version]} ${labels[PYPI.sha256]} ${labels[PYPI.base]}`;
}

/** Faults: those of the installation, of the base image's pull, and of the choice of the program. */
export async function ensurePypiImage(
  engine: Engine,
  ref: PypiRef,
  program: string | undefined,
  source: PythonSource,
  report: Report,
  deadline: Deadline,
): Promise<ImageFacts> {
  const work = { subject: requirementOf(ref), report, deadline };
  return await source.locks.run(`${ref.package} ${flavourOf(ref)}`, deadline, () =>
    ensureOnce(engine, ref, program, source, work),
  );
}

async function ensureOnce(
  engine: Engine,
  ref: PypiRef,
  program: string | undefined,
  source: PythonSource,
  work: Work,
): Promise<ImageFacts> {
  const { deadline } = work;
  const isNew = !ref.exact && (await findVersion(engine, ref, undefined, source, deadline)) === undefined;
  // Where there is nothing that could be the right one, asking and installing is one work.
  const version = isNew ? undefined : ref.exact ? ref.want : await meaning(engine, ref, source, work);
  const found = version === undefined ? undefined : await findVersion(engine, ref, version, source, deadline);
  return pypiFacts(found ?? (await makeImageOf(engine, ref, version, program, source, work)), ref, program);
}

/** Without a version: of the newest. */
async function makeImageOf(
  engine: Engine,
  ref: PypiRef,
  version: string | undefined,
  program: string | undefined,
  source: PythonSource,
  work: Work,
): Promise<ImageInfo> {
  const base = await pythonBase(engine, source.base, work);
  const asked = requirementOf(version === undefined ? ref : { ...ref, want: version, exact: true });
  const wish = { requirements: [asked, ...ref.others], package: ref.package, system: false };
  const describe = ({ packages, programs }: PythonAnswer) => {
    const own = packages.find(({ name }) => normalName(name) === ref.package);
    if (!own) throw new Fault("internal", `pip does not say that it has installed ${ref.package}`);
    // Before anything is made: a library has no image.
    const chosen = chooseProgram(ref.package, programs, program);
    if (version === undefined) remember(source, ref, own.version);
    return {
      ref: imageRef(ref, own, base),
      entrypoint: [`${PYTHON_HOME}/bin/${chosen}`],
      labels: {
        [PYPI.package]: ref.package,
        [PYPI.version]: version ?? own.version,
        [PYPI.sha256]: own.sha256,
        [PYPI.flavour]: flavourOf(ref),
        [PYPI.programs]: programs.join(" "),
        [PYPI.base]: base.Id,
        [PYPI.baseName]: source.base,
      },
    };
  };
  const newest = version === undefined;
  return await buildEnvironment(engine, base, { ...wish, newest }, describe, { ...work, subject: asked });
}

function remember({ meant }: PythonSource, ref: PypiRef, version: string): void {
  meant.set(requirementOf(ref), { version, at: performance.now() });
}

/** The version that a reference means: as the index said not long ago, as it says now, or without it the newest that is here. */
async function meaning(engine: Engine, ref: PypiRef, source: PythonSource, work: Work): Promise<string> {
  const asked = requirementOf(ref);
  const before = source.meant.get(asked);
  if (before && performance.now() - before.at < MEANT_MS) return before.version;
  try {
    const base = await pythonBase(engine, source.base, work);
    const { version } = await resolveInside(engine, base, asked, work);
    remember(source, ref, version);
    return version;
  } catch (error) {
    const newest = await findVersion(engine, ref, before?.version, source, work.deadline);
    const version = newest?.Config?.Labels?.[PYPI.version];
    const { kind, message } = Fault.from(error);
    // Whether it is within bounds is not known where no index has said so.
    if (version === undefined || kind !== "unreachable" || (ref.want !== "" && !before)) throw error;
    const detail = `${message}; using ${ref.package} ${version}, which the engine has`;
    work.report({ step: "resolve", detail });
    return version;
  }
}

async function findVersion(
  engine: Engine,
  ref: PypiRef,
  version: string | undefined,
  { base }: PythonSource,
  deadline: Deadline,
): Promise<ImageInfo | undefined> {
  // Where the base is gone from the engine, what was built on it by that name still runs.
  const baseId = (await inspectImage(engine, base, deadline))?.Id;
  for (const { Id, Labels } of await listImages(engine, [`${PYPI.package}=${ref.package}`], deadline)) {
    const labels = Labels ?? {};
    const fits =
      (labels[PYPI.flavour] ?? "") === flavourOf(ref) &&
      labels[PYPI.baseName] === base &&
      (baseId === undefined || labels[PYPI.base] === baseId) &&
      (version === undefined || labels[PYPI.version] === version);
    const info = fits ? await inspectImage(engine, Id, deadline) : undefined;
    if (info) return info;
  }
  return undefined;
}

function pypiFacts(info: ImageInfo, ref: PypiRef, program: string | undefined): ImageFacts {
  const programs = (info.Config?.Labels?.[PYPI.programs] ?? "").split(" ").filter((name) => name !== "");
  return pythonFacts(info, [`${PYTHON_HOME}/bin/${chooseProgram(ref.package, programs, program)}`]);
}

/** A tag that people recognise and that two of them never share. */
function imageRef(ref: PypiRef, { version, sha256 }: PypiVersion, base: ImageInfo): string {
  const readable = `${ref.package}-${version}`.replaceAll(/[^A-Za-z0-9_.-]+/g, "-");
  return `${REPOSITORY}:${readable.slice(0, 100)}-${digest(flavourOf(ref), sha256, base.Id).slice(0, 8)}`;
}
