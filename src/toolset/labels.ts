/**
 * Labels by which Linkspan knows what is its own. A tool that could give them to something else would have the manager
 * take it for one of its servers, and hand it that server's secrets.
 */
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { inspectImage } from "../docker/images.ts";
import { areForeign } from "../docker/label-rules.ts";
import type { ToolCall } from "./tool.ts";

/** What makes a container the server of a manager. Images that Linkspan has built carry others. */
const OWNERSHIP = ["linkspan.instance", "linkspan.owner", "linkspan.nonce", "linkspan.sealed", "linkspan.carrier"];

/** For schemas of labels: none of them is Linkspan's own. */
export const foreignLabels = v.check<Record<string, string>, string>(
  (labels) => areForeign(labels),
  "expected labels that are not Linkspan's own",
);

/** A container has the labels of its image. Faults: `forbidden`. An image that is not there is for the engine to refuse. */
export async function refuseBorrowed(image: string, call: ToolCall): Promise<void> {
  const found = await inspectImage(await call.engine(), image, call.deadline);
  const borrowed = OWNERSHIP.find((label) => found?.Config?.Labels?.[label] !== undefined);
  if (borrowed !== undefined)
    throw new Fault("forbidden", `the image ${image} has the label ${borrowed}, which is Linkspan's own`, {
      hint: "Build the image without it.",
    });
}
