/** `code:ID`: where a created server's source is, and the versions that an installation of it has found. */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { codeId, type CodeSource, codeSource, type CodeVersions, lockFile, sourceFile } from "../model/code.ts";

/** `code:ID` → ID; only for what `isCodeRef` has found to be one. */
export function idOfCode(image: string): string {
  const id = codeId(image);
  if (id !== undefined) return id;
  throw new Fault("invalid", `${JSON.stringify(image)} is no created server`);
}

/** Fault `not-found` where it is not in this data directory. */
export async function readSource(dataDir: string, id: string): Promise<CodeSource> {
  const text = await readFile(sourceFile(dataDir, id), "utf8").catch((cause) => {
    throw new Fault("not-found", `the source of ${id} is not in this manager's data directory`, {
      cause,
      hint: "Create the server again; it and its manager need the same LINKSPAN_DATA_DIR.",
    });
  });
  return v.parse(codeSource, JSON.parse(text));
}

/** For the source of a saved server: which versions were found, of what it wants and of what that wants. */
export async function keepVersions(dataDir: string, id: string, versions: CodeVersions): Promise<void> {
  const file = lockFile(dataDir, id);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${crypto.randomUUID()}`;
  await writeFile(draft, JSON.stringify(versions), { mode: 0o600 });
  await rename(draft, file);
}
