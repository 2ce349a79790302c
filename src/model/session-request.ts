/** What a front asks the manager for. Apart from the views, because a front needs only the type of it. */
import * as v from "valibot";
import { serverBody } from "./server-spec.ts";

const process = v.pipe(v.number(), v.integer(), v.minValue(0));

/** Body of `POST /sessions`. `server` is a configured name, or a REF that is run under a derived name. */
export const sessionRequest = v.strictObject({
  server: v.pipe(v.string(), v.minLength(1), v.maxLength(512)),
  /** How a REF is to be run. Everybody who asks for the same gets the same server. */
  definition: v.optional(v.omit(serverBody, ["image"])),
  pid: process,
  ppid: process,
  terminal: v.optional(v.pipe(v.string(), v.maxLength(64))),
});
export type SessionRequest = v.InferOutput<typeof sessionRequest>;
/** As a front writes it, with sizes and durations as people write them. */
export type SessionRequestInput = v.InferInput<typeof sessionRequest>;
