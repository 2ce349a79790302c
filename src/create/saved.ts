/** Created servers that stay: code, packages and their versions, one file each, under DATA_DIR/created/saved. */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { similar } from "../base/similar.ts";
import { createdFolder } from "../model/code.ts";
import { name as nameSchema } from "../model/server-spec.ts";
import { source, writeWhole } from "./source.ts";

const SAVED_MAX = 100;

export const savedName = nameSchema;
export const savedSchema = v.object({
  name: nameSchema,
  /** ISO 8601. */
  at: v.string(),
  description: v.optional(v.string()),
  source,
});
export type Saved = v.InferOutput<typeof savedSchema>;

const ENDING = ".json";

export class SavedServers {
  private readonly folder: string;

  constructor(dataDir: string) {
    this.folder = join(createdFolder(dataDir), "saved");
  }

  /** By name. A file that is not one of ours is left out. */
  async list(): Promise<Saved[]> {
    const found = await Promise.all((await this.names()).map((name) => this.read(name)));
    return found.filter((one) => one !== undefined);
  }

  /** Faults: `not-found`, with similar names. */
  async get(name: string): Promise<Saved> {
    const found = await this.read(name);
    if (found) return found;
    const near = similar(name, await this.names());
    throw new Fault("not-found", `there is no saved server ${name}`, {
      hint: near.length > 0 ? `Did you mean ${near.join(" or ")}?` : "list-saved-servers shows those that there are.",
    });
  }

  /** In the place of one with the same name. Faults: `exhausted`. */
  async put(one: Saved): Promise<void> {
    const names = await this.names();
    if (!names.includes(one.name) && names.length >= SAVED_MAX)
      throw new Fault("exhausted", `${SAVED_MAX} servers are saved, which is the limit`, {
        hint: "Delete one with delete-saved-server, or save under a name that there is.",
      });
    await writeWhole(this.fileOf(one.name), JSON.stringify(one));
  }

  /** As it was before it was removed. Faults: `conflict` where the name was given to another one, `exhausted`. */
  async restore(one: Saved): Promise<void> {
    if ((await this.names()).includes(one.name))
      throw new Fault("conflict", `another server has been saved as ${one.name}`, {
        hint: "Delete that one first; the bundle is kept.",
      });
    await this.put(one);
  }

  async remove(name: string): Promise<void> {
    await rm(this.fileOf(name), { force: true });
  }

  private async names(): Promise<string[]> {
    const files = await readdir(this.folder).catch(() => []);
    const names = files.filter((file) => file.endsWith(ENDING)).map((file) => file.slice(0, -ENDING.length));
    return names.filter((name) => v.is(nameSchema, name)).toSorted();
  }

  private async read(name: string): Promise<Saved | undefined> {
    const text = await readFile(this.fileOf(name), "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      const parsed = v.safeParse(savedSchema, JSON.parse(text));
      return parsed.success ? parsed.output : undefined;
    } catch {
      return undefined;
    }
  }

  private fileOf(name: string): string {
    return join(this.folder, `${name}${ENDING}`);
  }
}
