/** Folders for temporary files that can be told from those of others, so that they can be removed when their process was killed. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Purpose = "npm" | "python" | "image" | "socket";

/** A new folder; whoever makes it removes it. */
export function temporaryFolder(purpose: Purpose): Promise<string> {
  return mkdtemp(prefixOf(purpose));
}

export function temporaryFolderSync(purpose: Purpose): string {
  return mkdtempSync(prefixOf(purpose));
}

/** Those of a process that is gone. Never throws: another user's stay where they are. */
export function removeTemporaryFolders(pid: number): void {
  const names = new RegExp(`^linkspan-(npm|python|image|socket)-${pid}-[A-Za-z0-9]{6}$`);
  try {
    for (const name of readdirSync(tmpdir())) {
      if (names.test(name)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
    }
  } catch {
    // They are in the way of nobody.
  }
}

function prefixOf(purpose: Purpose): string {
  return join(tmpdir(), `linkspan-${purpose}-${process.pid}-`);
}
