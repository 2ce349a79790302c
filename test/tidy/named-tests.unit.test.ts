/** The tables of faults and of threats name tests: each of them has to be there. */
import { expect, test } from "bun:test";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const TABLES = [
  { page: "docs/reliability.md", heading: "## Every fault", rowsMin: 46 },
  { page: "docs/security.md", heading: "## What guards what", rowsMin: 28 },
];

test.each(TABLES)("every row of $page below $heading names tests that exist", async ({ page, heading, rowsMin }) => {
  const rows = await rowsBelow(page, heading);
  expect(rows.length).toBeGreaterThanOrEqual(rowsMin);
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

/** Without the head of each table. */
async function rowsBelow(page: string, heading: string): Promise<string[]> {
  const text = await Bun.file(join(ROOT, page)).text();
  const start = text.indexOf(`\n${heading}\n`) + 1;
  expect(start).toBeGreaterThan(0);
  const lines = text.slice(start, text.indexOf("\n## ", start)).split("\n");
  const isRow = (line = "") => line.startsWith("| ");
  return lines.filter((line, at) => isRow(line) && isRow(lines[at - 1]) && !line.startsWith("| --"));
}
