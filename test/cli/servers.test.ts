/** The commands on servers, against a real manager and real processes. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { BINARY } from "../support/binary.ts";
import { cleanEnv, faultLine, inTerminal, type Ran } from "../support/cli.ts";
import { type CliManager, cliManager, fixture } from "../support/cli-manager.ts";

let manager: CliManager;
beforeAll(async () => {
  manager = await cliManager("servers");
}, 30_000);
afterAll(() => manager[Symbol.asyncDispose](), 30_000);

const typed = fixture("typed-tools.ts");

async function ok(...args: string[]): Promise<Ran> {
  const ran = await manager.run(args);
  expect({ args, code: ran.code, err: ran.err }).toEqual({ args, code: 0, err: "" });
  return ran;
}

async function start(name: string): Promise<void> {
  await ok("run", "--name", name, ...typed);
}

test("run prints the name, ps shows it, stop and start and rm do what they say", async () => {
  expect((await ok("run", "--name", "one", "-e", "A=b", ...typed)).out).toBe("one\n");
  const [heading, row] = (await ok("ps")).out.trimEnd().split("\n");
  expect(heading).toMatch(/^NAME +IMAGE +RUNTIME +NETWORK +SESSIONS +UP +STATE$/);
  expect(row).toMatch(/^one +exec:.* +process +none +0 +\d+ s +ready$/);
  expect(JSON.parse((await ok("ps", "--json")).out)).toMatchObject([
    { name: "one", state: "ready", runtime: "process" },
  ]);
  expect((await ok("ps", "-q")).out).toBe("one\n");
  expect((await ok("stop", "one")).out).toBe("one\n");
  expect((await ok("ps", "-aq")).out).toBe("one\n");
  expect((await ok("ps", "-q")).out).toBe("");
  expect(JSON.parse((await ok("start", "one", "--json")).out)).toMatchObject([{ name: "one", state: "ready" }]);
  expect((await ok("restart", "one")).out).toBe("one\n");
  expect((await ok("rm", "one")).out).toBe("one\n");
  const none = await manager.run(["ps", "-a"]);
  expect(none).toMatchObject({ code: 0, out: "" });
  expect(none.err).toContain("linkspan run");
});

test("what does not exist: exit code 1, similar names, the others are still done", async () => {
  await start("files");
  const ran = await manager.run(["stop", "fils", "files"]);
  expect(ran).toMatchObject({ code: 1, out: "files\n" });
  expect(ran.err).toContain("fils");
  expect(ran.err).toContain("files");
  const json = await manager.run(["stop", "fils", "--json"]);
  expect(faultLine(json)).toMatchObject({ kind: "not-found" });
  expect(json).toMatchObject({ code: 1, out: "[]\n" });
  const two = await manager.run(["rm", "x1", "x2", "--json"]);
  expect(faultLine(two).data).toMatchObject({ failures: [{ server: "x1" }, { server: "x2" }] });
  await ok("rm", "files");
});

test("--all means what runs", async () => {
  await start("a");
  await start("b");
  expect((await ok("stop", "--all")).out.split("\n").sort()).toEqual(["", "a", "b"]);
  expect((await ok("stop", "--all")).out).toBe("");
  expect((await manager.run(["stop", "--all", "a"])).code).toBe(1);
  expect((await manager.run(["stop"])).err).toContain("which server?");
  await ok("rm", "a", "b");
});

test("tools: a table, one in full, JSON as declared; similar names for a wrong one", async () => {
  await start("typed");
  expect((await ok("tools", "typed")).out).toMatch(
    /describe +text \[count\] \[deep\] \[tags\] +Says what it was given\.\n/,
  );
  const full = (await ok("tools", "typed", "describe")).out;
  expect(full).toMatch(/text +string +yes +any words/);
  expect(full).toEndWith("linkspan call typed describe text=<string>\n");
  expect(JSON.parse((await ok("tools", "typed", "--json")).out)).toHaveLength(4);
  const wrong = await manager.run(["tools", "typed", "descibe"]);
  expect(wrong.code).toBe(1);
  expect(wrong.err).toContain("Did you mean describe?");
});

test("call: arguments typed by the schema, raw JSON, --args, a file, stdin", async () => {
  const given = async (...args: string[]) => JSON.parse((await ok("call", "typed", "describe", ...args)).out);
  expect(await given("text=7", "count=2", "deep=true", "tags=a")).toEqual({
    text: "7",
    count: 2,
    deep: true,
    tags: ["a"],
  });
  expect(await given("text:=null", "tags=a", "tags=b")).toEqual({ text: null, tags: ["a", "b"] });
  expect(await given("--args", '{"text":"x"}')).toEqual({ text: "x" });
  expect(await given("--args", '{"text":"x","count":1}', "count=3")).toEqual({ text: "x", count: 3 });
  await Bun.write(`${manager.dir}/args.json`, '{"text":"from a file"}');
  expect(await given("--args", `@${manager.dir}/args.json`)).toEqual({ text: "from a file" });
  const stdin = await manager.run(["call", "typed", "describe", "--args", "-"], { stdin: '{"text":"stdin"}' });
  expect(stdin.out).toBe('{"text":"stdin"}\n');
  const whole = JSON.parse((await ok("call", "typed", "describe", "text=x", "--json")).out);
  expect(whole.content).toEqual([{ type: "text", text: '{"text":"x"}' }]);
  expect((await ok("call", "typed", "picture")).out).toBe("[image image/png, 3 B; --json shows it]\n");
});

test("call: a wrong argument is a usage error before anything is sent, a failed tool is exit code 5", async () => {
  const wrong = await manager.run(["call", "typed", "describe", "txt=x"]);
  expect(wrong.code).toBe(1);
  expect(wrong.err).toContain("Did you mean text?");
  const failed = await manager.run(["call", "typed", "fail"]);
  expect(failed).toMatchObject({ code: 5, out: "" });
  expect(failed.err).toBe("linkspan: fail failed\n  it failed\n");
  const json = await manager.run(["call", "typed", "fail", "--json"]);
  expect(json.code).toBe(5);
  expect(JSON.parse(json.out)).toMatchObject({ isError: true });
  expect(faultLine(json).kind).toBe("tool-failed");
  const died = await manager.run(["call", "typed", "die", "--json"]);
  expect(died.code).toBe(5);
  expect(faultLine(died).kind).toBe("server-failed");
  expect(died.err).toContain("last words");
});

test("inspect says that a process is not isolated, and has everything as JSON", async () => {
  const words = (await ok("inspect", "typed")).out;
  expect(words).toMatch(/isolation +none/);
  expect(words).toMatch(/state +ready/);
  expect(JSON.parse((await ok("inspect", "typed", "--json")).out)).toMatchObject({
    view: { name: "typed" },
    spec: { name: "typed", limits: { pids: 128 } },
    health: { status: "ok" },
  });
});

test("logs: tail, timestamps, JSON a line; a terminal is not steered by what a server wrote", async () => {
  await ok("call", "typed", "describe", "text=x");
  expect((await ok("logs", "typed")).out).toContain("typed-tools is up");
  const lines = (await ok("logs", "typed", "--tail", "1", "--json")).out.trimEnd().split("\n");
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ at: expect.any(Number), text: expect.any(String) });
  expect((await ok("logs", "-t", "typed")).out).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z /);
  const screen = await inTerminal(["logs", "typed"], { env: manager.env });
  expect(screen.bytes).toContain("typed-tools is up");
  expect(screen.bytes).not.toContain("\x1b]0;title");
});

test("logs -f goes on until the server's end", async () => {
  await start("followed");
  const child = Bun.spawn([BINARY, "logs", "-f", "followed"], {
    env: cleanEnv(manager.env),
    stdout: "pipe",
    stderr: "pipe",
  });
  const reading = child.stdout.text();
  await ok("call", "followed", "describe", "text=x");
  await ok("stop", "followed");
  expect(await child.exited).toBe(0);
  expect(await reading).toContain("typed-tools is up");
  await ok("rm", "followed");
});

test("stats of what runs", async () => {
  expect((await ok("stats")).out).toMatch(/^NAME +MEMORY +LIMIT +CPU +PROCESSES\ntyped +[\d.]+ MiB/);
  expect(JSON.parse((await ok("stats", "typed", "--json")).out)).toMatchObject([
    { name: "typed", memoryBytes: expect.any(Number), pids: expect.any(Number) },
  ]);
});

test("events: one a line, of one server, as JSON", async () => {
  const all = (await ok("events", "--json")).out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(all.some((event) => event.server === "typed")).toBe(true);
  const some = (await ok("events", "typed", "--json")).out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(some.length).toBeGreaterThan(0);
  expect(some.every((event) => event.server === "typed")).toBe(true);
  expect((await ok("events", "typed")).out).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z \S+ typed /);
});

test("token is the manager's, and REST takes it", async () => {
  const token = (await ok("token")).out.trim();
  expect(token.length).toBeGreaterThanOrEqual(32);
  expect(JSON.parse((await ok("token", "--json")).out)).toMatchObject({ token });
});

test("completion knows servers, tools and arguments", async () => {
  const offered = async (...words: string[]) => (await ok("complete", "--", ...words)).out;
  expect(await offered("logs", "ty")).toMatch(/^typed\tready, exec:/);
  expect(await offered("call", "typed", "de")).toBe("describe\tSays what it was given. Nothing else.\n:4\n");
  expect(await offered("call", "typed", "describe", "te")).toBe("text=\tany words\n:6\n");
});

test("a reader that has gone is no error", async () => {
  const command = `"$0" ps -a | head -c 0; echo "\${PIPESTATUS[0]}"`;
  const child = Bun.spawn(["bash", "-c", command, BINARY], {
    env: cleanEnv(manager.env),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect({ out, err }).toEqual({ out: "0\n", err: "" });
});

test("a server that cannot start: exit code 5 and its own words", async () => {
  const ran = await manager.run(["run", "--name", "broken", `exec:${process.execPath}`, "--", "run", "/no/such.ts"]);
  const call = ran.code === 0 ? await manager.run(["call", "broken", "x"]) : ran;
  expect(call.code).toBe(5);
  expect(call.err).toContain("/no/such.ts");
  await manager.run(["rm", "broken"]);
});

test("an address that is no manager: exit code 4; a wrong token: exit code 3", async () => {
  const nowhere = { LINKSPAN_URL: "http://127.0.0.1:9", LINKSPAN_TOKEN: "x".repeat(43) };
  const ran = await manager.run(["ps", "--json"], { env: nowhere });
  expect(ran.code).toBe(4);
  expect(faultLine(ran).kind).toBe("unreachable");
  const out = await Bun.file(`${manager.dir}/serve.out`).text();
  const err = await Bun.file(`${manager.dir}/serve.err`).text();
  const [, port] = /127\.0\.0\.1:(\d+)/.exec(out + err) ?? [];
  const env = { LINKSPAN_URL: `http://127.0.0.1:${port}`, LINKSPAN_TOKEN: "x".repeat(43) };
  expect(await manager.run(["ps"], { env })).toMatchObject({ code: 3, out: "" });
  const token = (await ok("token")).out.trim();
  expect((await manager.run(["ps", "--json"], { env: { ...env, LINKSPAN_TOKEN: token } })).code).toBe(0);
  expect((await manager.run(["ps"], { env: { ...env, LINKSPAN_TOKEN: "" } })).code).toBe(3);
});

test("progress appears in a terminal only, and leaves no trace on the screen", async () => {
  const screen = await inTerminal(["restart", "typed"], { env: manager.env });
  expect(screen.code).toBe(0);
  expect(screen.bytes.split("\x1b[2K").at(-1)?.trim()).toBe("typed");
});
