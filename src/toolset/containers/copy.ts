import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { archiveOf, listEntries } from "../../docker/archive.ts";
import { at, type ContainerInfo, orAbsent, putArchive, readPath } from "../../docker/containers.ts";
import { output } from "../output.ts";
import { tool, type ToolCall } from "../tool.ts";
import { containerPath } from "./arguments.ts";
import { containerId, findContainer } from "./common.ts";

const FILES_MAX = 100;
const FILE_BYTES_MAX = 8 * 1024 * 1024;
const ENTRIES_MAX = 1_000;

const encoding = v.optional(v.picklist(["utf8", "base64"]), "utf8");
/** Relative, and nowhere out of the folder. */
const relativeName = v.pipe(
  v.string(),
  v.maxLength(1024),
  v.regex(/^[^/\0][^\0]*$/, "expected a relative path"),
  v.check(
    (name) => name.split("/").every((part) => part !== "" && part !== "." && part !== ".."),
    "expected a path without . and ..",
  ),
);
const file = v.strictObject({
  path: v.pipe(relativeName, v.description("Relative to the folder")),
  content: v.pipe(v.string(), v.maxLength(2 * FILE_BYTES_MAX)),
  encoding,
  mode: v.optional(v.pipe(v.string(), v.regex(/^0?[0-7]{3}$/, "expected an octal mode such as 644")), "644"),
});

export const copyToContainerTool = tool({
  name: "docker_copy_to_container",
  category: "containers",
  title: "Put files into a container",
  description:
    "Writes files, given as text or base64, into a folder of a container; those of the same names are overwritten. A running container with volumes is refused: stop or pause it first.",
  level: "moderate",
  time: "work",
  idempotent: true,
  input: v.strictObject({
    container_id: containerId,
    path: v.pipe(containerPath, v.description("The folder; it must exist")),
    files: v.pipe(v.array(file), v.minLength(1), v.maxLength(FILES_MAX)),
  }),
  output: output({ path: v.string(), files: v.array(v.object({ path: v.string(), bytes: v.number() })) }),
  example: { container_id: "web", path: "/tmp", files: [{ path: "hello.txt", content: "hello\n" }] },
  async handle({ container_id, path, files }, call) {
    const info = await findContainer(container_id, call);
    refuseMoving(info);
    const entries = files.map(({ path: name, content, encoding: kind, mode }) => {
      const bytes = Buffer.from(content, kind);
      if (bytes.length > FILE_BYTES_MAX) throw new Fault("too-large", `${name} has more than ${FILE_BYTES_MAX} bytes`);
      return { kind: "bytes" as const, name, bytes, mode: Number.parseInt(mode, 8) };
    });
    await putArchive(await call.engine(), info.Id, path, archiveOf(entries), call.deadline);
    return { path, files: entries.map(({ name, bytes }) => ({ path: name, bytes: bytes.length })) };
  },
  text: ({ path, files }) => `${files.length} files are in ${path}: ${files.map((one) => one.path).join(", ")}`,
});

export const copyFromContainerTool = tool({
  name: "docker_copy_from_container",
  category: "containers",
  title: "Read a file of a container",
  description:
    "A file of a container, running or not, as text or base64, or what is in a folder. A running container with volumes is refused: pause it first, or take docker_exec_command.",
  level: "safe",
  time: "work",
  input: v.strictObject({
    container_id: containerId,
    path: containerPath,
    encoding,
    max_bytes: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(FILE_BYTES_MAX)), 256 * 1024),
  }),
  output: output({
    path: v.string(),
    type: v.string(),
    mode: v.string(),
    size: v.number(),
    encoding,
    content: v.optional(v.string()),
    entries: v.optional(v.array(v.object({ path: v.string(), type: v.string(), size: v.number() }))),
  }),
  example: { container_id: "web", path: "/etc/hostname" },
  async handle({ container_id, path, encoding: kind, max_bytes }, call) {
    const info = await findContainer(container_id, call);
    refuseMoving(info);
    const found = await readPath(await call.engine(), info.Id, path, max_bytes, call.deadline);
    if (!found)
      throw new Fault("not-found", `${container_id} has no ${path}`, { hint: "Look at the folder above it." });
    const { type, size } = found;
    const facts = { path, type, size, mode: (found.mode & 0o7777).toString(8), encoding: kind };
    if (type === "directory") return { ...facts, entries: await entriesOf(info.Id, path, call) };
    const truncated =
      found.content.length < size
        ? { truncated: `The first ${found.content.length} of ${size} bytes; raise max_bytes.` }
        : {};
    return { ...facts, content: found.content.toString(kind), ...truncated };
  },
  text: ({ path, content, entries, truncated }) =>
    [content ?? [path, ...(entries ?? []).map((one) => one.path)].join("\n"), ...(truncated ? [truncated] : [])].join(
      "\n",
    ),
});

async function entriesOf(id: string, path: string, call: ToolCall) {
  const engine = await call.engine();
  const request = { what: `reading ${path}`, method: "GET", path: at(id, "archive"), query: { path } } as const;
  const stream = await orAbsent(engine.stream(request, call.deadline, call.signal));
  const found = stream ? await listEntries(stream, ENTRIES_MAX) : [];
  return found.map(({ name, type, size }) => ({ path: name, type, size }));
}

/**
 * While a container runs, it can swap a folder for a link between the engine's look at a path and its use (CVE-2018-15664
 * and its successors); what it can reach then is the host's where volumes are mounted.
 */
function refuseMoving(info: ContainerInfo): void {
  const mounts = Array.isArray(info["Mounts"]) ? info["Mounts"].length : 0;
  if (info.State.Status === "running" && mounts > 0)
    throw new Fault("conflict", `${info.Name.slice(1)} runs and has volumes`, {
      hint: "Pause or stop it first, or take docker_exec_command.",
    });
}
