/** Tools that bring images from registries and to them, and name them. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { compareVersions } from "../../docker/engine.ts";
import { registryAuth } from "../../docker/credentials.ts";
import { encodeRef, splitRef } from "../../docker/images.ts";
import { readProgress } from "../../docker/progress.ts";
import { output } from "../output.ts";
import { tool, type ToolCall } from "../tool.ts";
import { findImage, image, imageFacts, tagName, withTag } from "./common.ts";

const named = output({ ...imageFacts, image: v.string() });
type Named = v.InferInput<typeof named>;

async function facts(ref: string, call: ToolCall): Promise<Named> {
  const { Id, RepoTags } = await findImage(ref, call);
  return { image: ref, id: Id, tags: RepoTags ?? [] };
}

/** `{}` in Base64: an engine refuses a push without any credentials, although a registry may want none. */
const NOBODY = "e30=";

/** A POST that answers with a stream of steps; it ends with the call. */
async function steps(
  what: string,
  path: string,
  query: Record<string, string | boolean | undefined>,
  ref: string,
  call: ToolCall,
) {
  const auth = call.logins().forImage(ref) ?? (await registryAuth(ref, call.env, call.deadline)) ?? NOBODY;
  const request = { what, method: "POST", path, query, registryAuth: auth } as const;
  const stream = await (await call.engine()).stream(request, call.deadline, call.signal);
  await call.deadline.race(what, readProgress(stream, what, call.report));
}

const platform = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9]+(\/[a-z0-9_]+){0,2}$/, "expected a platform such as linux/arm64"),
);

export const pullImageTool = tool({
  name: "docker_pull_image",
  category: "images",
  title: "Pull an image",
  description: "Gets an image from its registry, with progress. latest where no tag is named; every tag with all_tags.",
  level: "moderate",
  time: "long",
  idempotent: true,
  openWorld: true,
  input: v.strictObject({
    image,
    tag: v.optional(tagName),
    all_tags: v.optional(v.boolean(), false),
    platform: v.optional(platform),
  }),
  output: named,
  example: { image: "alpine", tag: "3.20" },
  async handle({ image: ref, tag, all_tags, platform: wanted }, call) {
    const { repo, tag: own } = splitRef(ref);
    const digest = ref.includes("@");
    const full = digest ? ref : withTag(repo, all_tags ? undefined : (tag ?? own));
    const query = { fromImage: full, platform: wanted };
    await steps(`pulling ${full}`, "/images/create", query, ref, call);
    if (!all_tags) return facts(full, call);
    return { image: repo, id: "", tags: [] };
  },
  text: ({ image: ref, id }) => `${ref} is here${id ? ` (${id.slice(7, 19)})` : ", with all its tags"}`,
});

export const pushImageTool = tool({
  name: "docker_push_image",
  category: "images",
  title: "Push an image",
  description:
    "Sends an image to the registry that its name says, with the login of docker_login_registry, or that of docker login on this machine.",
  level: "moderate",
  time: "long",
  idempotent: true,
  openWorld: true,
  input: v.strictObject({ image, tag: v.optional(tagName) }),
  output: named,
  example: { image: "registry.example.com/web", tag: "1.0" },
  async handle({ image: ref, tag: wanted }, call) {
    const { repo, tag: own } = splitRef(ref);
    const tag = wanted ?? own;
    const found = await facts(withTag(repo, tag), call);
    await steps(`pushing ${found.image}`, `/images/${encodeRef(repo)}/push`, { tag }, ref, call);
    return found;
  },
  text: ({ image: ref }) => `${ref} is in its registry`,
});

export const tagImageTool = tool({
  name: "docker_tag_image",
  category: "images",
  title: "Tag an image",
  description: "Gives an image one more name. An image that had this name keeps only its others.",
  level: "moderate",
  time: "quick",
  idempotent: true,
  input: v.strictObject({ image, repository: image, tag: v.optional(tagName, "latest") }),
  output: named,
  example: { image: "web:latest", repository: "registry.example.com/web", tag: "1.0" },
  async handle({ image: ref, repository, tag }, call) {
    const { Id } = await findImage(ref, call);
    const { repo } = splitRef(repository);
    if (repository.includes("@"))
      throw new Fault("invalid", "an image cannot be given a digest as its name", {
        hint: "Name a repository and a tag.",
      });
    const request = {
      what: `tagging ${ref}`,
      method: "POST",
      path: `/images/${encodeRef(Id)}/tag`,
      query: { repo, tag },
    } as const;
    await (await call.engine()).act(request, call.deadline);
    return facts(withTag(repo, tag), call);
  },
  text: ({ image: ref, tags }) => `${ref}; all its names: ${tags.join(", ")}`,
});

const found = v.array(
  v.object({
    name: v.string(),
    description: v.optional(v.string(), ""),
    star_count: v.optional(v.number(), 0),
    is_official: v.optional(v.boolean(), false),
  }),
);

export const searchImagesTool = tool({
  name: "docker_search_images",
  category: "registry",
  title: "Search Docker Hub",
  description: "Images on Docker Hub whose name or description fits a term, the most liked first.",
  level: "safe",
  time: "quick",
  openWorld: true,
  input: v.strictObject({
    term: v.pipe(v.string(), v.minLength(2), v.maxLength(128)),
    limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100)), 25),
  }),
  output: output({
    images: v.array(v.object({ name: v.string(), description: v.string(), stars: v.number(), official: v.boolean() })),
  }),
  example: { term: "postgres", limit: 5 },
  async handle({ term, limit }, call) {
    const engine = await call.engine();
    // Engines before API 1.41 know no limit above theirs of 25.
    const query = { term, limit: compareVersions(engine.api, "1.41") < 0 ? Math.min(limit, 25) : limit };
    const images = await engine.call(
      { what: `searching ${term}`, method: "GET", path: "/images/search", query },
      found,
      call.deadline,
    );
    return {
      images: images.map(({ name, description, star_count: stars, is_official: official }) => ({
        name,
        description,
        stars,
        official,
      })),
    };
  },
  text: ({ images }) =>
    images.map(({ name, stars, description }) => `${name} (${stars} stars): ${description}`).join("\n") ||
    "Nothing fits.",
});
