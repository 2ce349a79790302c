/** A front answers in milliseconds: what it loads before it has a session is checked, not hoped for. */
import { expect, test } from "bun:test";
import { builtinModules } from "node:module";
import { dirname, join, normalize } from "node:path";
import { parseSync } from "oxc-parser";

const root = join(import.meta.dir, "../..");

/** Every file and package that `entry` can load, dynamic imports included. */
async function graph(entry: string): Promise<{ files: string[]; packages: string[] }> {
  const files = new Set<string>();
  const packages = new Set<string>();
  const queue = [entry];
  for (let file = queue.pop(); file; file = queue.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    const text = await Bun.file(join(root, file)).text();
    const { module } = parseSync(file, text);
    const requests = [
      ...module.staticImports
        .filter(({ entries }) => entries.length === 0 || entries.some((imported) => !imported.isType))
        .map(({ moduleRequest }) => moduleRequest.value),
      ...module.staticExports.flatMap(({ entries }) =>
        entries.filter(({ isType }) => !isType).map(({ moduleRequest }) => moduleRequest?.value ?? ""),
      ),
      ...module.dynamicImports.map(({ moduleRequest }) => text.slice(moduleRequest.start + 1, moduleRequest.end - 1)),
    ];
    for (const request of requests.filter(Boolean)) {
      if (request.startsWith(".")) queue.push(normalize(join(dirname(file), request)));
      else packages.add(request);
    }
  }
  return { files: [...files].sort(), packages: [...packages].sort() };
}

test("the front loads valibot and nothing else that is not Bun's", async () => {
  const { files, packages } = await graph("src/front/main.ts");
  const foreign = packages.filter(
    (name) => !name.startsWith("node:") && !builtinModules.includes(name) && name !== "bun",
  );
  expect(foreign).toEqual(["valibot"]);
  const folders = new Set(files.map((file) => dirname(file)));
  expect([...folders].sort()).toEqual([
    "bridge",
    "src/api/client",
    "src/base",
    "src/front",
    "src/model",
    "src/transport",
  ]);
});
