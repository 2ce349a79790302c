/** Builds an image from a Dockerfile through the engine's own builder, which every engine has. */
import type { Deadline } from "../../src/base/deadline.ts";
import { archiveOf, type Entry } from "../../src/docker/archive.ts";
import type { Engine } from "../../src/docker/engine.ts";
import { readProgress } from "../../src/docker/progress.ts";

export interface Build {
  /** The context: what the Dockerfile may copy. */
  context: Entry[];
  dockerfile: string;
  tag: string;
  args?: Record<string, string>;
}

/** The ids of all images that it made on the way: stages stay when the tag is removed. Throws with the builder's last words. */
export async function buildImage(engine: Engine, build: Build, deadline: Deadline): Promise<string[]> {
  const what = `building ${build.tag}`;
  const ended = new AbortController();
  const query = {
    t: build.tag,
    dockerfile: build.dockerfile,
    buildargs: JSON.stringify(build.args ?? {}),
    rm: true,
    forcerm: true,
  };
  const request = { what, method: "POST", path: "/build", query, archive: archiveOf(build.context) } as const;
  const said: string[] = [];
  try {
    const stream = await engine.stream(request, deadline, ended.signal);
    await deadline.race(
      what,
      readProgress(stream, what, ({ text }) => said.push(text)),
    );
    return said.flatMap((text) => /^---> ([0-9a-f]{12})$/.exec(text)?.[1] ?? []);
  } catch (error) {
    throw new Error(said.slice(-10).join("\n"), { cause: error });
  } finally {
    ended.abort();
  }
}
