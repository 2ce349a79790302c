/** The image of a spec: pulled when absent, or made of a package or a source. */
import type { Deadline } from "../../base/deadline.ts";
import type { Engine } from "../../docker/engine.ts";
import { inspectImage } from "../../docker/images.ts";
import { isCodeRef } from "../../model/code.ts";
import type { ServerSpec } from "../../model/server-spec.ts";
import { ensureCodeImage, findCodeImage } from "./code-image.ts";
import type { ImageFacts } from "./create.ts";
import { factsOf } from "./facts.ts";
import { ensureNpmImage, findNpmImage, npmIdentity } from "./npm-image.ts";
import { ensurePulled } from "./pull.ts";
import { ensurePypiImage, findPypiImage, pypiIdentity } from "./pypi-image.ts";
import type { PythonSource } from "./python-build.ts";
import { isNpmRef, parseNpmRef } from "../npm/npm.ts";
import { programOf } from "../program.ts";
import { isPypiRef, parsePypiRef } from "../pypi/ref.ts";
import type { Report } from "../runtime.ts";

/** What images are made from, beside the engine. */
export interface ImageSources {
  /** Has the sources of created servers. */
  dataDir: string;
  python: PythonSource;
}

/** The image and what matters of it. `undefined` where the engine does not have it (yet). */
export async function findImage(
  engine: Engine,
  spec: ServerSpec,
  { python }: ImageSources,
  deadline: Deadline,
): Promise<ImageFacts | undefined> {
  const { image } = spec;
  if (isCodeRef(image)) return await findCodeImage(engine, image, deadline);
  if (isPypiRef(image)) return await findPypiImage(engine, parsePypiRef(image), programOf(spec), python, deadline);
  if (isNpmRef(image)) {
    const ref = parseNpmRef(image);
    return await findNpmImage(engine, ref, programOf(spec) ?? "", ref.exact ? ref.want : undefined, deadline);
  }
  const info = await inspectImage(engine, image, deadline);
  return info && factsOf(info);
}

/** The image's digest, or of a package the version and what it was made of: an image of it may be made again at any time. */
export async function identifyImage(
  engine: Engine,
  spec: ServerSpec,
  sources: ImageSources,
  deadline: Deadline,
): Promise<string | undefined> {
  const image = await findImage(engine, spec, sources, deadline);
  if (image === undefined || isCodeRef(spec.image)) return image && spec.image;
  if (isPypiRef(spec.image)) return pypiIdentity(image);
  return isNpmRef(spec.image) ? npmIdentity(image) : image.id;
}

/** Makes the image of the spec ready. For a range or tag the registry is asked, so that `latest` means the latest. */
export async function ensureImage(
  engine: Engine,
  spec: ServerSpec,
  { dataDir, python }: ImageSources,
  report: Report,
  deadline: Deadline,
): Promise<ImageFacts> {
  const { image } = spec;
  if (isCodeRef(image)) return await ensureCodeImage(engine, image, { dataDir, python }, report, deadline);
  if (isPypiRef(image))
    return await ensurePypiImage(engine, parsePypiRef(image), programOf(spec), python, report, deadline);
  if (isNpmRef(image)) return await ensureNpmImage(engine, parseNpmRef(image), programOf(spec) ?? "", report, deadline);
  return factsOf(await ensurePulled(engine, image, report, deadline));
}
