/** What the documents say about each other and about the tree must be true: links, anchors, files, options of commands. */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { Glob } from "bun";

const ROOT = join(import.meta.dir, "../..");
const GUIDES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
const PAGES = [...GUIDES, ...new Glob("docs/*.md").scanSync(ROOT)].sort();
/** The comparison names files of other projects. */
const OWN_FILES = PAGES.filter((page) => page !== "docs/comparison.md");
const texts = new Map(
  await Promise.all(PAGES.map(async (page) => [page, await Bun.file(join(ROOT, page)).text()] as const)),
);
const text = (page: string) => texts.get(page) ?? "";
const prose = (page: string) => text(page).replaceAll(/^```[^]*?^```/gm, "");

test.each(PAGES)("every link of %s leads somewhere, and its anchor is there", (page) => {
  const broken: string[] = [];
  for (const [, target = ""] of prose(page).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [path = "", anchor = ""] = target.split("#");
    const file = path === "" ? page : normalize(join(dirname(page), path));
    if (!existsSync(join(ROOT, file))) broken.push(target);
    else if (anchor !== "" && texts.has(file) && !anchors(file).has(anchor)) broken.push(target);
  }
  expect(broken).toEqual([]);
});

test.each(OWN_FILES)("every file of this repository that %s names is there", (page) => {
  const named = [...prose(page).matchAll(/`((?:src|bridge|test|docs|images)\/[\w./-]+)`/g)].map(
    ([, path = ""]) => path,
  );
  // A folder or file whose name is to be filled in is in capitals; the fault table leaves out `test/`.
  const missing = named.filter(
    (path) => !/[A-Z]{3}/.test(path) && !["", "test"].some((at) => existsSync(join(ROOT, at, path))),
  );
  expect(missing).toEqual([]);
});

test.each(PAGES.filter((page) => page.startsWith("docs/")))(
  "%s begins with what it is about, and README.md lists it",
  (page) => {
    const [, , lead = ""] = text(page).split("\n");
    expect(lead).toMatch(/^[`_[*\w]/);
    expect(text("README.md").includes(`](${page})`)).toBe(true);
  },
);

test.each(PAGES)("every option of linkspan that %s shows is in the help of that command", (page) => {
  const unknown: string[] = [];
  for (const [, block = ""] of text(page).matchAll(/^```(?:sh|bash)\n([^]*?)^```/gm)) {
    for (const [line, command = ""] of block
      .replaceAll("\\\n", " ")
      .matchAll(/(?<![\w/.-])linkspan ([a-z]+)\b[^|;#\n]*/g)) {
      const own = line.split(/ -- | linkspan (?=[a-z])/)[0] ?? "";
      const options = own.match(/(?<=\s)--[a-z][a-z-]+/g) ?? [];
      unknown.push(
        ...options.filter((option) => !help(command).includes(option)).map((option) => `${command} ${option}`),
      );
    }
  }
  expect(unknown).toEqual([]);
});

test("the help of every command has examples of it", () => {
  const without = [...sections()].filter(
    ([name, body]) => !body.includes("\nExamples:\n") || !examples(body).includes(`linkspan ${name}`),
  );
  expect(without.map(([name]) => name)).toEqual([]);
});

test("every message that docs/troubleshooting.md explains is one of the program", async () => {
  const files = [...new Glob("{src,bridge}/**/*.ts").scanSync(ROOT)];
  const program = (await Promise.all(files.map((file) => Bun.file(join(ROOT, file)).text()))).join("\n");
  const cells = [...text("docs/troubleshooting.md").matchAll(/^\| ([^|]*) \|/gm)].map(([, cell = ""]) => cell);
  const messages = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+ [^`]+)`/g)].map(([, message = ""]) => message));
  expect(messages.length).toBeGreaterThan(20);
  const parts = messages.flatMap((message) => message.split("…").map((part) => part.trim()));
  expect(parts.filter((part) => !program.includes(part))).toEqual([]);
});

/** As GitHub makes them: lower case, hyphens for blanks, without punctuation, numbered when repeated. */
function anchors(page: string): Set<string> {
  const found = new Set([...prose(page).matchAll(/id="([^"]+)"/g)].map(([, id = ""]) => id));
  for (const [, heading = ""] of prose(page).matchAll(/^#+ (.+)$/gm)) {
    const words = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const slug = words.replaceAll(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-");
    let name = slug;
    for (let count = 1; found.has(name); count++) name = `${slug}-${count}`;
    found.add(name);
  }
  return found;
}

/** Each command's help, from docs/cli.md, of which another test says that it is the program's. */
function sections(): Map<string, string> {
  const parts = text("docs/cli.md").split(/^## /m).slice(1);
  return new Map(parts.map((part) => [part.slice(0, part.indexOf("\n")), part]));
}

function help(command: string): string {
  return sections().get(command) ?? "";
}

function examples(body: string): string {
  return body.slice(body.indexOf("\nExamples:\n"));
}
