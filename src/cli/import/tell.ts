/** What was decided, as a table with its reasons, and what is left to do. */
import { table } from "../table.ts";
import { note, oneLine, onStderr, onStdout, print } from "../terminal.ts";
import type { Decision } from "./draft.ts";
import { variablesIn } from "./references.ts";

export interface Outcome {
  file: string;
  /** Names that were added. */
  added: string[];
  decisions: Decision[];
  /** Variables that the manager needs and that are not set here. */
  unset: string[];
  /** The file as it would be; with a dry run. */
  text?: string;
  backup?: string;
}

export function unsetVariables(decisions: readonly Decision[], env: Record<string, string | undefined>): string[] {
  return variablesIn(decisions.map(({ body }) => body ?? null)).filter((name) => env[name] === undefined);
}

export function tell({ file, added, decisions, unset, text, backup }: Outcome): void {
  // With a dry run the file is the data, and the reasons are for people.
  const say = text === undefined ? print : note;
  if (text !== undefined) print(text.trimEnd());
  say(table([{ title: "SERVER" }, { title: "BECOMES" }], decisions.map(row)));
  for (const { name, notes } of decisions.filter((one) => one.notes.length > 0)) {
    say("");
    say(onStdout.bold(name));
    for (const words of notes) say(`  ${oneLine(words)}`);
  }
  say("");
  if (text !== undefined) return note(`${oneLine(file)} was not changed.`);
  if (added.length === 0) return print("Nothing was added.");
  print(`${onStdout.green("✓")} ${added.length === 1 ? "1 server" : `${added.length} servers`} → ${oneLine(file)}`);
  if (backup !== undefined && !backup.endsWith(".absent")) print(onStdout.dim(`  before: ${oneLine(backup)}`));
  if (unset.length > 0) {
    note(`${onStderr.yellow("!")} Set ${unset.join(", ")} where the manager starts: without them it refuses the file.`);
  }
  note(onStderr.dim("  A manager that runs reads the file when it is started again."));
}

function row({ name, kind, body }: Decision): string[] {
  return [name, body === undefined ? onStdout.yellow(kind) : oneLine(body.image)];
}
