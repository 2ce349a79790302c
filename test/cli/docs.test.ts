/** What the documents show must be true: the reference is the program's own help, and commands exist (test/tidy/docs.unit.test.ts has the rest). */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { Glob } from "bun";
import { firstWords } from "../../src/cli/commands.ts";
import { cliReference, REFERENCE } from "../support/cli-reference.ts";

const root = join(import.meta.dir, "../..");
const pages = ["README.md", "CHANGELOG.md", ...new Glob("docs/*.md").scanSync(root)].sort();
const read = (page: string) => Bun.file(join(root, page)).text();

test("docs/cli.md is the help of this program (bun test/support/cli-reference.ts writes it)", async () => {
  expect(await Bun.file(REFERENCE).text()).toBe(await cliReference());
});

test.each(pages)("every linkspan command in %s exists", async (page) => {
  const unknown: string[] = [];
  for (const [, block = ""] of (await read(page)).matchAll(/```sh\n([^]*?)```/g)) {
    for (const [, word = ""] of block.matchAll(/(?:^|[\s(])(?:dist\/)?linkspan ([a-z]+)/gm)) {
      if (!firstWords().includes(word)) unknown.push(word);
    }
  }
  expect(unknown).toEqual([]);
});
