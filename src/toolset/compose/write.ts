import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { findingsFault, loadProject } from "../../compose/load.ts";
import { hide } from "../../compose/project.ts";
import { environment } from "../containers/arguments.ts";
import { output } from "../output.ts";
import { tool } from "../tool.ts";
import { composeFiles, fileToWrite, projectFiles, readText, writeText } from "./files.ts";

export const composeWriteFileTool = tool({
  name: "docker_compose_write_file",
  category: "compose",
  title: "Write a compose file",
  description:
    "Writes a compose file into the folder that is configured for them (SAFETY_COMPOSE_DIRECTORY), after it was checked as docker_compose_validate does; one with errors is not written. Replacing a file needs overwrite.",
  level: "moderate",
  time: "quick",
  input: v.strictObject({
    file: fileToWrite,
    content: v.pipe(v.string(), v.maxLength(1024 * 1024)),
    over: v.optional(
      v.pipe(composeFiles, v.description("Files that this one is laid over: they are checked together")),
    ),
    overwrite: v.optional(v.boolean(), false),
    env: v.optional(v.pipe(environment, v.description("For ${NAME:?…} in the check; not written")), {}),
  }),
  output: output({ file: v.string(), bytes: v.number(), services: v.array(v.string()) }),
  example: { file: "shop/compose.yaml", content: "services:\n  web:\n    image: nginx:1.27\n" },
  async handle({ file, content, over, overwrite, env }, { settings }) {
    const there = await readText(file, settings).then(
      () => true,
      (error: unknown) => {
        if (error instanceof Fault && error.kind === "not-found") return false;
        throw error;
      },
    );
    if (there && !overwrite)
      throw new Fault("conflict", `there is a file ${file} already`, {
        hint: "Say overwrite: true, or take another name.",
      });
    const read = (path: string) => readText(path, settings);
    const loaded = await loadProject({
      // As if it were there already, for what it refers to.
      files: [
        ...(over === undefined ? [] : await projectFiles(over, { env, read }, settings)),
        { text: content, path: join(settings.composeDir, dirname(file), basename(file)) },
      ],
      env,
      profiles: ["*"],
      allowPrivileged: settings.allowPrivileged,
      read,
    });
    if (!loaded.ok)
      throw findingsFault(loaded.findings.map((one) => ({ ...one, message: hide(one.message, loaded.hidden) })));
    await writeText(file, content, settings);
    return { file, bytes: Buffer.byteLength(content), services: [...loaded.project.services.keys()] };
  },
  text: ({ file, bytes, services }) => `${file} has been written (${bytes} bytes: ${services.join(", ")})`,
});
