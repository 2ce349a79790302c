/**
 * Recovery bundles: what a destructive tool leaves behind so that `docker_undo` can make its work undone. One folder
 * each under DATA_DIR/undo, with `bundle.json` and the archives that its steps name.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";

/** Kept; the oldest go first. */
const BUNDLES_MAX = 50;

const step = v.looseObject({ kind: v.string() });
const bundleSchema = v.object({
  id: v.string(),
  /** ISO 8601. */
  at: v.string(),
  tool: v.string(),
  summary: v.string(),
  /** In the order in which they are to be done; each kind's own fields belong to whoever does it. */
  steps: v.array(step),
});
export type RecoveryStep = v.InferOutput<typeof step>;
export type Bundle = v.InferOutput<typeof bundleSchema>;

/** A bundle that is being filled: it exists for `docker_undo` once it is sealed, and for nobody when it is not. */
export interface Draft {
  id: string;
  /** For archives that steps name. */
  folder: string;
  /** Before anything is destroyed. */
  seal(summary: string, steps: readonly RecoveryStep[]): Promise<void>;
  discard(): Promise<void>;
}

const ID = /^undo-[0-9]{13}-[0-9a-f]{8}$/;

export class Recovery {
  constructor(private readonly root: string) {}

  async begin(tool: string): Promise<Draft> {
    const now = Date.now();
    const id = `undo-${now}-${crypto.randomUUID().slice(0, 8)}`;
    const folder = join(this.root, `.${id}`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return {
      id,
      folder,
      seal: async (summary, steps) => {
        const bundle = { id, at: new Date(now).toISOString(), tool, summary, steps: [...steps] };
        await writeFile(join(folder, "bundle.json"), JSON.stringify(bundle), { mode: 0o600 });
        await rename(folder, this.folderOf(id));
        await this.trim();
      },
      discard: () => rm(folder, { recursive: true, force: true }),
    };
  }

  /** Newest first. */
  async list(): Promise<Bundle[]> {
    const names = await readdir(this.root).catch((): string[] => []);
    const ids = names
      .filter((name) => ID.test(name))
      .sort()
      .reverse();
    const bundles = await Promise.all(ids.map((id) => this.read(id).catch(() => undefined)));
    return bundles.filter((bundle) => bundle !== undefined);
  }

  /** Faults: `not-found`, `invalid` where the file is no bundle any more. */
  async read(id: string): Promise<Bundle> {
    const text = ID.test(id)
      ? await readFile(join(this.folderOf(id), "bundle.json"), "utf8").catch(() => undefined)
      : undefined;
    if (text === undefined)
      throw new Fault("not-found", `there is no recovery bundle ${id}`, {
        hint: "docker_undo without an id lists them.",
      });
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), bundleSchema), text);
    if (parsed.success) return parsed.output;
    throw new Fault("invalid", `the recovery bundle ${id} cannot be read any more`);
  }

  folderOf(id: string): string {
    return join(this.root, id);
  }

  /** Leaves only these steps to be done. */
  async shorten(id: string, steps: readonly RecoveryStep[]): Promise<void> {
    const bundle = { ...(await this.read(id)), steps: [...steps] };
    const file = join(this.folderOf(id), "bundle.json");
    await writeFile(`${file}.new`, JSON.stringify(bundle), { mode: 0o600 });
    await rename(`${file}.new`, file);
  }

  async remove(id: string): Promise<void> {
    if (ID.test(id)) await rm(this.folderOf(id), { recursive: true, force: true });
  }

  private async trim(): Promise<void> {
    const names = await readdir(this.root);
    const old = names
      .filter((name) => ID.test(name))
      .sort()
      .slice(0, -BUNDLES_MAX);
    await Promise.all(old.map((id) => this.remove(id)));
  }
}
