/** Tools that put images into files and take them out again. */
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { encodeRef } from "../../docker/images.ts";
import { readProgress } from "../../docker/progress.ts";
import { archiveFile, archiveToRead, archiveToWrite } from "../files.ts";
import { output } from "../output.ts";
import { tool } from "../tool.ts";
import { findImage, image } from "./common.ts";

export const saveImageTool = tool({
  name: "docker_save_image",
  category: "images",
  title: "Save an image to a file",
  description:
    "Writes an image with all its layers into an archive on this machine; gzip where the name ends with .gz. An existing file is left alone.",
  level: "moderate",
  time: "long",
  input: v.strictObject({ image, file: archiveFile }),
  output: output({ file: v.string(), bytes: v.number() }),
  example: { image: "web:latest", file: "web.tar.gz" },
  async handle({ image: ref, file }, call) {
    await findImage(ref, call);
    const path = await archiveToWrite(file, call.settings);
    if (await stat(path).catch(() => undefined))
      throw new Fault("conflict", `${file} exists already`, { hint: "Name another file." });
    const request = { what: `saving ${ref}`, method: "GET", path: `/images/${encodeRef(ref)}/get` } as const;
    const stream = await (await call.engine()).stream(request, call.deadline, call.signal);
    const part = `${path}.${crypto.randomUUID()}.part`;
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      call.report({ text: `saving ${ref}`, current: bytes });
    });
    try {
      const target = createWriteStream(part, { mode: 0o600 });
      const options = { signal: call.signal };
      await (path.endsWith("gz") ? pipeline(stream, createGzip(), target, options) : pipeline(stream, target, options));
      await rename(part, path);
    } finally {
      await rm(part, { force: true });
    }
    return { file: path, bytes: (await stat(path)).size };
  },
  text: ({ file, bytes }) => `${file}, ${Math.round(bytes / 1e6)} MB`,
});

export const loadImageTool = tool({
  name: "docker_load_image",
  category: "images",
  title: "Load an image from a file",
  description:
    "Takes the images out of an archive that docker_save_image or docker save has made. Images of the same names lose them.",
  level: "moderate",
  time: "long",
  input: v.strictObject({ file: archiveFile }),
  output: output({ loaded: v.array(v.string()) }),
  example: { file: "web.tar.gz" },
  async handle({ file }, call) {
    const path = await archiveToRead(file, call.settings);
    const what = `loading ${file}`;
    const archive = createReadStream(path);
    const request = { what, method: "POST", path: "/images/load", query: { quiet: false }, archive } as const;
    const loaded: string[] = [];
    const stream = await (await call.engine()).stream(request, call.deadline, call.signal);
    await readProgress(stream, what, (step) => {
      const name = /^Loaded image(?: ID)?: (.+)$/.exec(step.text)?.[1];
      if (name) loaded.push(name);
      call.report(step);
    });
    return { loaded };
  },
  text: ({ loaded }) => `Loaded ${loaded.join(", ") || "nothing"}`,
});
