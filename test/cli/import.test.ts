/** `linkspan import` from the files of real clients' forms into a linkspan.yaml of somebody. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { faultLine, linkspan, tempDir } from "../support/cli.ts";

const SECRET = "ghp_0123456789abcdefghijABCDEFGHIJ";
const MINE = `# what I run
manager:
  port: 0   # any

servers:
    # the first
    notes: { image: "npm:notes", env: { A: "1" } }   # stays
`;

/** The same two servers as clients of different forms have them. */
const FORMS: [client: string, file: string, text: string][] = [
  [
    "claude-desktop",
    ".config/Claude/claude_desktop_config.json",
    `{"mcpServers": {"time": {"command": "uvx", "args": ["mcp-server-time==1.0"]}, "gh": {"command": "docker", "args": ["run", "-i", "--rm", "-e", "GITHUB_TOKEN", "ghcr.io/x/y"], "env": {"GITHUB_TOKEN": "${SECRET}"}}}}`,
  ],
  [
    "vscode",
    ".config/Code/User/mcp.json",
    `{ // comment\n "inputs": [], "servers": {"time": {"type": "stdio", "command": "uvx", "args": ["mcp-server-time==1.0"],}, "gh": {"command": "docker", "args": ["run", "-i", "-e", "GITHUB_TOKEN=\${input:github_token}", "ghcr.io/x/y"]}} }`,
  ],
  [
    "codex",
    ".codex/config.toml",
    `model = "x"\n[mcp_servers.time]\ncommand = "uvx"\nargs = ["mcp-server-time==1.0"]\n[mcp_servers.gh]\ncommand = "docker"\nargs = ["run", "-i", "-e", "GITHUB_TOKEN", "ghcr.io/x/y"]\n[mcp_servers.gh.env]\nGITHUB_TOKEN = "${SECRET}"\n`,
  ],
  [
    "goose",
    ".config/goose/config.yaml",
    `extensions:\n  time: {type: stdio, cmd: uvx, args: [mcp-server-time==1.0], enabled: true}\n  gh:\n    cmd: docker\n    args: [run, -i, -e, GITHUB_TOKEN, ghcr.io/x/y]\n    envs: {GITHUB_TOKEN: ${SECRET}}\n`,
  ],
  [
    "continue",
    ".continue/config.yaml",
    `name: a\nmcpServers:\n  - name: time\n    command: uvx\n    args: [mcp-server-time==1.0]\n  - name: gh\n    command: docker\n    args: [run, -i, -e, GITHUB_TOKEN, ghcr.io/x/y]\n    env: {GITHUB_TOKEN: ${SECRET}}\n`,
  ],
  [
    "opencode",
    ".config/opencode/opencode.jsonc",
    `{"mcp": {"time": {"type": "local", "command": ["uvx", "mcp-server-time==1.0"]}, "gh": {"type": "local", "command": ["docker", "run", "-i", "-e", "GITHUB_TOKEN", "ghcr.io/x/y"], "environment": {"GITHUB_TOKEN": "{env:GITHUB_TOKEN}"}}}}`,
  ],
];

async function stand() {
  const dir = await tempDir("import");
  const env = { HOME: dir.path, PATH: "/usr/bin:/bin", GITHUB_TOKEN: undefined, github_token: undefined };
  return {
    path: (name: string) => join(dir.path, name),
    write(name: string, text: string) {
      mkdirSync(dirname(join(dir.path, name)), { recursive: true });
      writeFileSync(join(dir.path, name), text);
    },
    read: (name: string) => readFileSync(join(dir.path, name), "utf8"),
    run: (args: string[], more: Record<string, string> = {}) =>
      linkspan(args, { env: { ...env, ...more }, cwd: dir.path }),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

test.each(FORMS)("%s: its own file, found by its name", async (client, file, text) => {
  await using my = await stand();
  my.write(file, text);
  my.write("linkspan.yaml", MINE);
  const ran = await my.run(["import", "--from", client, "--to", "linkspan.yaml"]);
  expect(ran).toMatchObject({ code: 0 });
  expect(ran.out).toContain("2 servers →");
  const variable = client === "vscode" ? "github_token" : "GITHUB_TOKEN";
  expect(ran.err).toContain(`Set ${variable} where the manager starts`);
  const written = my.read("linkspan.yaml");
  expect(written).toBe(
    `${MINE}    time:
      image: pypi:mcp-server-time@1.0
      args: []
      network: egress
    gh:
      image: ghcr.io/x/y
      secrets:
        GITHUB_TOKEN: \${${variable}}
      network: egress
`.replace("      args: []\n", ""),
  );
  expect(my.read(file)).toBe(text);
  expect(`${written}${ran.out}${ran.err}`).not.toContain(SECRET);
  expect(await my.run(["config", "validate", "linkspan.yaml"], { [variable]: "x" })).toMatchObject({ code: 0 });
  const again = await my.run(["import", "--from", client, "--to", "linkspan.yaml"]);
  expect(again.out).toContain("Nothing was added.");
  expect(my.read("linkspan.yaml")).toBe(written);
});

test("a dry run prints the file and changes nothing; without a linkspan.yaml one is made for its owner alone", async () => {
  await using my = await stand();
  my.write(
    "mcp.json",
    '{"mcpServers": {"a": {"command": "npx", "args": ["-y", "a"]}, "far": {"url": "https://e.example/mcp"}}}',
  );
  const dry = await my.run(["import", "mcp.json", "--dry-run"]);
  expect(dry.out).toBe("servers:\n  a:\n    image: npm:a\n    network: egress\n");
  expect(dry.err).toContain("it is at https://e.example: ");
  expect(readdirSync(my.path("."))).toEqual(["mcp.json"]);
  const done = JSON.parse((await my.run(["import", "mcp.json", "--json"])).out);
  expect(done).toMatchObject({
    file: my.path(".config/linkspan/linkspan.yaml"),
    added: ["a"],
    decisions: [
      { name: "a", kind: "npm" },
      { name: "far", kind: "left out" },
    ],
    unset: [],
  });
  expect(my.read(".config/linkspan/linkspan.yaml")).toBe(dry.out);
});

test("what is faulty is left alone: one error with its line", async () => {
  await using my = await stand();
  my.write("mcp.json", '{"mcpServers": {"a": {"command": "x"}}}');
  const bad = "servers:\n  files:\n    imgae: x\n";
  my.write("linkspan.yaml", bad);
  const ran = await my.run(["import", "mcp.json", "--to", "linkspan.yaml"]);
  expect(ran).toMatchObject({ code: 1, out: "" });
  expect(ran.err).toContain('linkspan.yaml:3:5: unknown field "imgae"');
  expect(my.read("linkspan.yaml")).toBe(bad);
  my.write("broken.json", '{"mcpServers": ');
  expect(faultLine(await my.run(["import", "broken.json", "--json"]))).toMatchObject({
    kind: "invalid",
    message: expect.stringContaining("broken.json:1:"),
  });
  my.write("none.json", '{"other": {}}');
  expect(faultLine(await my.run(["import", "none.json", "--json"]))).toMatchObject({
    message: expect.stringContaining("has no MCP servers"),
  });
  my.write("odd.json", '{"mcpServers": {"a": {"command": 7}}}');
  expect(faultLine(await my.run(["import", "odd.json", "--json"]))).toMatchObject({
    message: expect.stringContaining("unexpected at command"),
  });
  expect(faultLine(await my.run(["import", "nowhere.json", "--json"]))).toMatchObject({ kind: "not-found" });
  expect(faultLine(await my.run(["import", "--json"]))).toMatchObject({ kind: "usage" });
});

test("secrets in clear only where asked for", async () => {
  await using my = await stand();
  my.write("mcp.json", `{"mcpServers": {"a": {"command": "npx", "args": ["a"], "env": {"API_KEY": "${SECRET}$$"}}}}`);
  const ran = await my.run(["import", "mcp.json", "--to", "linkspan.yaml", "--secrets-in-clear"]);
  expect(ran.code).toBe(0);
  expect(my.read("linkspan.yaml")).toContain(`API_KEY: ${SECRET}$$$`);
});
