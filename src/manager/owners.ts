/**
 * Whether the owner of something on the engine is gone. A manager holds the lock of its data directory as long as it
 * lives, however it ends; so the lock decides, and for as long as somebody cleans up after an owner he holds it in the
 * owner's place: no manager comes up on that directory in the middle.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DATA_FILE } from "../base/data-dir.ts";
import { Fault } from "../base/fault.ts";
import { LABEL } from "../runtime/labels.ts";
import { isHere, makerRuns, type Owner, parseOwner, seesSameFiles } from "../runtime/owner.ts";
import type { Labels } from "../runtime/runtime.ts";
import { borrowLock } from "./lock.ts";
import type { Standing } from "./reaper.ts";

export interface OwnerView {
  standing: Exclude<Standing, "none">;
  /** Of a dead owner whose data directory is still there: its bridges answer to whoever has this. */
  key?: Uint8Array;
}

const UNKNOWN: OwnerView = { standing: "unknown" };
const KEY_BYTES = 32;

/** What is known of owners for the time of one pass; disposing of it gives the locks back. */
export class Owners implements Disposable {
  private readonly views = new Map<string, OwnerView>();
  private readonly locks: Disposable[] = [];

  constructor(
    /** The manager's own instance id. */
    private readonly self: string,
  ) {}

  of(labels: Labels): OwnerView {
    const instance = labels[LABEL.instance] ?? "";
    if (instance === this.self) return { standing: "self" };
    const label = labels[LABEL.owner] ?? "";
    const key = `${instance} ${label}`;
    const view = this.views.get(key) ?? this.look(instance, parseOwner(label));
    this.views.set(key, view);
    return view;
  }

  [Symbol.dispose](): void {
    for (const lock of this.locks.splice(0)) lock[Symbol.dispose]();
  }

  private look(instance: string, owner: Owner | undefined): OwnerView {
    if (!owner || !isHere(owner)) return UNKNOWN;
    const { dir } = owner;
    // A helper's owner is the process that works with it, and nobody takes it over.
    if (dir === undefined) return makerRuns(owner) ? { standing: "alive" } : { standing: "dead" };
    const found = read(join(dir, DATA_FILE.instance));
    if (found === "denied") return UNKNOWN;
    if (found?.toString().trim() !== instance) {
      // Deleted, or another manager's by now. Whoever knows the old key in memory is the maker, if it still runs.
      if (!seesSameFiles(owner)) return UNKNOWN;
      return makerRuns(owner) ? { standing: "alive" } : { standing: "dead" };
    }
    try {
      const lock = borrowLock(dir);
      if (!lock) return { standing: "alive" };
      this.locks.push(lock);
    } catch (error) {
      if (error instanceof Fault) return UNKNOWN;
      throw error;
    }
    const key = read(join(dir, DATA_FILE.key));
    return { standing: "dead", ...(key instanceof Buffer && key.byteLength === KEY_BYTES ? { key } : {}) };
  }
}

/** Undefined where there is no such file. */
function read(path: string): Buffer | "denied" | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    return code === "ENOENT" || code === "ENOTDIR" ? undefined : "denied";
  }
}
