/**
 * Recovery bundles: what a destructive tool leaves behind so that `docker_undo` can make its work undone. One folder
 * each under DATA_DIR/undo, with `bundle.json` and the archives that its steps name. They are sealed: a bundle makes again
 * what was there, privileged or not, so nobody but Linkspan may have written it.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { fileSum, sealFits, sealKey, sealOf } from "./seal.ts";

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
  /** SHA-256 of each archive, by its name in the folder. */
  sums: v.record(v.string(), v.string()),
});
/** The file: a bundle as text, and the seal of that text. */
const sealed = v.object({ bundle: v.string(), seal: v.string() });
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
        const names = (await readdir(folder)).toSorted();
        const sums = Object.fromEntries(
          await Promise.all(names.map(async (name) => [name, await fileSum(join(folder, name))] as const)),
        );
        await this.write(folder, { id, at: new Date(now).toISOString(), tool, summary, steps: [...steps], sums });
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
    const file = v.safeParse(v.pipe(v.string(), v.parseJson(), sealed), text);
    if (file.success && sealFits(await sealKey(this.keyFile), file.output.bundle, file.output.seal)) {
      const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), bundleSchema), file.output.bundle);
      // Another bundle's text, sealed as it is, is not this one's.
      if (parsed.success && parsed.output.id === id) return parsed.output;
    }
    throw new Fault("invalid", `the recovery bundle ${id} is not as it was written, and nothing is made from it`, {
      hint: "What it was made of lies in its folder in the data directory.",
    });
  }

  /** As `read`, with its archives. Faults: `invalid` also where one of them has changed. */
  async open(id: string): Promise<Bundle> {
    const bundle = await this.read(id);
    for (const [name, sum] of Object.entries(bundle.sums)) {
      const found = await fileSum(join(this.folderOf(id), name)).catch(() => undefined);
      if (found !== sum)
        throw new Fault("invalid", `${name} of the recovery bundle ${id} is not as it was written`, {
          hint: "Nothing was made from it.",
        });
    }
    return bundle;
  }

  folderOf(id: string): string {
    return join(this.root, id);
  }

  /** Leaves only these steps to be done. */
  async shorten(id: string, steps: readonly RecoveryStep[]): Promise<void> {
    const bundle = { ...(await this.read(id)), steps: [...steps] };
    await this.write(this.folderOf(id), bundle);
  }

  private async write(folder: string, bundle: Bundle): Promise<void> {
    const text = JSON.stringify(bundle);
    const seal = sealOf(await sealKey(this.keyFile), text);
    const file = join(folder, "bundle.json");
    await writeFile(`${file}.new`, JSON.stringify({ bundle: text, seal }), { mode: 0o600 });
    await rename(`${file}.new`, file);
  }

  private get keyFile(): string {
    return `${this.root}.key`;
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
