/** docs/cli.md from the program's own help, so that the two cannot differ: `bun test/support/cli-reference.ts` writes it. */
import { join } from "node:path";
import { COMMANDS, ROLES } from "../../src/cli/commands.ts";
import { linkspan } from "./cli.ts";

export const REFERENCE = join(import.meta.dir, "../../docs/cli.md");

export async function cliReference(): Promise<string> {
  const sections = [INTRODUCTION, block((await linkspan([])).out)];
  for (const { name } of [...COMMANDS, ...ROLES]) {
    const { out } = await linkspan([name, "--help"]);
    sections.push(`## ${name}`, block(out));
  }
  return `${sections.join("\n\n")}\n`;
}

const INTRODUCTION = `# Commands

Data goes to stdout, everything else to stderr; colour and progress appear only in a terminal, and not with \`NO_COLOR\`.
[Exit codes and JSON](programs.md#exit-codes-and-json) are for programs. This page is made from \`--help\`.`;

function block(text: string): string {
  return `\`\`\`\n${text.trimEnd()}\n\`\`\``;
}

if (import.meta.main) await Bun.write(REFERENCE, await cliReference());
