/** What is asked of install.py, what it answers, and what its failures mean. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import type { Report } from "../runtime.ts";
import program from "./install.py" with { type: "text" };

export const INSTALLER = program;

export interface PythonWish {
  action: "resolve" | "install";
  /** PEP 508. `resolve` takes the first. */
  requirements: readonly string[];
  /** The newest that fits the first requirement, or a fault, whatever the others make of it. */
  newest?: boolean;
  /** Instead of requirements: exact versions with the digests of their archives, as `lockOf` has written them. */
  lock?: string | undefined;
  /** The package whose programs are asked for. */
  package?: string | undefined;
  /** Whether what the Python itself has is there, too. */
  system: boolean;
}

/** The file that install.py reads: the wish, and where everything is. */
export interface PythonRequest extends PythonWish {
  folder: string;
  /** Has room for its own files. */
  work: string;
  answer: string;
  /** Where bytecode goes, of the standard library, too; beside the files where absent. */
  bytecode?: string;
  /** After so long it ends itself, whoever has forgotten it. */
  seconds: number;
  /** For pip alone. */
  environment: Record<string, string>;
}

const packages = v.array(
  v.object({ name: v.string(), version: v.string(), sha256: v.pipe(v.string(), v.regex(/^([0-9a-f]{64})?$/)) }),
);
export const pythonAnswer = v.object({
  packages,
  /** In the environment's `bin`, of the package that was asked for. */
  programs: v.array(v.pipe(v.string(), v.regex(/^[A-Za-z0-9._+-]+$/))),
  /** `3.13.5`. */
  python: v.string(),
});
export type PythonAnswer = v.InferOutput<typeof pythonAnswer>;
/** Some hundred packages. */
export const ANSWER_BYTES_MAX = 1024 * 1024;

/** Fault `internal` for what install.py does not write. */
export function readAnswer(text: string): PythonAnswer {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), pythonAnswer), text);
  if (parsed.success) return parsed.output;
  throw new Fault("internal", `the answer of the installation makes no sense: ${parsed.issues[0].message}`);
}

/** Requirements that only these archives fulfil. A package of another kind of archive, which has no digest, is left out. */
export function lockOf({ packages: found }: PythonAnswer): string {
  const lines = found.filter(({ sha256 }) => sha256 !== "");
  return lines.map(({ name, version, sha256 }) => `${name}==${version} --hash=sha256:${sha256}\n`).join("");
}

/** What pip says, line by line: told to whoever waits, and kept for the fault, both bounded. */
export class Said {
  private readonly lines: string[] = [];
  private count = 0;

  constructor(
    private readonly subject: string,
    private readonly report: Report,
  ) {}

  hear(line: string): void {
    // The URL of an index may carry a password.
    const harmless = line
      .replaceAll(/\/\/[^/@\s]*@/g, "//")
      .trim()
      .slice(0, LINE_CHARS_MAX);
    if (harmless === "") return;
    this.lines.push(harmless);
    if (this.lines.length > LINES_KEPT) this.lines.shift();
    if (this.count++ < LINES_TOLD) this.report({ step: "install", detail: `${this.subject}: ${harmless}` });
  }

  fault(): Fault {
    const output = this.lines.join("\n");
    const errors = this.lines.filter((line) => /^(ERROR|linkspan):/.test(line));
    // The first one says what is wrong; the last one often only that something is.
    const detail = (
      errors.find((line) => !/Ignored the following/.test(line)) ??
      this.lines.at(-1) ??
      "no reason given"
    )
      .replace(/^(ERROR|linkspan):\s*/, "")
      .slice(0, DETAIL_CHARS_MAX);
    const known = FAILURES.find(({ said }) => said.test(output));
    if (known) return known.fault(this.subject, detail);
    return new Fault("internal", `installing ${this.subject} failed: ${detail}`);
  }
}

const LINE_CHARS_MAX = 1_000;
const LINES_KEPT = 100;
const LINES_TOLD = 1_000;
const DETAIL_CHARS_MAX = 300;

/** What pip says about each failure; it has no machine-readable form of it. The order matters: each says more than the next. */
const FAILURES: { said: RegExp; fault: (subject: string, detail: string) => Fault }[] = [
  {
    said: /linkspan: this Python has no pip|No module named (?:'?)(venv|pip)\b|can't open file .*install\.py/,
    fault: (subject, detail) =>
      new Fault("unsupported", `${subject} cannot be installed: ${detail}`, {
        hint: "Python needs its modules venv and pip: take an image such as python:3.13-slim, or install python3-venv and python3-pip",
      }),
  },
  {
    said: /\b40[13] Client Error|\bHTTP error 40[13]\b|User for .*:/,
    fault: (subject) =>
      new Fault("forbidden", `the package index refuses access to ${subject}`, {
        hint: "put name and password into the URL of PIP_INDEX_URL or pip.conf",
      }),
  },
  {
    said: /NameResolutionError|Failed to establish a new connection|ConnectTimeout|Read timed out|CERTIFICATE_VERIFY|SSLError|Max retries exceeded|ProxyError|Connection refused|Connection reset|ConnectionResetError|Network is unreachable|Temporary failure in name resolution|\b5\d\d (?:Server|Client) Error/,
    fault: (subject, detail) =>
      new Fault("unreachable", `the package index cannot be reached for ${subject}: ${detail}`, {
        hint: "check the network, the proxy and PIP_INDEX_URL or pip.conf; a container does the installing, and for it 127.0.0.1 is itself",
      }),
  },
  {
    said: /DO NOT MATCH THE HASHES/,
    fault: (subject) =>
      new Fault("conflict", `the archives of ${subject} are not those that were installed before`, {
        hint: "they may have been saved for another processor or another Python; leave the saved versions out",
      }),
  },
  {
    said: /\(from versions: none\)/,
    fault: (subject, detail) =>
      new Fault("not-found", `the package index has nothing for ${subject}: ${detail}`, {
        hint: "check the spelling, and whether the package has wheels (compiled packages) for this Python: others are not built",
      }),
  },
  {
    said: /ResolutionImpossible|conflicting dependencies/,
    fault: (subject, detail) =>
      new Fault("conflict", `${subject} needs packages that exclude each other: ${detail}`, {
        hint: "name another version, or narrow what it needs: pypi:PACKAGE@VERSION,OTHER<2",
      }),
  },
  {
    said: /No matching distribution|Could not find a version/,
    fault: (subject, detail) =>
      new Fault("not-found", `the package index has no such version for ${subject}: ${detail}`, {
        hint: "leave the version out to get the latest one; only wheels for this Python count",
      }),
  },
  {
    said: /No space left on device/,
    fault: (subject) => new Fault("exhausted", `there is no room left to install ${subject}`),
  },
];
