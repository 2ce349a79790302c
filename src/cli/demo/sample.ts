/** The folder that the demo shows: small, made anew, and readable for whatever user the server runs as. */
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export const HELLO_FILE = "hello.txt";

const FILES: Record<string, string> = {
  [HELLO_FILE]: "Hello! An MCP server has read this file for you.\nIt was given this folder and nothing else.\n",
  "shopping.md": "- bread\n- coffee\n- a longer extension cord\n",
  "journal/monday.md": "Joined the ship to the shore. The linkspan held.\n",
};

export const SAMPLE_FILES = Object.keys(FILES).length;

/** A folder of the demo's own under the temp directory; everything it leaves on disk is in it. */
export async function makeWorkspace(): Promise<{ folder: string; data: string; sample: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-demo-"));
  const data = join(folder, "data");
  const sample = join(folder, "sample");
  await mkdir(data, { mode: 0o700 });
  for (const [name, text] of Object.entries(FILES)) {
    await mkdir(dirname(join(sample, name)), { recursive: true });
    await writeFile(join(sample, name), text);
  }
  // The umask may have taken the read bits that the server's user needs.
  for (const path of ["", "journal"]) await chmod(join(sample, path), 0o755);
  for (const name of Object.keys(FILES)) await chmod(join(sample, name), 0o644);
  return {
    folder,
    data,
    sample,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }),
  };
}
