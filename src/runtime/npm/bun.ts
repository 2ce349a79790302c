/** The Bun inside this executable, run as a package manager. */
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { readLines } from "../lines.ts";
import { FAMILY_VARIABLE, helperMark, identify } from "../process/identity.ts";

/** A version's manifest is some KiB; what is longer than this is no answer of a registry. */
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;
/** Names that would load code into Bun or open a debugger in it. */
const STEERING = ["BUN_OPTIONS", "BUN_INSPECT", "BUN_INSPECT_CONNECT_TO", "BUN_INSPECT_NOTIFY", "NODE_OPTIONS"];

/**
 * Runs `bun ARGS` in a folder and returns its stdout. `subject` is the package in faults; each line of stderr goes to
 * `progress`. Killed at the deadline.
 */
export async function runBun(
  args: string[],
  cwd: string,
  subject: string,
  progress: (line: string) => void,
  deadline: Deadline,
): Promise<string> {
  const env: Record<string, string | undefined> = { ...process.env, BUN_BE_BUN: "1", NO_COLOR: "1" };
  for (const name of STEERING) delete env[name];
  const self = identify(process.pid);
  if (self) env[FAMILY_VARIABLE] = helperMark(self);
  const child = Bun.spawn([process.execPath, ...args], { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const said: string[] = [];
  const hear = (line: string) => {
    const harmless = withoutPasswords(line);
    said.push(harmless);
    progress(harmless);
  };
  const work = Promise.all([text(child.stdout), readLines(child.stderr, hear), child.exited]);
  try {
    const [output, , code] = await deadline.race(`asking the npm registry for ${subject}`, work);
    if (code === 0) return output;
    throw registryFault(subject, [withoutPasswords(output), ...said].join("\n"));
  } finally {
    child.kill("SIGKILL");
    work.catch(() => {});
  }
}

/** What Bun 1.4 says about each failure; it has no machine-readable form of it. */
const FAILURES: { said: RegExp; fault: (subject: string, detail: string) => Fault }[] = [
  {
    said: /\b404\b|does not exist in this registry/,
    fault: (subject) =>
      new Fault("not-found", `npm has no package ${subject.replace(/(?<=.)@[^@/]*$/, "")}`, {
        hint: "check the spelling; a private package needs its registry and token in ~/.npmrc",
      }),
  },
  {
    said: /No matching version found|No version matching|Dist-tag not found|package exists/,
    fault: (subject) =>
      new Fault("not-found", `npm has no version ${subject}`, { hint: "leave the version out to get the latest one" }),
  },
  {
    said: /\b40[13]\b/,
    fault: (subject) =>
      new Fault("forbidden", `the npm registry refuses access to ${subject}`, {
        hint: "put the registry's token into ~/.npmrc",
      }),
  },
  {
    said: /Integrity check failed|IntegrityCheckFailed/i,
    fault: (subject) => new Fault("conflict", `the archive of ${subject} does not have the registry's checksum`),
  },
  {
    said: /Refused|Resolve|Timeout|Unreachable|Reset|Closed|CERT|certificate|ENOTFOUND|ECONN|\b5\d\d\b|\b429\b|failed to send/i,
    fault: (subject, detail) =>
      new Fault("unreachable", `the npm registry cannot be reached for ${subject}: ${detail}`, {
        hint: "check the network, the proxy and `npm config get registry`; NPM_CONFIG_REGISTRY names another one",
      }),
  },
];

function registryFault(subject: string, output: string): Fault {
  const detail = lastWords(output);
  const known = FAILURES.find((failure) => failure.said.test(output));
  return known?.fault(subject, detail) ?? new Fault("internal", `installing ${subject} failed: ${detail}`);
}

/** The URL of a registry may carry a password. */
function withoutPasswords(text: string): string {
  return text.replaceAll(/\/\/[^/@\s]*@/g, "//");
}

/** The most telling line, bounded. */
function lastWords(output: string): string {
  const said = output.split("\n").filter((line) => line.trim() !== "");
  const line = said.find((candidate) => candidate.startsWith("error:")) ?? said.at(-1) ?? "no reason given";
  return line.replace(/^error:\s*/, "").slice(0, 300);
}

async function text(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let all = "";
  for await (const chunk of stream) if (all.length < OUTPUT_BYTES_MAX) all += decoder.decode(chunk, { stream: true });
  return all;
}
