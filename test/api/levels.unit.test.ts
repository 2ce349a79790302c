/** Levels of routes: those that change something have one, as docs/rest.md says and as the tools have that do the same. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { ROUTES } from "../../src/api/routes.ts";
import { ALL_TOOLS } from "../../src/toolset/catalogue.ts";

const page = await Bun.file(join(import.meta.dir, "../../docs/rest.md")).text();
const rows = [...page.matchAll(/^\| ((?:GET|POST|DELETE) \S+) +\| (\w+) +\| (.*?) +\|$/gm)].map(
  ([, route = "", level = "", words = ""]) => ({ route, level, words }),
);
/** A POST that asks a question. */
const READS = ["POST /sessions/manifest"];

test("what is no GET has a level", () => {
  const without = ROUTES.filter(({ method, level }) => method !== "GET" && level === undefined);
  expect(without.map(({ method, path }) => `${method} ${path}`)).toEqual(READS);
});

test("the table of docs/rest.md has every route with its level", () => {
  const levels = ROUTES.flatMap(({ method, path, level }) => (level ? [`${method} ${path} ${level}`] : []));
  expect(rows.map(({ route, level }) => `${route} ${level}`).sort()).toEqual(levels.sort());
});

test("a route has the level of the tool that does the same", () => {
  for (const { level, words } of rows)
    for (const [, name = ""] of words.matchAll(/`([a-z]+_[a-z_]+|cleanup)`/g))
      expect([name, ALL_TOOLS.find((tool) => tool.name === name)?.level]).toEqual([name, level as never]);
});
