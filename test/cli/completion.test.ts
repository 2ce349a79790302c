/** Completion: what is offered, and that the scripts load. */
import { expect, test } from "bun:test";
import { existsSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS } from "../../src/cli/commands.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv, linkspan, tempDir } from "../support/cli.ts";

async function offered(...words: string[]): Promise<{ values: string[]; directive: string }> {
  // A data directory in which no manager runs: the answer must not start one.
  await using dir = await tempDir("completion");
  const ran = await linkspan(["complete", "--", ...words], { env: { LINKSPAN_DATA_DIR: dir.path } });
  expect(ran).toMatchObject({ code: 0, err: "" });
  expect(existsSync(join(dir.path, "state.db"))).toBe(false);
  const lines = ran.out.trimEnd().split("\n");
  return { directive: lines.pop() ?? "", values: lines.map((line) => line.split("\t")[0] ?? "") };
}

test("commands, by what is typed so far", async () => {
  const { values } = await offered("");
  for (const { name } of COMMANDS) expect(values).toContain(name);
  expect(await offered("st")).toEqual({ values: ["start", "stop", "stats", "status"], directive: ":4" });
  expect((await offered("help", "to")).values).toEqual(["tools", "token"]);
});

test("options of the command, choices of an argument, files where files are meant", async () => {
  expect((await offered("logs", "--")).values).toEqual(["--follow", "--tail", "--timestamps", "--json", "--help"]);
  expect((await offered("completion", "")).values).toEqual(["bash", "zsh", "fish"]);
  expect(await offered("config", "validate", "")).toEqual({ values: [], directive: ":0" });
  expect(await offered("run", "--env-file", "")).toEqual({ values: [], directive: ":0" });
  expect(await offered("run", "npm:x", "--", "-")).toEqual({ values: [], directive: ":0" });
});

test("without a manager there are no names, and no error", async () => {
  expect((await offered("logs", "")).values).toEqual([]);
});

/** Presses TAB at the end of the words in a real bash that has nothing but our script. */
async function tab(script: string, words: string[], cwd: string, bin: string): Promise<string[]> {
  const program = `
    set -u
    source "$1"; source "$1"
    shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _linkspan
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const child = Bun.spawn(["bash", "--norc", "-c", program, "bash", script, ...words], {
    cwd,
    env: cleanEnv({ PATH: `${bin}:${process.env.PATH}`, LINKSPAN_DATA_DIR: join(cwd, "data") }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  expect({ err, code }).toEqual({ err: "", code: 0 });
  return out.trimEnd().split("\n");
}

test("the bash script loads twice, completes, and runs nothing of what is being typed", async () => {
  await using dir = await tempDir("bash");
  const script = join(dir.path, "linkspan.bash");
  writeFileSync(script, (await linkspan(["completion", "bash"])).out);
  symlinkSync(BINARY, join(dir.path, "linkspan"));
  writeFileSync(join(dir.path, "my servers.yaml"), "");
  expect(await tab(script, ["linkspan", "sto"], dir.path, dir.path)).toEqual(["stop"]);
  expect(await tab(script, ["linkspan", "ps", "--q"], dir.path, dir.path)).toEqual(["--quiet"]);
  expect(await tab(script, ["linkspan", "config", "validate", "my"], dir.path, dir.path)).toEqual(["my servers.yaml"]);
  await tab(script, ["linkspan", "logs", "$(touch owned)", "`touch owned`", ""], dir.path, dir.path);
  expect(existsSync(join(dir.path, "owned"))).toBe(false);
});

test.each([
  ["zsh", "#compdef linkspan"],
  ["fish", "complete -c linkspan"],
])("the %s script calls back with the words", async (shell, marker) => {
  const ran = await linkspan(["completion", shell]);
  expect(ran).toMatchObject({ code: 0, err: "" });
  expect(ran.out).toContain(marker);
  expect(ran.out).toContain("linkspan complete -- ");
});

test("names of clients are completed", async () => {
  const { out } = await linkspan(["complete", "--", "client", "setup", "cl"]);
  expect(out).toContain("claude-code\t");
  expect(out).toContain("cline\t");
  expect((await linkspan(["complete", "--", "import", "--from", "cod"])).out).toContain("codex\t");
});
