import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { registryAuth } from "../../docker/credentials.ts";
import type { Engine } from "../../docker/engine.ts";
import { type ImageInfo, inspectImage, pullImage } from "../../docker/images.ts";
import type { Report } from "../runtime.ts";

/** The image as the engine has it; pulled where it has none of that name. Faults: those of `pullImage`. */
export async function ensurePulled(
  engine: Engine,
  image: string,
  report: Report,
  deadline: Deadline,
): Promise<ImageInfo> {
  const found = await inspectImage(engine, image, deadline);
  if (found) return found;
  report({ step: "pull", detail: image });
  const tell = ({ text, current, total }: { text: string; current?: number; total?: number }) =>
    report({
      step: "pull",
      detail: `${image}: ${text}`,
      ...(current === undefined ? {} : { current }),
      ...(total === undefined ? {} : { total }),
    });
  await pullImage(engine, image, await registryAuth(image, process.env, deadline), tell, deadline);
  const pulled = await inspectImage(engine, image, deadline);
  if (pulled) return pulled;
  throw new Fault("engine-failed", `the image ${image} is not there right after it was pulled`);
}
