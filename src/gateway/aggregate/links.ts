/** Resources that results speak of: what no list names can still be read where it was spoken of. */
import * as v from "valibot";
import type { Json } from "../exchange.ts";
import type { Member } from "./member.ts";

/** The longest unmentioned go first. */
const LINKS_MAX = 2_000;

const block = v.variant("type", [
  v.object({ type: v.literal("resource_link"), uri: v.string() }),
  v.object({ type: v.literal("resource"), resource: v.object({ uri: v.string() }) }),
]);
const result = v.object({ content: v.array(v.unknown()) });

export class Links {
  private readonly members = new Map<string, string>();

  /** A result is parsed only where it can have such a thing in it. */
  look(json: Json, member: Member): void {
    if (!json.text.includes('"resource')) return;
    const parsed = v.safeParse(result, json.value);
    for (const one of parsed.success ? parsed.output.content : []) {
      const found = v.safeParse(block, one);
      if (!found.success) continue;
      const uri = found.output.type === "resource" ? found.output.resource.uri : found.output.uri;
      this.members.delete(uri);
      this.members.set(uri, member.id);
    }
    for (const old of this.members.keys()) if (this.members.size > LINKS_MAX) this.members.delete(old);
  }

  whose(uri: string): string | undefined {
    return this.members.get(uri);
  }
}
