/** Style is a test: the import table of ARCHITECTURE.md, sizes of files and functions, loose types, stdout. */
import { expect, test } from "bun:test";
import { Glob } from "bun";
import { dirname, join, normalize } from "node:path";
import { parseSync, Visitor } from "oxc-parser";

const root = join(import.meta.dir, "../..");
const FILE_LINES_MAX = 300;
const FUNCTION_LINES_MAX = 70;

/** Folder → what it may import of ours. The longest matching folder wins. ARCHITECTURE.md shows the same table. */
const MAY_IMPORT: Record<string, string[]> = {
  bridge: [],
  "src/base": [],
  "src/model": ["src/base"],
  "src/docker": ["src/base"],
  "src/transport": [
    "src/base",
    "bridge/wire.ts",
    "bridge/lines.ts",
    "bridge/envelope.ts",
    "bridge/replay.ts",
    "bridge/acks.ts",
  ],
  "src/runtime": ["src/base", "src/model", "src/docker", "bridge/wire.ts"],
  "src/manager": [
    "src/base",
    "src/model",
    "src/runtime",
    "src/transport",
    "bridge/wire.ts",
    "bridge/breaker.ts",
    "bridge/vanished.ts",
  ],
  "src/gateway": ["src/base", "src/model", "src/transport"],
  "src/safety": ["src/base", "src/docker/bind-rules.ts"],
  "src/api/client": ["src/base", "src/model"],
  "src/api": ["src/base", "src/model", "src/safety", "src/manager", "src/gateway", "src/runtime/runtime.ts"],
  "src/compose": ["src/base", "src/model", "src/docker"],
  "src/create": ["src/base", "src/model", "src/transport", "src/gateway", "src/api/client"],
  "src/toolset": [
    "src/base",
    "src/model",
    "src/safety",
    "src/docker",
    "src/runtime",
    "src/compose",
    "src/create",
    "src/api/client",
  ],
  "src/front": [
    "src/base",
    "src/model",
    "src/transport",
    "src/api/client",
    "bridge/envelope.ts",
    "bridge/lines.ts",
    "bridge/wire.ts",
  ],
  "src/cli": ["src/base", "src/model", "src/api/client"],
};
/** The only places that may import a package. */
const ONLY_IN: Record<string, string[]> = {
  dockerode: ["src/docker"],
  hono: ["src/api"],
  "hono-openapi": ["src/api"],
  commander: ["src/cli"],
  "@modelcontextprotocol/sdk": ["src/gateway", "src/api", "src/toolset"],
  "@modelcontextprotocol/client": ["src/gateway", "src/api", "src/toolset", "src/create"],
  "@modelcontextprotocol/server": ["src/gateway", "src/api", "src/toolset"],
};

const files = [...new Glob("{src,bridge,test}/**/*.{ts,tsx}").scanSync(root), "build.ts"].sort();
const product = files.filter((file) => !file.startsWith("test/"));
const read = (file: string) => Bun.file(join(root, file)).text();

/** What a file imports: static (type-only included), re-exported, or dynamic with a literal. */
async function importsOf(file: string): Promise<string[]> {
  const text = await read(file);
  const { module } = parseSync(file, text);
  const dynamic = module.dynamicImports
    .map(({ moduleRequest }) => text.slice(moduleRequest.start, moduleRequest.end))
    .filter((literal) => /^["']/.test(literal))
    .map((literal) => literal.slice(1, -1));
  const exported = module.staticExports.flatMap(({ entries }) =>
    entries.map((entry) => entry.moduleRequest?.value ?? ""),
  );
  return [...module.staticImports.map((found) => found.moduleRequest.value), ...exported, ...dynamic].filter(Boolean);
}

test("folders import only what the table allows", async () => {
  const wrong: string[] = [];
  for (const file of product) {
    const folder = Object.keys(MAY_IMPORT)
      .filter((candidate) => file.startsWith(`${candidate}/`))
      .sort((a, b) => b.length - a.length)[0];
    if (!folder) continue;
    for (const path of await importsOf(file)) {
      if (!path.startsWith(".")) continue;
      const target = normalize(join(dirname(file), path));
      const allowed = [`${folder}/`, ...(MAY_IMPORT[folder] ?? [])];
      if (!allowed.some((prefix) => target.startsWith(prefix))) wrong.push(`${file} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("packages are imported only where they belong", async () => {
  const wrong: string[] = [];
  for (const file of product) {
    for (const path of await importsOf(file)) {
      const name = path
        .split("/")
        .slice(0, path.startsWith("@") ? 2 : 1)
        .join("/");
      const places = ONLY_IN[name];
      if (places && !places.some((place) => file.startsWith(`${place}/`))) wrong.push(`${file} imports ${name}`);
    }
  }
  expect(wrong).toEqual([]);
});

test(`files have at most ${FILE_LINES_MAX} lines`, async () => {
  const long: string[] = [];
  for (const file of files) {
    const lines = (await read(file)).trimEnd().split("\n").length;
    if (lines > FILE_LINES_MAX) long.push(`${file}: ${lines}`);
  }
  expect(long).toEqual([]);
});

test(`functions have at most ${FUNCTION_LINES_MAX} lines; no any, no casts`, async () => {
  const found: string[] = [];
  for (const file of product) {
    const text = await read(file);
    const lineOf = (offset: number) => text.slice(0, offset).split("\n").length;
    const measure = (node: { start: number; end: number }) => {
      const lines = lineOf(node.end) - lineOf(node.start) + 1;
      if (lines > FUNCTION_LINES_MAX) found.push(`${file}:${lineOf(node.start)}: a function of ${lines} lines`);
    };
    const { program } = parseSync(file, text);
    new Visitor({
      FunctionDeclaration: measure,
      FunctionExpression: measure,
      ArrowFunctionExpression: measure,
      TSAnyKeyword: (node) => void found.push(`${file}:${lineOf(node.start)}: any`),
      TSNonNullExpression: (node) => void found.push(`${file}:${lineOf(node.start)}: a non-null assertion`),
      TSTypeAssertion: (node) => void found.push(`${file}:${lineOf(node.start)}: a cast`),
      TSAsExpression: (node) => {
        const isConst = text.slice(node.typeAnnotation.start, node.typeAnnotation.end) === "const";
        if (!isConst) found.push(`${file}:${lineOf(node.start)}: a cast`);
      },
    }).visit(program);
  }
  expect(found).toEqual([]);
});

test("nothing but the protocol reaches stdout of a front or a bridge", async () => {
  const found: string[] = [];
  for (const file of product.filter((name) => name.startsWith("src/front/") || name.startsWith("bridge/"))) {
    (await read(file)).split("\n").forEach((line, index) => {
      if (/\bconsole\.\w+\(/.test(line)) found.push(`${file}:${index + 1}: ${line.trim()}`);
    });
  }
  expect(found).toEqual([]);
});

test("nothing is left for later, no test is skipped, alone or waits in a way that loses, no machine's path is in the tree", async () => {
  const found: string[] = [];
  const patterns: [RegExp, string, (file: string) => boolean][] = [
    [/\b(TODO|FIXME|XXX|HACK)\b/, "left for later", () => true],
    [/@ts-(ignore|expect-error)|(eslint|oxlint)-disable/, "a check switched off", (file) => !file.startsWith("test/")],
    [/\b(test|it|describe)\.(only|skip|todo)\b/, "a test that is skipped or alone", (file) => file.startsWith("test/")],
    [/\/(home|Users|root|farm)\/[a-z]/, "a machine's path", (file) => !file.startsWith("test/")],
    [
      /\.(rejects|resolves)(\.|$)|\bexpect\(async\b/,
      "loses output of programs; see test/support/rejection.ts",
      () => true,
    ],
  ];
  for (const file of files.filter((name) => name !== "test/tidy/tidy.test.ts")) {
    (await read(file)).split("\n").forEach((line, index) => {
      for (const [pattern, what, where] of patterns) {
        if (where(file) && pattern.test(line)) found.push(`${file}:${index + 1}: ${what}: ${line.trim()}`);
      }
    });
  }
  expect(found).toEqual([]);
});
