/**
 * `pypi:PACKAGE[EXTRAS][@VERSION][,REQUIREMENT…]`: a package of the Python Package Index with a program. What follows a
 * comma are further requirements, for packages whose own are too wide: `pypi:postgres-mcp@0.1.0,mcp<2`.
 */
import { createHash } from "node:crypto";
import { Fault } from "../../base/fault.ts";

export interface PypiRef {
  /** Normalised (PEP 503): `mcp-server-time`. */
  package: string;
  /** With brackets; empty where there are none. */
  extras: string;
  /** PEP 440: one exact version, or a specifier set such as `>=1,<2`; empty is the latest. */
  want: string;
  /** Whether `want` is one version, so that nobody needs to be asked which one is meant. */
  exact: boolean;
  /** Further requirements, PEP 508 without spaces. */
  others: string[];
}

export interface PypiVersion {
  version: string;
  /** Of the package's archive, hex. */
  sha256: string;
}

/** What images with Python are built on unless somebody says otherwise. */
export const PYTHON_IMAGE = "python:3.13-slim";

const SCHEME = "pypi:";
const NAME = "[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?";
const EXTRAS = "\\[[A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*\\]";
/** PEP 440 without epochs in the way of people; `+` begins a local version. */
const VERSION = "[0-9][0-9A-Za-z.!+_-]{0,127}";
const CLAUSE = `(?:~=|==|!=|<=|>=|<|>)[0-9][0-9A-Za-z.!+*_-]{0,127}`;
const CLAUSES = `${CLAUSE}(?:,${CLAUSE})*`;
const REQUIREMENT = new RegExp(`^(${NAME})(${EXTRAS})?(${CLAUSES})?$`);
const REF = new RegExp(
  `^(${NAME})(${EXTRAS})?(?:@(${VERSION}|latest|${CLAUSES}))?((?:,${NAME}(?:${EXTRAS})?(?:${CLAUSES})?)*)$`,
);
const OTHERS_MAX = 16;

export function isPypiRef(image: string): boolean {
  return image.startsWith(SCHEME);
}

/** Fault `invalid` for anything else. */
export function parsePypiRef(ref: string): PypiRef {
  const [, name = "", extras = "", said = "", rest = ""] = REF.exec(ref.slice(SCHEME.length)) ?? [];
  // A comma before a name begins a requirement, one before an operator goes on with bounds.
  const others = rest.split(/,(?=[A-Za-z0-9])(?![^[]*\])/).filter((one) => one !== "");
  if (!isPypiRef(ref) || name === "" || others.length > OTHERS_MAX) {
    throw new Fault("invalid", `${JSON.stringify(ref)} is not a reference to a Python package`, {
      hint: "write pypi:PACKAGE, pypi:PACKAGE@VERSION or pypi:PACKAGE@VERSION,OTHER<2; only packages of an index can be run",
    });
  }
  const want = said === "latest" ? "" : said;
  return { package: normalName(name), extras, want, exact: /^[0-9]/.test(want), others };
}

/** PEP 503: names that differ in case, `-`, `_` and `.` only are one name. */
export function normalName(name: string): string {
  return name.replaceAll(/[-_.]+/g, "-").toLowerCase();
}

/** As pip is asked for it. */
export function requirementOf({ package: name, extras, want, exact }: PypiRef): string {
  return `${name}${extras}${exact ? "==" : ""}${want}`;
}

/** What makes two installations of one version different. */
export function flavourOf({ extras, others }: PypiRef): string {
  return [extras, ...others].join(",").replace(/^,/, "");
}

export function digest(...parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
}

/**
 * One requirement of a created server: a package with its version, specifiers, or `latest`. Fault `invalid` for what pip
 * would take for a path, a URL or an option.
 */
export function pythonRequirement(name: string, want: string): string {
  const said = want === "latest" || want === "*" ? "" : /^[0-9]/.test(want) ? `==${want}` : want;
  const requirement = `${name}${said}`;
  // A word that is no operator would become a part of the name.
  if (REQUIREMENT.test(name) && REQUIREMENT.test(requirement) && /^([~=!<>]|$)/.test(said)) return requirement;
  throw new Fault("invalid", `${name} ${want} is no requirement of a Python package`, {
    hint: "Give a version (2.1.0), bounds (>=2,<3 or ~=2.1) or latest.",
  });
}
