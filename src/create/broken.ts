/** Why a created server does not work, as whoever wrote it has to know it: its own words, with the lines of its code. */
import { Fault } from "../base/fault.ts";

/** Of what the server has written; the end of it says most. */
const WORDS_CHARS_MAX = 4_000;

/** A fault of a start, or of a call, with what the server has written to stderr. */
export function brokenFault(error: unknown, what: string): Fault {
  const fault = Fault.from(error);
  const stderr = stderrOf(fault.data);
  if (fault.kind !== "server-failed" && !(fault.kind === "timeout" && stderr !== "")) return fault;
  const reason = fault.message.replace("; whether the request was carried out is not known", "");
  const message = stderr === "" ? `${what}: ${reason}` : `${what}: ${reason}\n${stderr}`;
  return new Fault("server-failed", message, {
    cause: error,
    hint: "Mend the code and make the same call again; nothing of this code is running.",
    data: { stderr, ...(typeof fault.data?.code === "number" ? { exitCode: fault.data.code } : {}) },
  });
}

/** It lives, and says nothing. */
export function silentFault(waitedMs: number): Fault {
  return new Fault("server-failed", `the server did not answer initialize within ${Math.round(waitedMs / 1000)} s`, {
    hint: "It has to speak MCP on standard input and output, and to write nothing else there. Nothing of it is running.",
  });
}

/** A change that failed: the server that it was for is as it was. */
export function unchangedFault(error: unknown): Fault {
  const { kind, message, hint, data } = Fault.from(error);
  const kept = "The server serves on as it was.";
  return new Fault(kind, message, { cause: error, hint: hint === undefined ? kept : `${hint} ${kept}`, data });
}

function stderrOf(data: Record<string, unknown> | undefined): string {
  const found = data?.stderr;
  const text = Array.isArray(found) ? found.join("\n") : typeof found === "string" ? found : "";
  // Where the code is in its container, or in the data directory, is of no use to its author.
  return text
    .replaceAll(/(?:\/[^\s:()"']*)?\/(?=server\.(?:ts|js|py)\b)/g, "")
    .replace(/\n?Bun v\S+ \(.*\)\s*$/, "")
    .trim()
    .slice(-WORDS_CHARS_MAX);
}
