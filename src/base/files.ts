/** Small files that are whole or not there, whatever interrupts their writing. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";

/** Replaces the file's content; private to the user (0600). Readers see the old or the new, never a part. */
export function replaceFile(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, "w", 0o600);
  try {
    try {
      const bytes = Buffer.from(content);
      if (writeSync(file, bytes) !== bytes.byteLength) throw new Error(`${path} was written in part`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
