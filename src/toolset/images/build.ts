import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { archiveOf, type Entry } from "../../docker/archive.ts";
import type { Request } from "../../docker/engine.ts";
import { readProgress } from "../../docker/progress.ts";
import { allowedFolder } from "../files.ts";
import { output } from "../output.ts";
import { tool, type ToolCall } from "../tool.ts";
import { image, imageFacts, findImage } from "./common.ts";
import { contextOf } from "./context.ts";

const LOG_LINES_MAX = 2_000;

const word = v.pipe(v.string(), v.maxLength(64 * 1024));
const buildArgs = v.record(v.pipe(v.string(), v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/)), word);
const relative = v.pipe(
  v.string(),
  v.maxLength(1024),
  v.regex(/^[^/\0][^\0]*$/, "expected a relative path"),
  v.check((name) => !name.split("/").includes(".."), "expected a path without .."),
);

export const buildImageTool = tool({
  name: "docker_build_image",
  category: "images",
  title: "Build an image",
  description:
    "Builds an image from a Dockerfile: a folder of this machine (path; .dockerignore is honoured), or files given as text. Steps are reported as they come; the values of build arguments stay in the image's history.",
  level: "moderate",
  time: "long",
  openWorld: true,
  input: v.pipe(
    v.strictObject({
      path: v.optional(
        v.pipe(
          v.string(),
          v.regex(/^\/[^\0]*$/, "expected an absolute path"),
          v.description("A folder inside SAFETY_VOLUME_MOUNT_ALLOWLIST"),
        ),
      ),
      files: v.optional(
        v.pipe(
          v.record(relative, v.pipe(v.string(), v.maxLength(1024 * 1024))),
          v.description('{"Dockerfile": "FROM …"}, instead of a path'),
        ),
      ),
      tag: v.optional(image),
      dockerfile: v.optional(v.pipe(relative, v.description("Relative to the folder")), "Dockerfile"),
      buildargs: v.optional(v.union([buildArgs, v.pipe(v.string(), v.parseJson(), buildArgs)]), {}),
      nocache: v.optional(v.boolean(), false),
      rm: v.optional(v.boolean(), true),
      pull: v.optional(v.pipe(v.boolean(), v.description("Look for newer base images")), false),
      target: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_.-]{1,128}$/))),
    }),
    v.check(({ path, files }) => (path === undefined) !== (files === undefined), "expected either path or files"),
  ),
  output: output({ ...imageFacts, log: v.array(v.string()) }),
  example: { files: { Dockerfile: "FROM scratch\nCOPY hello /\n", hello: "hello\n" }, tag: "hello:1" },
  async handle({ path, files = {}, tag, buildargs, ...options }, call) {
    const entries =
      path === undefined
        ? inline(files)
        : await contextOf(await allowedFolder(path, call.settings), options.dockerfile);
    const query = { ...options, t: tag, buildargs: JSON.stringify(buildargs), forcerm: true };
    const { id, log } = await buildFrom(entries, tag, query, call);
    const { Id, RepoTags } = await findImage(id ?? tag ?? "", call);
    return { id: Id, tags: RepoTags ?? [], log };
  },
  text: ({ id, tags, log }) => [...log.slice(-20), `${tags.join(", ") || "<none>"} (${id.slice(7, 19)})`].join("\n"),
});

function inline(files: Record<string, string>): Entry[] {
  return Object.entries(files).map(([name, content]) => ({ kind: "bytes", name, bytes: Buffer.from(content) }));
}

/** Sends the context and reads the steps. Faults: what the build says, with its last steps as the hint. */
export async function buildFrom(
  entries: readonly Entry[],
  tag: string | undefined,
  query: NonNullable<Request["query"]>,
  call: ToolCall,
): Promise<{ id: string | undefined; log: string[] }> {
  const what = `building ${tag ?? "an image"}`;
  const request = { what, method: "POST", path: "/build", query, archive: archiveOf(entries) } as const;
  const stream = await (await call.engine()).stream(request, call.deadline, call.signal);
  const log: string[] = [];
  try {
    const id = await readProgress(stream, what, (step) => {
      if (log.length < LOG_LINES_MAX) log.push(step.text);
      call.report(step);
    });
    return { id, log };
  } catch (error) {
    const fault = Fault.from(error);
    throw new Fault(fault.kind, fault.message, {
      hint: `The last steps: ${log.slice(-5).join(" | ")}`,
      cause: error,
    });
  }
}
