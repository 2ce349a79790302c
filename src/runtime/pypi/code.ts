/** The packages of a created Python server: what pip is asked for, and which versions are kept for the next time. */
import type { CodeSource, CodeVersions } from "../../model/code.ts";
import { lockOf, type PythonAnswer } from "./installer.ts";
import { normalName, pythonRequirement } from "./ref.ts";

/** Fault `invalid`, naming the one that is none. */
export function requirementsOf({ dependencies }: CodeSource): string[] {
  return Object.entries(dependencies)
    .map(([name, want]) => pythonRequirement(name, want))
    .toSorted();
}

/** Undefined where nothing was installed: what the Python itself has is not kept. */
export function versionsFound({ dependencies }: CodeSource, answer: PythonAnswer): CodeVersions | undefined {
  const lock = lockOf(answer);
  if (lock === "") return undefined;
  const versions = new Map(answer.packages.map(({ name, version }) => [normalName(name), version]));
  const exact = Object.entries(dependencies).map(([name, want]) => {
    const plain = normalName(name.replace(/\[.*/, ""));
    return [name, versions.get(plain) ?? want] as const;
  });
  return { dependencies: Object.fromEntries(exact), lock };
}
