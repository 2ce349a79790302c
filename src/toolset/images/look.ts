/** Tools that look at images. */
import * as v from "valibot";
import { encodeRef } from "../../docker/images.ts";
import { maskEnvironment } from "../containers/common.ts";
import { filterQuery, filters } from "../filters.ts";
import { inOrder, newestFirst, output, page, paged, paging } from "../output.ts";
import { tool } from "../tool.ts";
import { findImage, image, imageFacts } from "./common.ts";

const listed = v.array(
  v.object({
    Id: v.string(),
    RepoTags: v.optional(v.nullable(v.array(v.string()))),
    Created: v.number(),
    Size: v.number(),
    Labels: v.optional(v.nullable(v.record(v.string(), v.string()))),
  }),
);

export const listImagesTool = tool({
  name: "docker_list_images",
  category: "images",
  title: "List images",
  description: "The images that the engine has: id, tags, size, age. With all the layers in between, too.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ all: v.optional(v.boolean(), false), filters, ...paging }),
  output: output({
    images: v.array(
      v.object({
        ...imageFacts,
        bytes: v.number(),
        created: v.pipe(v.string(), v.description("ISO 8601")),
        labels: v.record(v.string(), v.string()),
      }),
    ),
    ...paged,
  }),
  example: { filters: { dangling: "true" } },
  async handle({ all, filters: asked, ...paging }, call) {
    const request = {
      what: "listing images",
      method: "GET",
      path: "/images/json",
      query: { all, filters: filterQuery(asked) },
    } as const;
    const found = await (await call.engine()).call(request, listed, call.deadline);
    const { items, ...rest } = page(inOrder(found, newestFirst), paging);
    const images = items.map(({ Id: id, RepoTags, Created, Size: bytes, Labels }) => ({
      id,
      tags: (RepoTags ?? []).filter((one) => one !== "<none>:<none>"),
      bytes,
      created: new Date(Created * 1000).toISOString(),
      labels: Labels ?? {},
    }));
    return { images, ...rest };
  },
  text: ({ images, total }) =>
    [
      `${total} images`,
      ...images.map(
        ({ id, tags, bytes }) => `${id.slice(7, 19)}  ${tags.join(", ") || "<none>"}  ${Math.round(bytes / 1e6)} MB`,
      ),
    ].join("\n"),
});

export const inspectImageTool = tool({
  name: "docker_inspect_image",
  category: "images",
  title: "Inspect an image",
  description:
    "Everything the engine knows about one image: command, user, ports, volumes, layers. Values of environment variables are masked.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ image_name: image }),
  output: output({
    ...imageFacts,
    image: v.pipe(v.record(v.string(), v.unknown()), v.description("The engine's own answer")),
  }),
  example: { image_name: "nginx:1.27" },
  async handle({ image_name }, call) {
    const { Config, ...info } = await findImage(image_name, call);
    // What the image was committed from has the same environment once more.
    const { ContainerConfig: _, ...shown } = info;
    const masked = Config ? { ...Config, Env: maskEnvironment(Config.Env) } : null;
    return { id: info.Id, tags: info.RepoTags ?? [], image: { ...shown, Config: masked } };
  },
  text: ({ id, tags }) => `${tags.join(", ") || "<none>"} (${id.slice(7, 19)})`,
});

const history = v.array(
  v.object({
    Id: v.string(),
    Created: v.number(),
    CreatedBy: v.string(),
    Size: v.number(),
    Comment: v.optional(v.string(), ""),
  }),
);

export const imageHistoryTool = tool({
  name: "docker_image_history",
  category: "images",
  title: "History of an image",
  description:
    "The steps that made an image, newest first, with what each added. Values of variables in ENV and ARG steps are masked.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ image }),
  output: output({
    steps: v.array(v.object({ created: v.string(), created_by: v.string(), bytes: v.number(), comment: v.string() })),
  }),
  example: { image: "nginx:1.27" },
  async handle({ image: ref }, call) {
    const { Id } = await findImage(ref, call);
    const request = {
      what: `reading the history of ${ref}`,
      method: "GET",
      path: `/images/${encodeRef(Id)}/history`,
    } as const;
    const found = await (await call.engine()).call(request, history, call.deadline);
    const steps = found.map(({ Created, CreatedBy, Size: bytes, Comment: comment }) => ({
      created: new Date(Created * 1000).toISOString(),
      created_by: maskStep(CreatedBy),
      bytes,
      comment,
    }));
    return { steps };
  },
  text: ({ steps }) => steps.map(({ created_by, bytes }) => `${Math.round(bytes / 1e3)} kB  ${created_by}`).join("\n"),
});

/** A shell with its options, as the engine writes it before a RUN step's command. */
const SHELL = / \/\S*sh( -\S+)* -c /;

/** `ENV A=secret` → `ENV A=***`; a RUN step repeats its build arguments: `|1 A=secret /bin/sh -c …`. */
function maskStep(step: string): string {
  if (/^\|\d+ /.test(step)) {
    const at = step.search(SHELL);
    const end = at < 0 ? step.length : at;
    return maskPairs(step.slice(0, end)) + step.slice(end);
  }
  return /\b(ENV|ARG)\s/.test(step) ? maskPairs(step) : step;
}

/** A value goes on until the next name: quotes and line ends in it mean nothing here. */
function maskPairs(text: string): string {
  return text.replace(/([A-Za-z_][A-Za-z0-9_.-]*)=[\s\S]*?(?=\s[A-Za-z_][A-Za-z0-9_.-]*=|$)/g, "$1=***");
}
