/** Any configuration survives setting up and taking back to the byte, through the files themselves. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { visit } from "jsonc-parser";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EDITORS, setUp, takeBack, undo } from "../../../src/cli/clients/setup.ts";
import { type Client, CLIENTS } from "../../../src/cli/clients/table.ts";
import { entryIn, putEntry, takeEntry } from "../../../src/cli/edit/editor.ts";
import { seeded } from "../../support/seed.ts";
import { jsonDocument, tomlDocument, yamlDocument } from "./documents.ts";

const launch = { name: "ours", command: "/opt/linkspan", args: ["mcp"], env: { LINKSPAN_CONFIG: "/x y" } };
let folder = "";
let files = 0;

beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "linkspan-edit-"))));
afterAll(() => rm(folder, { recursive: true, force: true }));

function clientOf(id: string): Client {
  const found = CLIENTS.find((client) => client.id === id);
  if (!found) throw new Error(`no client ${id}`);
  const { newerKeys: _, ...client } = found;
  return { ...client, keys: ["servers"] };
}

const CASES: [name: string, client: Client, documents: fc.Arbitrary<string>][] = [
  ["JSON", clientOf("vscode"), jsonDocument],
  ["TOML", clientOf("codex"), tomlDocument],
  ["YAML mappings", clientOf("goose"), yamlDocument(false)],
  ["YAML lists", clientOf("continue"), yamlDocument(true)],
];

test.each(CASES)("%s: setup, remove and undo give back every byte", async (name, client, documents) => {
  const property = fc.asyncProperty(documents, async (text) => {
    const file = join(folder, `${(files += 1)}`);
    await writeFile(file, text);
    expect((await setUp(client, file, launch)).changed).toBe(true);
    expect((await setUp(client, file, launch)).changed).toBe(false);
    const written = await readFile(file, "utf8");
    const slot = { keys: ["servers"], name: "ours", ...(client.list ? { list: true } : {}) };
    expect(entryIn(EDITORS[client.format].read(written, file), slot, file)).toMatchObject(client.entry(launch));
    await takeBack(client, file, "ours");
    expect(await readFile(file, "utf8")).toBe(text);
    await undo(file, false);
    expect(await readFile(file, "utf8")).toBe(written);
    await undo(file, false);
    expect(await readFile(file, "utf8")).toBe(text);
  });
  await fc.assert(property, seeded(`${name} there and back`, 120));
});

test.each(CASES)("%s: without a backup, too, everything of others stays", (name, client, documents) => {
  const editor = EDITORS[client.format];
  const slot = { keys: ["servers"], name: "ours", ...(client.list ? { list: true } : {}) };
  const property = fc.property(documents, (text) => {
    const back = takeEntry(editor, putEntry(editor, text, slot, client.entry(launch), "f"), slot, "f");
    expect(comments(client, back)).toEqual(comments(client, text));
    expect(takeEntry(editor, back, slot, "f")).toBe(back);
  });
  fc.assert(property, seeded(`${name} without a backup`, 300));
});

function comments({ format }: Client, text: string): string[] {
  if (format !== "json") return (text.match(/#.*/g) ?? []).map((found) => found.trim());
  const found: string[] = [];
  visit(text, { onComment: (offset, length) => void found.push(text.slice(offset, offset + length).trim()) });
  return found;
}
