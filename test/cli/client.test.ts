/** `linkspan client` on files in a home of its own. */
import { expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { BINARY } from "../support/binary.ts";
import { faultLine, linkspan, tempDir } from "../support/cli.ts";

async function home() {
  const dir = await tempDir("client");
  const env = { HOME: dir.path, PATH: "/usr/bin:/bin", DOCKER_HOST: undefined };
  const project = join(dir.path, "project");
  mkdirSync(project);
  return {
    path: (name: string) => join(dir.path, name),
    write(name: string, text: string) {
      mkdirSync(dirname(join(dir.path, name)), { recursive: true });
      writeFileSync(join(dir.path, name), text);
      return join(dir.path, name);
    },
    read: (name: string) => readFileSync(join(dir.path, name), "utf8"),
    client: (...args: string[]) => linkspan(["client", ...args], { env, cwd: project }),
    json: async (...args: string[]) =>
      JSON.parse((await linkspan(["client", ...args, "--json"], { env, cwd: project })).out),
    env,
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

const CURSOR = '{\n\t// mine\n\t"mcpServers": {\n\t\t"a": { "command": "a" }, // a\n\t},\n}\n';

test("setup, again, undo, setup, remove: the entry comes and goes, all else stays", async () => {
  await using me = await home();
  me.write(".cursor/mcp.json", CURSOR);
  const done = await me.json("setup", "cursor");
  expect(done).toEqual({
    client: "cursor",
    scope: "user",
    entry: "linkspan",
    file: me.path(".cursor/mcp.json"),
    changed: true,
    backup: expect.stringContaining("mcp.json.linkspan-backup-"),
  });
  const written = me.read(".cursor/mcp.json");
  expect(written).toContain(`\t\t"a": { "command": "a" }, // a\n\t\t"linkspan": {\n\t\t\t"command": "${BINARY}",\n`);
  expect(await me.json("setup", "cursor")).toMatchObject({ changed: false });
  expect(me.read(".cursor/mcp.json")).toBe(written);
  expect(await me.json("undo", "cursor")).toMatchObject({ changed: true });
  expect(me.read(".cursor/mcp.json")).toBe(CURSOR);
  await me.json("setup", "cursor");
  expect(await me.json("remove", "cursor")).toMatchObject({ changed: true });
  expect(me.read(".cursor/mcp.json")).toBe(CURSOR);
  expect(await me.json("remove", "cursor")).toMatchObject({ changed: false });
});

test("a client that is not here gets nothing, unless forced; removing takes the file that was made for it", async () => {
  await using me = await home();
  const refused = await me.client("setup", "zed");
  expect(refused.code).toBe(1);
  expect(refused.err).toContain("Zed seems not to be here");
  expect(existsSync(me.path(".config"))).toBe(false);
  const forced = await me.client("setup", "zed", "--force");
  expect(forced).toMatchObject({ code: 0 });
  expect(forced.out).toContain(`linkspan → ${me.path(".config/zed/settings.json")}`);
  expect(statSync(me.path(".config/zed/settings.json")).mode & 0o777).toBe(0o600);
  await me.client("remove", "zed");
  expect(existsSync(me.path(".config/zed/settings.json"))).toBe(false);
});

test("one server, under another name, in a project", async () => {
  await using me = await home();
  mkdirSync(me.path(".config/Code/User"), { recursive: true });
  const done = await me.json("setup", "vscode", "--project", "--server", "files", "--as", "my-files");
  expect(done).toMatchObject({ scope: "project", file: me.path("project/.vscode/mcp.json") });
  expect(JSON.parse(me.read("project/.vscode/mcp.json"))).toEqual({
    servers: { "my-files": { type: "stdio", command: BINARY, args: ["mcp", "files"] } },
  });
  const listed: { client: string; places: unknown[] }[] = await me.json("ls", "--as", "my-files");
  expect(listed.find(({ client }) => client === "vscode")).toMatchObject({
    installed: true,
    places: [
      { scope: "user", state: "absent" },
      { scope: "project", state: "ours" },
    ],
  });
  expect((await me.client("setup", "lmstudio", "--project", "--force")).err).toContain("no MCP servers of a project");
  expect(faultLine(await me.client("setup", "vscode", "--server", "-x", "--json"))).toMatchObject({ kind: "usage" });
});

test("the environment that is not the default goes into the entry; what was added to it stays", async () => {
  await using me = await home();
  me.write(".codex/config.toml", 'model = "x"\n');
  const env = { ...me.env, LINKSPAN_DATA_DIR: "data", DOCKER_HOST: "tcp://127.0.0.1:1" };
  await linkspan(["client", "setup", "codex"], { env, cwd: me.path("project") });
  const file = me.write(".codex/config.toml", `${me.read(".codex/config.toml")}startup_timeout_sec = 20\n`);
  expect(Bun.TOML.parse(readFileSync(file, "utf8"))).toEqual({
    model: "x",
    mcp_servers: {
      linkspan: {
        command: BINARY,
        args: ["mcp"],
        env: { LINKSPAN_DATA_DIR: me.path("project/data"), DOCKER_HOST: "tcp://127.0.0.1:1" },
        startup_timeout_sec: 20,
      },
    },
  });
  await linkspan(["client", "setup", "codex"], {
    env: { ...env, DOCKER_HOST: "tcp://127.0.0.1:2" },
    cwd: me.path("project"),
  });
  expect(me.read(".codex/config.toml")).toContain("startup_timeout_sec = 20\n");
  expect(me.read(".codex/config.toml")).toContain('DOCKER_HOST = "tcp://127.0.0.1:2"');
});

test("an entry of that name that is not ours is a conflict, and nothing changes", async () => {
  await using me = await home();
  const text = '{"mcpServers":{"linkspan":{"command":"else"}}}';
  me.write(".cursor/mcp.json", text);
  for (const action of ["setup", "remove"]) {
    const fault = faultLine(await me.client(action, "cursor", "--json"));
    expect(fault).toMatchObject({ kind: "conflict", hint: expect.stringContaining("--as OTHER") });
  }
  expect(me.read(".cursor/mcp.json")).toBe(text);
  expect(readdirSync(me.path(".cursor"))).toEqual(["mcp.json"]);
});

test("files that cannot be read as what they should be: one error, nothing changed", async () => {
  await using me = await home();
  me.write(".cursor/mcp.json", '{\n  "mcpServers": {\n');
  const broken = await me.client("setup", "cursor");
  expect(broken.code).toBe(1);
  expect(broken.err).toContain(`${me.path(".cursor/mcp.json")}:3:1: close brace expected`);
  expect(broken.err).toContain("Nothing was changed");
  writeFileSync(me.path(".cursor/mcp.json"), new Uint8Array([0x7b, 0xff, 0x7d]));
  expect(faultLine(await me.client("setup", "cursor", "--json"))).toMatchObject({
    message: expect.stringContaining("UTF-8"),
  });
  mkdirSync(me.path(".lmstudio/mcp.json"), { recursive: true });
  expect(faultLine(await me.client("setup", "lmstudio", "--json"))).toMatchObject({
    message: expect.stringContaining("not a file"),
  });
  const listed: { client: string }[] = await me.json("ls");
  expect(listed.find(({ client }) => client === "cursor")).toMatchObject({ places: [{ state: "unreadable" }, {}] });
  expect(readdirSync(me.path(".cursor"))).toEqual(["mcp.json"]);
});

test("a link is followed and stays one; through one that leads nowhere nothing is written", async () => {
  await using me = await home();
  const real = me.write("dotfiles/mcp.json", "{}\n");
  chmodSync(real, 0o640);
  mkdirSync(me.path(".cursor"));
  symlinkSync(real, me.path(".cursor/mcp.json"));
  expect(await me.json("setup", "cursor")).toMatchObject({ file: real });
  expect(lstatSync(me.path(".cursor/mcp.json")).isSymbolicLink()).toBe(true);
  expect(statSync(real).mode & 0o777).toBe(0o640);
  expect(
    readdirSync(me.path("dotfiles")).every((name) => (statSync(me.path(`dotfiles/${name}`)).mode & 0o777) === 0o640),
  ).toBe(true);
  expect(readdirSync(me.path(".cursor"))).toEqual(["mcp.json"]);
  await me.client("remove", "cursor");
  expect(me.read("dotfiles/mcp.json")).toBe("{}\n");
  mkdirSync(me.path(".gemini"));
  symlinkSync(me.path("unmounted/settings.json"), me.path(".gemini/settings.json"));
  expect(faultLine(await me.client("setup", "gemini", "--json"))).toMatchObject({
    message: expect.stringContaining("not there"),
  });
  expect(existsSync(me.path("unmounted"))).toBe(false);
});

test("five backups at most; undo goes back step by step, but not over what others have changed", async () => {
  await using me = await home();
  me.write(".cursor/mcp.json", CURSOR);
  for (let round = 0; round < 4; round += 1) {
    await me.client("setup", "cursor");
    await me.client("remove", "cursor");
  }
  expect(readdirSync(me.path(".cursor"))).toHaveLength(6);
  await me.client("undo", "cursor");
  expect(me.read(".cursor/mcp.json")).toContain(BINARY);
  const changed = `${me.read(".cursor/mcp.json")}\n`;
  me.write(".cursor/mcp.json", changed);
  const fault = faultLine(await me.client("undo", "cursor", "--json"));
  expect(fault).toMatchObject({ kind: "conflict", hint: expect.stringContaining("--force") });
  expect(me.read(".cursor/mcp.json")).toBe(changed);
  await me.client("undo", "cursor", "--force");
  expect(me.read(".cursor/mcp.json")).toBe(CURSOR);
  expect((await me.client("undo", "vscode")).err).toContain("there is no backup");
});

test("print shows what setup would write and writes nothing; names that are not known bring similar ones", async () => {
  await using me = await home();
  const shown = await me.client("print", "goose");
  expect(shown.out).toStartWith("extensions:\n  linkspan:\n    name: linkspan\n");
  expect(shown.err).toBe(`${me.path(".config/goose/config.yaml")}:\n`);
  expect(existsSync(me.path(".config"))).toBe(false);
  expect((await me.client("setup", "cursr")).err).toContain("Did you mean cursor?");
  expect((await me.client("setup")).err).toContain("which client?");
});
