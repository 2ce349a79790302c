/**
 * `code:ID`: a server made of source text instead of a package. Whoever makes one writes its files into the manager's data
 * directory; ID is the digest of what is in them, so that what runs under a name is always the same.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import * as v from "valibot";

const SCHEME = "code:";
const ID = /^[a-z]{1,16}-[0-9a-f]{40}$/;

/** Of one server's source, UTF-16 units; more is a package. */
export const CODE_CHARS_MAX = 1024 * 1024;
export const DEPENDENCIES_MAX = 32;
const LOCK_CHARS_MAX = 4 * 1024 * 1024;

/** The name of the file in each language. The Bun inside this executable runs all but Python. */
export const CODE_ENTRY = { typescript: "server.ts", javascript: "server.js", python: "server.py" } as const;

const packageName = v.pipe(
  v.string(),
  v.maxLength(214),
  // In brackets: the extras of a Python package.
  v.regex(
    /^(?:@[A-Za-z0-9][A-Za-z0-9._~-]*\/)?[A-Za-z0-9][A-Za-z0-9._~-]*(?:\[[A-Za-z0-9._,-]+\])?$/,
    "expected the name of a package",
  ),
);
/** Without `:` and `/` it can be no path, URL, alias or git shorthand. */
const packageWant = v.pipe(
  v.string(),
  v.maxLength(128),
  v.regex(/^[0-9A-Za-z^~<>=!*][0-9A-Za-z.^~<>=!,|*+-]*$/, "expected a version, a range or a tag of a registry"),
);

/** Package → version, range or tag. */
export const dependencies = v.pipe(
  v.record(packageName, packageWant),
  v.check((found) => Object.keys(found).length <= DEPENDENCIES_MAX, `expected at most ${DEPENDENCIES_MAX} packages`),
);

/** What a server is made of. */
export const codeSource = v.object({
  language: v.picklist(["typescript", "javascript", "python"]),
  code: v.pipe(v.string(), v.maxLength(CODE_CHARS_MAX)),
  dependencies,
  /** Which versions an earlier installation has found, in the package manager's own words; the same ones are taken again. */
  lock: v.optional(v.pipe(v.string(), v.maxLength(LOCK_CHARS_MAX))),
  /** Of Python: the image that it is built on, or `exec:PROGRAM`; the manager's own where absent. */
  base: v.optional(v.pipe(v.string(), v.maxLength(512))),
});
export type CodeSource = v.InferOutput<typeof codeSource>;

/** What an installation has found, as it is kept for the next one. */
export const codeVersions = v.object({ dependencies: v.record(v.string(), v.string()), lock: v.string() });
export type CodeVersions = v.InferOutput<typeof codeVersions>;

/** `code:typescript-4f…`; the same for the same source. */
export function codeRef({ language, code, dependencies: wanted, lock = "", base }: CodeSource): string {
  const packages = Object.entries(wanted).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify([language, code, packages, lock, ...(base === undefined ? [] : [base])]);
  return `${SCHEME}${language}-${createHash("sha256").update(text).digest("hex").slice(0, 40)}`;
}

export function isCodeRef(image: string): boolean {
  return codeId(image) !== undefined;
}

/** Undefined for a reference of another kind. */
export function codeId(image: string): string | undefined {
  const id = image.startsWith(SCHEME) ? image.slice(SCHEME.length) : "";
  return ID.test(id) ? id : undefined;
}

/** Where created servers have their files: `sources/ID.json`, `locks/ID`, `builds/ID` (processes only), `saved/NAME.json`. */
export function createdFolder(dataDir: string): string {
  return join(dataDir, "created");
}

export function sourceFile(dataDir: string, id: string): string {
  return join(createdFolder(dataDir), "sources", `${id}.json`);
}

/** Written by whoever installs it. */
export function lockFile(dataDir: string, id: string): string {
  return join(createdFolder(dataDir), "locks", id);
}
