/** The fault table of docs/reliability.md names tests: each of them has to be there. */
import { expect, test } from "bun:test";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const text = await Bun.file(join(ROOT, "docs/reliability.md")).text();
const start = text.indexOf("## Every fault");
const rows = text
  .slice(start, text.indexOf("\n## ", start + 1))
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .slice(2);

test("every row of the fault table names tests that exist", async () => {
  expect(rows.length).toBeGreaterThan(45);
  const missing: string[] = [];
  for (const row of rows) {
    const cell = row.split("|").at(-2) ?? "";
    const named = [...cell.matchAll(/`([^`]+\.test\.ts)` › (.+?)(?=, `|\s*$)/g)];
    if (named.length === 0) missing.push(row);
    for (const [, file = "", name = ""] of named) {
      const source = Bun.file(join(ROOT, "test", file));
      if (!(await source.exists()) || !(await source.text()).includes(name)) missing.push(`${file} › ${name}`);
    }
  }
  expect(missing).toEqual([]);
});
