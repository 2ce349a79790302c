import { describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fault } from "../../src/base/fault.ts";
import {
  type Config,
  defaultConfigFile,
  EMPTY_CONFIG,
  explain,
  loadConfig,
  parseConfig,
} from "../../src/model/config.ts";

const ENV = { HOME: "/home/me", EMPTY: "", PORT: "9000", TOKEN: "hunter2", WEIRD: "a: [b" };

function good(text: string, env: Record<string, string> = ENV): Config {
  const result = parseConfig(text, "linkspan.yaml", env);
  if (!result.ok) throw new Error(explain(result.errors));
  return result.config;
}

function bad(text: string): string {
  const result = parseConfig(text, "l.yaml", ENV);
  if (result.ok) throw new Error(`taken as valid: ${JSON.stringify(result.config)}`);
  return explain(result.errors);
}

describe("a valid configuration", () => {
  test("fills in every default and keeps what is written", () => {
    const { manager, servers } = good(`
manager:
  port: 18080
servers:
  files:
    image: npm:@modelcontextprotocol/server-filesystem@1.0.0
    args: [/data]
    volumes:
      - /srv/data:/data
      - { source: notes, target: /notes, readOnly: false }
    limits: { memory: 256m, cpus: 0.5 }
    health: { interval: 10s }
`);
    expect(manager).toEqual({ port: 18080 });
    expect(servers).toHaveLength(1);
    expect(servers[0]).toMatchObject({
      name: "files",
      args: ["/data"],
      volumes: [
        { source: "/srv/data", target: "/data", readOnly: true },
        { source: "notes", target: "/notes", readOnly: false },
      ],
      limits: { memory: 256 * 1024 ** 2, cpus: 0.5, pids: 128 },
      health: { interval: 10_000, timeout: 3_000 },
      network: "none",
      readOnly: true,
    });
  });

  test("an empty file, empty sections and commented-out ones are no error", () => {
    expect(good("")).toEqual(EMPTY_CONFIG);
    expect(good("# nothing\n")).toEqual(EMPTY_CONFIG);
    expect(good("servers:\nmanager:\n")).toEqual(EMPTY_CONFIG);
    expect(good("servers:\n  a:\n    image: x:1\n    env:\n    args:\n").servers[0]).toMatchObject({ env: {} });
  });

  test("where text is wanted, scalars are taken as they are written", () => {
    const [server] = good(`
servers:
  a:
    image: x:1
    user: 1000
    args: [--port, 8080, 1.0, 0x10, yes, ~x]
    env: { PORT: 8080, VERSION: 1.10, ON: true, LONG: 12345678901234567890, QUOTED: "007" }
`).servers;
    expect(server?.user).toBe("1000");
    expect(server?.args).toEqual(["--port", "8080", "1.0", "0x10", "yes", "~x"]);
    expect(server?.env).toEqual({
      PORT: "8080",
      VERSION: "1.10",
      ON: "true",
      LONG: "12345678901234567890",
      QUOTED: "007",
    });
  });

  test("references come out of the environment, with defaults, as text and as numbers", () => {
    const config = good(`
manager:
  port: \${PORT}
  tcpPort: \${TCP:-8081}
servers:
  a:
    image: x:\${TAG:-latest}
    env:
      HOMES: "\${HOME}:\${HOME}/x"
      PLAIN: $HOME costs 5$ and $\${HOME}
      FALLBACK: \${EMPTY:-was empty}
      KEPT: "\${EMPTY}"
      PORT: \${PORT}
    secrets: { KEY: "\${TOKEN}", YAML: "\${WEIRD}" }
`);
    expect(config.manager).toEqual({ port: 9000, tcpPort: 8081 });
    expect(config.servers[0]).toMatchObject({
      image: "x:latest",
      env: {
        HOMES: "/home/me:/home/me/x",
        PLAIN: "$HOME costs 5$ and ${HOME}",
        FALLBACK: "was empty",
        KEPT: "",
        PORT: "9000",
      },
      secrets: { KEY: "hunter2", YAML: "a: [b" },
    });
  });

  test("anchors and aliases", () => {
    const { servers } = good("servers:\n  a: &a\n    image: x:1\n    env: &e { A: '1' }\n  b: *a\n");
    expect(servers.map((server) => [server.name, server.image, server.env])).toEqual([
      ["a", "x:1", { A: "1" }],
      ["b", "x:1", { A: "1" }],
    ]);
  });

  test("a BOM and CRLF line ends", () => {
    expect(good("\uFEFFservers:\r\n  a:\r\n    image: x:1\r\n").servers[0]?.image).toBe("x:1");
  });
});

/** What is written, and how each line of the explanation begins (or the hint that it holds). */
const BAD: [title: string, text: string, ...lines: (string | RegExp)[]][] = [
  ["not a mapping", "hello", "l.yaml:1:1: expected a mapping"],
  ["a list", "- a\n- b\n", "l.yaml:1:1: expected a mapping"],
  ["a syntax error", "servers:\n  a: [\n", /^l\.yaml:\d+:\d+: flow sequence/],
  ["a tab", "servers:\n\ta: 1", /^l\.yaml:2:1: /],
  ["an unknown tag", "servers: !js x", "l.yaml:1:10: unresolved tag"],
  ["two documents", "servers: {}\n---\nservers: {}\n", "l.yaml:2:1: a second document begins here"],
  ["an alias to nothing", "servers: *nowhere", /^l\.yaml:1:10: /],
  ["a duplicate server", "servers:\n  a: { image: x }\n  a: { image: y }\n", 'l.yaml:3:3: the key "a" is there twice'],
  ["a duplicate field", "servers:\n  a:\n    image: x\n    image: y\n", 'l.yaml:4:5: the key "image" is there twice'],
  ["an unknown section", "server: {}\n", 'l.yaml:1:1: unknown field "server"', '  hint: did you mean "servers"?'],
  [
    "an unknown setting",
    "manager:\n  prot: 1\n",
    'l.yaml:2:3: unknown field "prot" (manager.prot)',
    '  hint: did you mean "port"?',
  ],
  [
    "all unknown fields at once, in order",
    "servers:\n  a:\n    zzz: 1\n    image: x\n    limits: { memry: 1g }\n",
    'l.yaml:3:5: unknown field "zzz" (servers.a.zzz)',
    "  hint: known here: image, command",
    'l.yaml:5:15: unknown field "memry" (servers.a.limits.memry)',
    '  hint: did you mean "memory"?',
  ],
  [
    "no image",
    "servers:\n  a:\n    args: []\n",
    'l.yaml:2:3: the field "image" is missing (servers.a.image)',
    "  hint:",
  ],
  ["an empty server", "servers:\n  a:\n", 'l.yaml:2:3: the field "image" is missing'],
  ["an option as image", "servers:\n  a:\n    image: --privileged\n", "l.yaml:3:12: expected an image such as"],
  ["a bad name", "servers:\n  Bad Name: { image: x }\n", "l.yaml:2:13: expected 1 to 63 of a-z"],
  ["a port out of range", "manager: { port: 65536 }", "l.yaml:1:18: expected at most 65535, not 65536 (manager.port)"],
  ["a fraction as port", "manager: { port: 80.5 }", "l.yaml:1:18: "],
  ["a word as port", "manager: { port: http }", 'l.yaml:1:18: expected a number, not "http"'],
  ["an unknown runtime", "manager: { runtime: lxc }", 'l.yaml:1:21: expected ("auto" | "docker" | "process")'],
  ["a list as mapping", "servers:\n  a:\n    image: x\n    env: [A=1]\n", "l.yaml:4:10: expected a mapping"],
  ["a text as list", "servers:\n  a:\n    image: x\n    args: --all\n", "l.yaml:4:11: expected a list"],
  [
    "a size without sense",
    "servers:\n  a: { image: x, limits: { memory: lots } }",
    "l.yaml:2:36: expected a size such as 512m",
  ],
  [
    "too little memory",
    "servers:\n  a: { image: x, limits: { memory: 1m } }",
    "l.yaml:2:36: expected at least 6291456 bytes",
  ],
  [
    "seconds without a unit",
    "servers:\n  a: { image: x, health: { interval: 30 } }",
    "l.yaml:2:38: expected at least 1000 ms",
    "  hint: a number without a unit is milliseconds",
  ],
  ["a relative bind", "servers:\n  a: { image: x, volumes: ['./d:/d'] }", "l.yaml:2:28: expected SOURCE:TARGET"],
  ["a volume without target", "servers:\n  a: { image: x, volumes: [data] }", "l.yaml:2:28: expected SOURCE:TARGET"],
  [
    "a field of a volume",
    "servers:\n  a: { image: x, volumes: [{ source: v, target: /t, ro: true }] }",
    'l.yaml:2:53: unknown field "ro"',
    "  hint:",
  ],
  ["a bad variable name", "servers:\n  a: { image: x, env: { 'A-B': '1' } }", "l.yaml:2:32: expected a variable name"],
  ["a NUL", 'servers:\n  a: { image: x, args: ["a\\0b"] }', "l.yaml:2:25: a NUL character is not allowed"],
  [
    "a variable that is not set",
    "servers:\n  a:\n    image: x:${TAG}\n",
    "l.yaml:3:14: the environment variable TAG is not set (servers.a.image)",
    "  hint: set TAG, or give it a default: ${TAG:-default}",
  ],
  [
    "the second of two references",
    "servers:\n  a:\n    image: ${PORT}:${TAG}\n",
    "l.yaml:3:20: the environment variable TAG is not set",
    "  hint:",
  ],
  ["an unclosed reference", "servers:\n  a:\n    image: x:${TAG\n", "l.yaml:3:14: a ${ without its }", "  hint:"],
  [
    "another kind of reference",
    "servers:\n  a:\n    image: x:${TAG:?no}\n",
    "l.yaml:3:14: ${…} does not hold",
    "  hint:",
  ],
  [
    "a nested default",
    "servers:\n  a:\n    image: x:${A:-${B}}\n",
    "l.yaml:3:14: a reference inside a default",
    "  hint:",
  ],
  [
    "an unquoted reference in a flow list",
    "servers:\n  a:\n    image: x\n    args: [${TAG}]\n",
    /^l\.yaml:4:\d+: /,
    '  hint: inside [ ] and { } a reference needs quotes: "${NAME}"',
  ],
];

describe("errors have file, line, column and a hint", () => {
  test.each(BAD)("%s", (_title, text, ...lines) => {
    const explained = bad(text).split("\n");
    for (const [index, line] of lines.entries()) {
      if (typeof line === "string") expect(explained[index]?.slice(0, line.length)).toBe(line);
      else expect(explained[index]).toMatch(line);
    }
  });

  test("a value that came out of the environment, or is a secret, is never repeated", () => {
    const explained = bad(`
manager:
  port: \${TOKEN}
  runtime: "\${TOKEN}"
servers:
  a:
    image: "-\${TOKEN}"
    secrets: { KEY: { nested: topsecret }, "\${TOKEN}": x }
    env: { A: [topsecret] }
`);
    expect(explained).not.toContain("hunter2");
    expect(explained).not.toContain("topsecret");
    expect(explained.split("\n").filter((line) => line.startsWith("l.yaml:")).length).toBeGreaterThanOrEqual(5);
  });

  test("a small text that grows by aliases is refused", () => {
    let text = "servers:\n  a0: &a0 { image: x, args: [1,2,3,4,5,6,7,8,9,10] }\n";
    for (let level = 1; level < 12; level += 1) {
      const items = Array.from({ length: 10 }, () => `*a${level - 1}`).join(", ");
      text += `  a${level}: &a${level} { args: [${items}] }\n`;
    }
    expect(bad(text)).toContain("more than 100000 values");
  });

  test("__proto__ is a name like any other, and refused as one", () => {
    expect(bad("servers:\n  __proto__: { image: x }\n")).toContain("l.yaml:2:3: __proto__ cannot be a name");
    expect(bad("__proto__: 1\n")).toContain('l.yaml:1:1: unknown field "__proto__"');
  });
});

describe("the file", () => {
  test("is read with its own name in errors; a missing one is not-found, a huge one too-large", async () => {
    const folder = await mkdtemp(join(tmpdir(), "linkspan-config-"));
    try {
      const file = join(folder, "linkspan.yaml");
      await writeFile(file, "servers:\n  a: { image: x:1, prot: 1 }\n");
      const result = await loadConfig(file, {});
      expect(result.ok ? "" : explain(result.errors)).toStartWith(`${file}:2:20: unknown field "prot"`);
      const missing = await loadConfig(join(folder, "none.yaml"), {}).catch((error: unknown) => error);
      expect(missing instanceof Fault && missing.kind).toBe("not-found");
      await writeFile(file, " ".repeat(1024 * 1024 + 1));
      const huge = await loadConfig(file, {}).catch((error: unknown) => error);
      expect(huge instanceof Fault && huge.kind).toBe("too-large");
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("is looked for in the user's own folder only", () => {
    expect(defaultConfigFile({ HOME: "/h" }, "linux")).toBe("/h/.config/linkspan/linkspan.yaml");
    expect(defaultConfigFile({ HOME: "/h", XDG_CONFIG_HOME: "/c" }, "linux")).toBe("/c/linkspan/linkspan.yaml");
    expect(defaultConfigFile({ HOME: "/h", XDG_CONFIG_HOME: "rel" }, "linux")).toBe(
      "/h/.config/linkspan/linkspan.yaml",
    );
  });
});
