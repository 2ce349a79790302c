/** What needs no manager: help, usage errors, exit codes, where output goes. */
import { expect, test } from "bun:test";
import { BUILT_IN, COMMANDS, ROLES } from "../../src/cli/commands.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv, faultLine, inTerminal, linkspan } from "../support/cli.ts";

test("without arguments it shows a short help on stdout, every command in it", async () => {
  const ran = await linkspan([]);
  expect(ran.code).toBe(0);
  expect(ran.err).toBe("");
  for (const one of [...COMMANDS, ...ROLES, ...BUILT_IN]) expect(ran.out).toContain(`  ${one.name} `);
  expect((await linkspan(["--help"])).out).toBe(ran.out);
  expect((await linkspan(["help"])).out).toBe(ran.out);
});

test.each(COMMANDS.map((entry) => entry.name))(
  "%s --help shows usage, summary and examples that use it",
  async (name) => {
    const ran = await linkspan([name, "--help"]);
    expect(ran.code).toBe(0);
    expect(ran.err).toBe("");
    expect(ran.out).toStartWith(`Usage: linkspan ${name} `);
    expect(ran.out).toContain("--json");
    expect(ran.out).toMatch(new RegExp(`Examples:\\n.*linkspan ${name}`));
    expect((await linkspan(["help", name])).out).toBe(ran.out);
  },
);

test("version in text and JSON", async () => {
  const text = await linkspan(["version"]);
  const json = JSON.parse((await linkspan(["version", "--json"])).out);
  expect(Object.keys(json)).toEqual(["version", "commit", "bun", "target"]);
  expect(text.out).toBe(`linkspan ${json.version} (commit ${json.commit}, Bun ${json.bun}, ${json.target})\n`);
  expect((await linkspan(["--version"])).out).toBe(text.out);
});

const MISTAKES: { args: string[]; message: string; hint?: string }[] = [
  { args: ["sotp"], message: "there is no command sotp", hint: "Did you mean stop?" },
  { args: ["xyzzyxyzzy"], message: "there is no command xyzzyxyzzy", hint: "linkspan --help lists all commands." },
  { args: ["--jsn", "ps"], message: "unknown option --jsn in front of the command", hint: "Options come after" },
  { args: ["ps", "--al"], message: "unknown option '--al'. Did you mean --all?", hint: "linkspan ps --help" },
  { args: ["call", "files"], message: "missing required argument 'tool'", hint: "linkspan call --help" },
  { args: ["token", "ls", "extra", "more"], message: "too many arguments", hint: "linkspan token --help" },
  { args: ["token", "extra"], message: "Allowed choices are create, ls, revoke" },
  { args: ["token", "revoke"], message: "which token?", hint: "linkspan token ls" },
  { args: ["logs", "x", "--tail", "many"], message: "--tail: expected a number of lines" },
  { args: ["stop", "x", "--timeout", "5"], message: "--timeout: expected a duration such as 500ms" },
  { args: ["run", "npm:x", "--memory", "lots"], message: "limits.memory: expected a size" },
  { args: ["run", "npm:x", "--name", "Bad Name"], message: "--name: expected 1 to 63" },
  { args: ["run", "npm:x", "-v", "nonsense"], message: "volumes" },
  { args: ["run", "npm:x", "-e", "NOT_SET_ANYWHERE"], message: "the environment has no NOT_SET_ANYWHERE", hint: "-e" },
  { args: ["run", "npm:x", "--secret", "K=hunter2"], message: "must not be on the command line", hint: "K=@FILE" },
  { args: ["run", "-x"], message: "unknown option '-x'", hint: "linkspan run --help" },
  { args: ["call", "a", "b", "--args", "[1]"], message: "--args takes a JSON object" },
  { args: ["call", "a", "b", "--args", "{x"], message: "--args is not JSON", hint: "Quote it" },
  { args: ["call", "a", "b", "--args", "@/no/such/file"], message: "/no/such/file cannot be read", hint: "@FILE" },
  { args: ["completion", "tcsh"], message: "Allowed choices are bash, zsh, fish", hint: "linkspan completion --help" },
  { args: ["config", "bake"], message: "Allowed choices are validate", hint: "linkspan config --help" },
];

test.each(MISTAKES)("$args is a usage error, in words and as JSON", async ({ args, message, hint = "" }) => {
  const ran = await linkspan(args);
  expect(ran).toMatchObject({ code: 1, out: "" });
  expect(ran.err).toStartWith("linkspan: ");
  expect(ran.err).toContain(message);
  expect(ran.err).toContain(hint);
  expect(ran.err).not.toContain("hunter2");
  const json = await linkspan([...args, "--json"]);
  expect(json).toMatchObject({ code: 1, out: "" });
  const fault = faultLine(json);
  expect(fault.kind).toBe("usage");
  expect(fault.message).toContain(message);
});

test("control characters of what was typed do not reach the terminal", async () => {
  const ran = await linkspan(["\x1b]0;owned\x07sotp\x1b[2J"]);
  expect(ran.code).toBe(1);
  expect(ran.err).not.toContain("\x1b");
  expect(ran.err).not.toContain("\x07");
});

test("no colour without a terminal", async () => {
  for (const args of [[], ["run", "--help"], ["nonsense"]]) {
    const ran = await linkspan(args);
    expect(ran.out + ran.err).not.toContain("\x1b");
  }
});

test("colour in a terminal, unless NO_COLOR is set and not empty", async () => {
  expect((await inTerminal([])).bytes).toContain("\x1b[1m");
  expect((await inTerminal([], { env: { NO_COLOR: "" } })).bytes).toContain("\x1b[1m");
  for (const args of [[], ["run", "--help"], ["nonsense"]]) {
    expect((await inTerminal(args, { env: { NO_COLOR: "1" } })).bytes).not.toContain("\x1b");
    expect((await inTerminal(args, { env: { TERM: "dumb" } })).bytes).not.toContain("\x1b");
  }
});

test("a reader that has gone is no error", async () => {
  const command = `"$0" --help | head -c 0; echo "\${PIPESTATUS[0]}"`;
  const child = Bun.spawn(["bash", "-c", command, BINARY], { env: cleanEnv(), stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect({ out, err }).toEqual({ out: "0\n", err: "" });
});
