import * as v from "valibot";
import type { Deadline } from "../base/deadline.ts";
import type { Engine } from "./engine.ts";
import { splitRef } from "./images.ts";

/** An image from a container's files and configuration, under a tag; resolves with its id. */
export async function commitContainer(engine: Engine, id: string, ref: string, deadline: Deadline): Promise<string> {
  const { repo, tag } = splitRef(ref);
  const answer = await engine.call(
    {
      what: `making the image ${ref}`,
      method: "POST",
      path: "/commit",
      query: { container: id, repo, tag, pause: false },
      patient: true,
    },
    v.object({ Id: v.string() }),
    deadline,
  );
  return answer.Id;
}
