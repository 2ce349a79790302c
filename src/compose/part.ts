/** A compose file that was read, or several as one: what it says, and where it says it. */
import type { Lookup } from "./interpolate.ts";
import type { ParsedDocument } from "./schema.ts";
import type { Path, Source } from "./source.ts";

export interface Part {
  source: Pick<Source, "find" | "has">;
  /** To which its paths are relative. */
  folder: string | undefined;
  path: string | undefined;
  lookup: Lookup;
  /** Paths that `!reset` and `!override` take out of what it is laid over. */
  removed: readonly Path[];
  document: ParsedDocument;
}
