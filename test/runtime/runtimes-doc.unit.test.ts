import { expect, test } from "bun:test";
import { join } from "node:path";
import * as v from "valibot";
import { serverSpec } from "../../src/model/server-spec.ts";
import { processGaps } from "../../src/runtime/process/plan.ts";

/** The setting in the first column of docs/runtimes.md → what its column says of processes. */
async function documented(): Promise<Map<string, string>> {
  const text = await Bun.file(join(import.meta.dir, "../../docs/runtimes.md")).text();
  const table = text.slice(text.indexOf("| setting"), text.indexOf("\n\nWhere an engine"));
  const rows = table.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  return new Map(
    rows.flatMap(([, settings = "", , forProcess = ""]) =>
      [...settings.matchAll(/`([a-zA-Z.]+)`/g)].map(([, setting = ""]): [string, string] => [setting, forProcess]),
    ),
  );
}

/** A spec with everything that a process cannot do, and one with everything that it only weakens. */
const impossible = {
  image: "alpine",
  volumes: ["named:/data"],
  network: "backend",
  user: "somebody",
  capAdd: ["NET_ADMIN"],
};
const weaker = { image: "npm:x", volumes: ["/data:/data"] };
const gapsOf = (body: object) => processGaps(v.parse(serverSpec, { name: "x", ...body }));

test("the table of runtimes says of processes what check says", async () => {
  const table = await documented();
  for (const { field } of gapsOf(impossible).filter((gap) => gap.severity === "impossible")) {
    expect(table.get(field), field).toMatch(/refused|only/);
  }
  for (const { field } of gapsOf(weaker)) expect(table.get(field), field).toContain("does not hold");
});

test("every setting of a spec has its row, and none that has no gap is said not to hold", async () => {
  const table = await documented();
  const fields = Object.keys(serverSpec.entries).filter(
    (field) => !["name", "args", "labels", "limits"].includes(field),
  );
  for (const field of fields) expect(table.has(field), field).toBe(true);
  const weakened = new Set(gapsOf(weaker).map((gap) => gap.field));
  for (const [field, text] of table) {
    if (text.includes("does not hold")) expect(weakened.has(field), field).toBe(true);
  }
});
