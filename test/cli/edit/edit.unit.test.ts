import { expect, test } from "bun:test";
import { type Editor, entryIn, putEntry, type Slot, takeEntry } from "../../../src/cli/edit/editor.ts";
import { JSON_EDITOR } from "../../../src/cli/edit/json.ts";
import { TOML_EDITOR } from "../../../src/cli/edit/toml.ts";
import { YAML_EDITOR } from "../../../src/cli/edit/yaml.ts";

const VALUE = { command: "/bin/x", args: ["mcp"] };
const slot: Slot = { keys: ["servers"], name: "ours" };
const list: Slot = { ...slot, list: true };

/** Before, after; taking the entry out again gives what was before. */
const EXACT: [name: string, editor: Editor, at: Slot, before: string, after: string][] = [
  [
    "a comment behind the last entry stays with it",
    JSON_EDITOR,
    slot,
    '{\n  "servers": {\n    "a": {} // of a\n    // the end\n  }\n}\n',
    '{\n  "servers": {\n    "a": {}, // of a\n    "ours": {\n      "command": "/bin/x",\n      "args": ["mcp"]\n    }\n    // the end\n  }\n}\n',
  ],
  [
    "trailing commas, tabs and CRLF are kept up",
    JSON_EDITOR,
    slot,
    '{\r\n\t"servers": {\r\n\t\t"a": {},\r\n\t},\r\n}',
    '{\r\n\t"servers": {\r\n\t\t"a": {},\r\n\t\t"ours": {\r\n\t\t\t"command": "/bin/x",\r\n\t\t\t"args": ["mcp"]\r\n\t\t},\r\n\t},\r\n}',
  ],
  [
    "what is on one line stays on one line",
    JSON_EDITOR,
    slot,
    '{"servers":{"a":{}},"z":1}',
    '{"servers":{"a":{}, "ours": { "command": "/bin/x", "args": ["mcp"] }},"z":1}',
  ],
  [
    "a string that looks like comment, brace and key is a string",
    JSON_EDITOR,
    slot,
    '{\n  "a": "// \\"servers\\": { } /* */",\n  "servers": {\n    "b": 1\n  }\n}\n',
    '{\n  "a": "// \\"servers\\": { } /* */",\n  "servers": {\n    "b": 1,\n    "ours": {\n      "command": "/bin/x",\n      "args": ["mcp"]\n    }\n  }\n}\n',
  ],
  [
    "TOML: a table at the end; one in a string is none",
    TOML_EDITOR,
    slot,
    'a = """\n[servers.ours]\n"""\n\n# of b\n[servers.b] # b\nc = 1\n',
    'a = """\n[servers.ours]\n"""\n\n# of b\n[servers.b] # b\nc = 1\n\n[servers.ours]\ncommand = "/bin/x"\nargs = ["mcp"]\n',
  ],
  [
    "YAML: behind a block scalar and before the comment that follows",
    YAML_EDITOR,
    slot,
    "servers:\n    a:\n        b: |\n            text: # no comment\n\n# about z\nz: 'q'\n",
    "servers:\n    a:\n        b: |\n            text: # no comment\n    ours:\n      command: /bin/x\n      args:\n        - mcp\n\n# about z\nz: 'q'\n",
  ],
  [
    "YAML: a list without indentation",
    YAML_EDITOR,
    list,
    "servers:\n- name: a # a\n- {name: b}\nz: 1\n",
    "servers:\n- name: a # a\n- {name: b}\n- name: ours\n  command: /bin/x\n  args:\n    - mcp\nz: 1\n",
  ],
  [
    "YAML: a flow mapping stays one",
    YAML_EDITOR,
    slot,
    "servers: { a: { b: 1 } } # c\n",
    'servers: { a: { b: 1 }, "ours": {"command":"/bin/x","args":["mcp"]} } # c\n',
  ],
];

test.each(EXACT)("%s", (_, editor, at, before, after) => {
  expect(putEntry(editor, before, at, VALUE, "f")).toBe(after);
  expect(takeEntry(editor, after, at, "f")).toBe(before);
});

/** Text of others around and inside of ours. */
const TAKEN: [name: string, editor: Editor, at: Slot, before: string, after: string][] = [
  ["first of several", JSON_EDITOR, slot, '{"servers": {"ours": 1, "b": 2}}', '{"servers": { "b": 2}}'],
  [
    "in the middle",
    JSON_EDITOR,
    slot,
    '{ "servers": {\n  "a": 1,\n  "ours": 1, // o\n  "b": 2\n} }',
    '{ "servers": {\n  "a": 1,\n   // o\n  "b": 2\n} }',
  ],
  ["the only one, with a comment", JSON_EDITOR, slot, '{"servers": {"ours": 1 /* c */}}', '{"servers": { /* c */}}'],
  [
    "the only one",
    JSON_EDITOR,
    slot,
    '{\n  "a": 1,\n  "servers": {\n    "ours": 1\n  }\n}\n',
    '{\n  "a": 1,\n  "servers": {}\n}\n',
  ],
  [
    "tables below ours go with it, wherever they are",
    TOML_EDITOR,
    slot,
    "[servers.ours]\na = 1\n# of b\n[servers.b]\nc = 1\n[servers.ours.env]\nX = 'y'\n",
    "# of b\n[servers.b]\nc = 1\n",
  ],
  [
    "a comment of the key keeps the key",
    YAML_EDITOR,
    slot,
    "servers: # mine\n  ours:\n    a: 1\nz: 1\n",
    "servers: {} # mine\nz: 1\n",
  ],
  ["the last item of a list", YAML_EDITOR, list, "servers:\n  - name: ours\n    a: 1\nz: 1\n", "servers: []\nz: 1\n"],
];

test.each(TAKEN)("taken out: %s", (_, editor, at, before, after) => {
  expect(takeEntry(editor, before, at, "f")).toBe(after);
});

/** Refused with nothing made: the text is faulty, or says what has no place for an entry. */
const REFUSED: [name: string, editor: Editor, at: Slot, text: string, kind: string, message: string][] = [
  ["JSON that is broken", JSON_EDITOR, slot, '{\n  "a": 1\n  "b": 2\n}', "invalid", "f:3:3: comma expected"],
  [
    "a key that is there twice",
    JSON_EDITOR,
    slot,
    '{"servers":{},"servers":{}}',
    "invalid",
    'the key "servers" is there twice',
  ],
  ["a list instead of an object", JSON_EDITOR, slot, '{"servers": []}', "invalid", '"servers" is not what'],
  ["another document", JSON_EDITOR, slot, '"text"', "invalid", "f: it is not what"],
  ["TOML that is broken", TOML_EDITOR, slot, "a = \n", "invalid", "f:2:1: "],
  [
    "an inline table, which cannot be added to",
    TOML_EDITOR,
    slot,
    "servers = { a = { b = 1 } }\n",
    "unsupported",
    "laid out",
  ],
  ["YAML that is broken", YAML_EDITOR, slot, "a: [1\nb: 2\n", "invalid", "f:"],
  ["several documents", YAML_EDITOR, slot, "a: 1\n---\nb: 1\n", "invalid", "f:2:"],
  ["an alias", YAML_EDITOR, slot, "a: &x { b: {} }\nservers: *x\n", "unsupported", ""],
  ["a text in the place of the mapping", YAML_EDITOR, slot, "servers: none\n", "invalid", '"servers" is not what'],
];

test.each(REFUSED)("refused: %s", (_, editor, at, text, kind, message) => {
  const attempt = () => putEntry(editor, text, at, VALUE, "f");
  expect(attempt).toThrow(message);
  expect(attempt).toThrow(expect.objectContaining({ kind }));
});

test("an entry that is there is replaced, and what is beside it stays", () => {
  const once = putEntry(JSON_EDITOR, '{"servers":{"a":1}}', slot, VALUE, "f");
  const twice = putEntry(JSON_EDITOR, once, slot, { command: "other" }, "f");
  expect(JSON_EDITOR.read(twice, "f")).toEqual({ servers: { a: 1, ours: { command: "other" } } });
  expect(entryIn(JSON_EDITOR.read(twice, "f"), slot, "f")).toEqual({ command: "other" });
});

test("values that formats write in their own way", () => {
  const awkward = { command: 'C:\\a b\\"c"\u007f', args: ["", "- x", "#", "'", "${A}", "true", "1e3", "ü\u2028"] };
  for (const editor of [JSON_EDITOR, TOML_EDITOR, YAML_EDITOR]) {
    expect(entryIn(editor.read(putEntry(editor, "", slot, awkward, "f"), "f"), slot, "f")).toEqual(awkward);
  }
});
