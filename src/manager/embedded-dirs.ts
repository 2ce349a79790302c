/**
 * Data directories of managers inside fronts (`linkspan mcp --embedded`). Each goes with its front, unless that was killed:
 * then it is removed here, once nothing on the engine needs its key any more.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DATA_FILE } from "../base/data-dir.ts";
import { borrowLock } from "./lock.ts";

/** The directory of a manager that is gone, if it is of that kind; the shared one is everybody's. */
export function removeEmbeddedDir(dir: string): void {
  if (basename(dirname(dir)) === DATA_FILE.embedded) rmSync(dir, { recursive: true, force: true });
}

/** `needed`: data directories of which something is left. Never throws; what cannot be removed is tried again. */
export function removeEmbeddedDirs(home: string, needed: ReadonlySet<string>): void {
  const root = join(home, DATA_FILE.embedded);
  if (!existsSync(root)) return;
  for (const name of readdirSync(root)) {
    const dir = join(root, name);
    // A manager that is just coming up has its lock before it has an instance.
    if (needed.has(dir) || !existsSync(join(dir, DATA_FILE.instance))) continue;
    try {
      using lock = borrowLock(dir);
      if (lock) rmSync(dir, { recursive: true, force: true });
    } catch {
      // Not ours, or not a data directory.
    }
  }
}
