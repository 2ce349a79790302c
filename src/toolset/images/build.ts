import dockerignore from "@balena/dockerignore";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { archiveOf, type Entry } from "../../docker/archive.ts";
import { readProgress } from "../../docker/progress.ts";
import { allowedFolder } from "../files.ts";
import { output } from "../output.ts";
import { tool } from "../tool.ts";
import { image, imageFacts, findImage } from "./common.ts";

const CONTEXT_BYTES_MAX = 1024 ** 3;
const CONTEXT_FILES_MAX = 50_000;
const LOG_LINES_MAX = 2_000;
const RULES_BYTES_MAX = 1024 * 1024;

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
    const what = `building ${tag ?? "an image"}`;
    const query = { ...options, t: tag, buildargs: JSON.stringify(buildargs), forcerm: true };
    const request = { what, method: "POST", path: "/build", query, archive: archiveOf(entries) } as const;
    const stream = await (await call.engine()).stream(request, call.deadline, call.signal);
    const log: string[] = [];
    let id: string | undefined;
    try {
      id = await readProgress(stream, what, (step) => {
        if (log.length < LOG_LINES_MAX) log.push(step.text);
        call.report(step);
      });
    } catch (error) {
      const fault = Fault.from(error);
      throw new Fault(fault.kind, fault.message, {
        hint: `The last steps: ${log.slice(-5).join(" | ")}`,
        cause: error,
      });
    }
    const { Id, RepoTags } = await findImage(id ?? tag ?? "", call);
    return { id: Id, tags: RepoTags ?? [], log };
  },
  text: ({ id, tags, log }) => [...log.slice(-20), `${tags.join(", ") || "<none>"} (${id.slice(7, 19)})`].join("\n"),
});

function inline(files: Record<string, string>): Entry[] {
  return Object.entries(files).map(([name, content]) => ({ kind: "bytes", name, bytes: Buffer.from(content) }));
}

/** Every file that .dockerignore lets through; links stay links, and lead nowhere on this machine. */
async function contextOf(root: string, dockerfile: string): Promise<Entry[]> {
  const ignored = dockerignore().add(await rulesOf(join(root, ".dockerignore")));
  const entries: Entry[] = [];
  let bytes = 0;
  for await (const name of namesIn(root, "")) {
    // The engine needs these two whatever the rules say.
    if (ignored.ignores(name) && name !== dockerfile && name !== ".dockerignore") continue;
    const path = join(root, name);
    const found = await lstat(path);
    if (found.isDirectory()) {
      entries.push({ kind: "folder", name });
      continue;
    }
    bytes += found.size;
    if (entries.length >= CONTEXT_FILES_MAX || bytes > CONTEXT_BYTES_MAX)
      throw new Fault(
        "too-large",
        `the build context has more than ${CONTEXT_FILES_MAX} files or ${CONTEXT_BYTES_MAX} bytes`,
        {
          hint: "Leave out what the build does not need, in .dockerignore.",
        },
      );
    entries.push({ kind: "tree", name, path });
  }
  return entries;
}

/** A link, or something without an end, is no file of rules. */
async function rulesOf(file: string): Promise<string> {
  const found = await lstat(file).catch(() => undefined);
  return found?.isFile() && found.size <= RULES_BYTES_MAX ? readFile(file, "utf8") : "";
}

/** A folder's names before those of what is in it. Links are named and never followed: `readdir` itself would follow them. */
async function* namesIn(root: string, folder: string): AsyncGenerator<string> {
  const found = await readdir(join(root, folder), { withFileTypes: true });
  for (const entry of found.toSorted((left, right) => (left.name < right.name ? -1 : 1))) {
    const name = folder === "" ? entry.name : `${folder}/${entry.name}`;
    yield name;
    if (entry.isDirectory()) yield* namesIn(root, name);
  }
}
