/** What the tools about images share. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { type ImageInfo, inspectImage } from "../../docker/images.ts";
import { imageRef } from "../containers/spec.ts";
import type { ToolCall } from "../tool.ts";

export const image = v.pipe(imageRef, v.description("The image's name with its tag, or its id"));

/** A tag by itself. */
export const tagName = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/, "expected a tag such as latest or 1.27"),
);

/** `repo` and `tag` as one reference. */
export function withTag(repo: string, tag: string | undefined): string {
  return tag === undefined ? repo : `${repo}:${tag}`;
}

/** Faults: `not-found`. */
export async function findImage(ref: string, call: ToolCall): Promise<ImageInfo> {
  const found = await inspectImage(await call.engine(), ref, call.deadline);
  if (found) return found;
  throw new Fault("not-found", `the engine has no image ${ref}`, {
    hint: "docker_list_images shows those that it has; docker_pull_image gets one from a registry.",
  });
}

export const imageFacts = { id: v.string(), tags: v.array(v.string()) };
