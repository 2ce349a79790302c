/** Every way in which a server process can end or fail to start, and what its client is told. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { existsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fixture, type LineClient, TestBridge, TOKEN } from "../support/bridge.ts";
import { until } from "../support/until.ts";

const OBEDIENT = fixture("obedient-server.ts");
const folder = await mkdtemp(join(tmpdir(), "linkspan-exits-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`) || (process.platform !== "linux" && process.kill(pid, 0));
}

async function gone(pid: number): Promise<void> {
  await until(`the end of process ${pid}`, () => !isAlive(pid));
}

/** The pid that the server of this session has, from the bridge's log. */
function serverPid(bridge: TestBridge): Promise<number> {
  return until(
    "the server's start",
    () => Number(/server process (\d+) started/.exec(bridge.stderr)?.[1]) || undefined,
  );
}

describe("exit status", () => {
  test("every exit code from 0 to 255 reaches the client, as an error for its request and in the exit frame", async () => {
    await using bridge = await TestBridge.start(fixture("exit-as-told.sh"));
    const told = async (code: number) => {
      const client = await bridge.attach();
      client.request(0, "hello");
      expect(await client.message()).toMatchObject({ id: 0, result: {} });
      client.request(code, "exit", { code });
      const error = await client.message();
      expect(error).toMatchObject({
        id: code,
        error: { code: -32052, data: { kind: "server-failed", code, signal: null } },
      });
      expect(await client.frame("exit")).toMatchObject({ code, signal: null, oom: false });
      client.destroy();
    };
    for (let first = 0; first < 256; first += 32) {
      await Promise.all(Array.from({ length: 32 }, (_, i) => told(first + i)));
    }
  }, 60_000);

  test.each(["TERM", "KILL", "SEGV", "ABRT", "HUP", "USR1", "PIPE"])("SIG%s reaches the client", async (signal) => {
    await using bridge = await TestBridge.start(fixture("exit-as-told.sh"));
    const client = await bridge.attach();
    client.request(1, "kill", { signal });
    expect(await client.message()).toMatchObject({ id: 1, error: { data: { code: null, signal: `SIG${signal}` } } });
    expect(await client.frame("exit")).toMatchObject({ code: null, signal: `SIG${signal}`, oom: false });
  });

  test("all requests in flight are answered within a second, with the last words of the server", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    for (const id of [1, "1", 2]) client.request(id, "silence");
    client.request(3, "stderr", { text: "it is broken" });
    expect(await client.message()).toMatchObject({ id: 3 });
    const startedAt = performance.now();
    client.request(4, "exit", { code: 9 });
    const errors = [await client.message(), await client.message(), await client.message(), await client.message()];
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(errors.map((error) => error.id)).toEqual([1, "1", 2, 4]);
    for (const { error } of errors) expect(error?.data).toMatchObject({ code: 9, stderr: ["it is broken"] });
    expect((await client.frame("exit")).reason).toBe("the server ended by itself with exit code 9");
    expect(await client.toEnd()).toEqual([]);
  });

  test("a server that ends at once", async () => {
    await using bridge = await TestBridge.start(["sh", "-c", "echo no config found >&2; exit 78"]);
    const client = await bridge.plain();
    client.request(0, "initialize");
    expect(await client.message()).toMatchObject({ id: 0, error: { data: { code: 78, stderr: ["no config found"] } } });
    expect(await client.toEnd()).toEqual([]);
  });

  test("a server that closes its output but runs on is stopped, and its client is told", async () => {
    await using bridge = await TestBridge.start(["sh", "-c", "exec >&-; exec sleep 3600"], {
      args: ["--stop-ms", "600"],
    });
    const client = await bridge.attach();
    client.request(1, "anything");
    expect(await client.message()).toMatchObject({ id: 1, error: { data: { signal: "SIGTERM" } } });
    expect((await client.frame("exit")).reason).toContain("closed its input or output");
  });

  test("what a server says last, without a newline, is delivered", async () => {
    const answer = '{"jsonrpc":"2.0","id":1,"result":"last"}';
    await using bridge = await TestBridge.start(["sh", "-c", `read line; printf '%s' '${answer}'`]);
    const client = await bridge.plain();
    client.request(1, "anything");
    expect(await client.toEnd()).toEqual([answer]);
  });
});

describe("the process group", () => {
  test("descendants of a dead server are killed and do not hold up the report", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    client.request(1, "spawn", { command: ["sh", "-c", "trap '' TERM; sleep 3600"] });
    const descendant = Number((await client.message()).result);
    const startedAt = performance.now();
    client.request(2, "exit", { code: 1 });
    await client.frame("exit");
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    await gone(descendant);
  });

  test("a descendant that left the group and holds the streams does not hold up the report either", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    client.request(1, "spawn", { command: ["setsid", "sleep", "30"] });
    const descendant = Number((await client.message()).result);
    const startedAt = performance.now();
    client.request(2, "exit", { code: 1 });
    await client.frame("exit");
    expect(performance.now() - startedAt).toBeLessThan(1_500);
    if (isAlive(descendant)) process.kill(descendant, "SIGKILL");
  });

  test("a server that ignores the end of its input and SIGTERM is gone within 6 s, its group too", async () => {
    await using bridge = await TestBridge.start(fixture("stubborn-server.sh"), { args: ["--resume-ms", "0"] });
    const control = await bridge.control();
    const client = await bridge.attach();
    const pid = await serverPid(bridge);
    await until("the trap", () => bridge.stderr.includes("stubborn"));
    client.destroy();
    expect(await control.frame("exit", 6_000)).toMatchObject({ signal: "SIGKILL", oom: false });
    await gone(pid);
  });

  test("a server that only ignores the end of its input gets SIGTERM", async () => {
    await using bridge = await TestBridge.start(["sleep", "3600"], { args: ["--stop-ms", "800"] });
    const control = await bridge.control();
    const client = await bridge.attach();
    client.send({ link: "detach" });
    expect(await control.frame("exit")).toMatchObject({ signal: "SIGTERM" });
  });

  test("nothing is left of a thousand sessions: no process, no descriptor", async () => {
    await using bridge = await TestBridge.start(fixture("exit-as-told.sh"));
    const descriptors = async () =>
      (await Array.fromAsync(new Bun.Glob("*").scan({ cwd: `/proc/${bridge.process.pid}/fd`, onlyFiles: false })))
        .length;
    const once = async (detach: boolean) => {
      const client = await bridge.attach();
      client.request(0, "hello");
      await client.message();
      if (detach) client.send({ link: "detach" });
      else client.request(1, "exit", { code: 0 });
      await client.toEnd();
      client.destroy();
    };
    await once(true);
    const before = await descriptors();
    for (let round = 0; round < 25; round++) await Promise.all(Array.from({ length: 40 }, (_, i) => once(i % 2 === 0)));
    const control = await bridge.control();
    await until("the end of all servers", async () => {
      control.send({ link: "health" });
      const health = await control.frame("health");
      return health.processes === 0 && health.connections === 1;
    });
    control.destroy();
    await until("the release of all descriptors", async () => (await descriptors()) <= before);
    const children = await Bun.file(`/proc/${bridge.process.pid}/task/${bridge.process.pid}/children`).text();
    expect(children.trim()).toBe("");
  }, 60_000);
});

describe("a server that cannot be started", () => {
  const file = (name: string) => join(folder, name);
  const elf = (machine: number) => {
    const header = Buffer.alloc(64);
    header.write("\x7fELF\x02\x01\x01", "latin1");
    header.writeUInt16LE(2, 16);
    header.writeUInt16LE(machine, 18);
    return header;
  };
  writeFileSync(file("plain-file"), "#!/bin/sh\n");
  writeFileSync(file("no-interpreter"), "#!/no/such/interpreter -x\n", { mode: 0o755 });
  writeFileSync(file("no-program"), "echo hello\n", { mode: 0o755 });
  writeFileSync(file("other-machine"), elf(process.arch === "x64" ? 183 : 62), { mode: 0o755 });

  const failures: [string, string, RegExp][] = [
    ["does not exist", file("nothing"), /executable .*nothing does not exist/],
    ["is not in PATH", "no-such-program-anywhere", /no-such-program-anywhere is in no folder of PATH/],
    ["is not executable", file("plain-file"), /plain-file is not executable/],
    ["is a directory", folder, /is a directory/],
    ["has no interpreter", file("no-interpreter"), /is a script for \/no\/such\/interpreter, which does not exist/],
    ["is no program", file("no-program"), /is no program/],
    ["is for another machine", file("other-machine"), /is built for (arm64|x64), but this machine is/],
  ];

  test.each(failures)("because it %s", async (_, command, message) => {
    await using bridge = await TestBridge.start([command, "argument"]);
    const full = await bridge.connect();
    full.send({ link: "attach", version: 1, token: TOKEN });
    await full.frame("attached");
    const refusal = await full.message();
    expect(refusal).toMatchObject({ link: "error", kind: "server-failed", message: expect.stringMatching(message) });
    expect(await full.toEnd()).toEqual([]);
    // A request that came along is answered as well, which is all that a plain client understands.
    const plain = await bridge.connect();
    plain.send(`{"link":"attach","token":"${TOKEN}"}\n{"jsonrpc":"2.0","id":5,"method":"initialize"}\n`);
    expect(await plain.message()).toMatchObject({
      id: 5,
      error: { code: -32052, message: expect.stringMatching(message) },
    });
    // Tried twice for two clients, and not again by itself.
    expect(bridge.stderr.split("could not be started")).toHaveLength(3);
  });

  test("because the working directory is gone", async () => {
    const cwd = file("working-directory");
    await mkdir(cwd);
    await using bridge = await TestBridge.start(["./server"], { cwd });
    await rm(cwd, { recursive: true });
    const client = await bridge.connect();
    client.send({ link: "attach", version: 1, token: TOKEN });
    const lines = await client.toEnd();
    expect(lines.at(-1)).toContain("the working directory does not exist");
  });

  test("and can be started once the reason is gone", async () => {
    const command = file("repaired");
    writeFileSync(command, '#!/bin/sh\nread line; echo \'{"jsonrpc":"2.0","id":1,"result":1}\'\n');
    await using bridge = await TestBridge.start([command]);
    const client = await bridge.connect();
    client.send({ link: "attach", version: 1, token: TOKEN });
    await client.toEnd();
    await chmod(command, 0o755);
    const again: LineClient = await bridge.attach();
    again.request(1, "x");
    expect(await again.message()).toMatchObject({ id: 1, result: 1 });
    const control = await bridge.control();
    control.send({ link: "health" });
    expect((await control.frame("health")).status).toBe("ok");
  });
});

describe("the command line", () => {
  const refused: [string, string[], RegExp][] = [
    ["no command", ["--listen", "127.0.0.1:0"], /command is missing/],
    ["no address", ["--", "cat"], /--listen HOST:PORT is missing/],
    ["a bad address", ["--listen", "nonsense", "--", "cat"], /--listen takes HOST:PORT/],
    ["a port that is none", ["--listen", "127.0.0.1:99999", "--", "cat"], /port up to 65535/],
    ["an unknown flag", ["--listen", "127.0.0.1:0", "--frobnicate", "--", "cat"], /unknown argument --frobnicate/],
    ["a flag without its value", ["--listen", "--", "cat"], /--listen needs a value/],
    ["a hash that is none", ["--listen", "127.0.0.1:0", "--token-sha256", "abc", "--", "cat"], /64 hex digits/],
    ["a missing token file", ["--listen", "127.0.0.1:0", "--token-file", "/no/file", "--", "cat"], /token file/],
    ["no token on all addresses", ["--listen", "0.0.0.0:0", "--", "cat"], /--insecure/],
    [
      "too large a limit",
      ["--listen", "127.0.0.1:0", "--message-bytes", "99999999999", "--", "cat"],
      /--message-bytes takes/,
    ],
  ];

  test.each(refused)("refuses %s with exit code 1", async (_, args, message) => {
    const { code, stderr } = await run(args);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
  });

  test("a taken port is named", async () => {
    using other = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const ahead = ["--spare", "2", "--lease-ms", "60000"];
    const { code, stderr } = await run(["--listen", `127.0.0.1:${other.port}`, ...ahead, "--", "cat"]);
    expect(code).toBe(1);
    expect(stderr).not.toContain("started");
    expect(stderr).toContain(`cannot listen on 127.0.0.1:${other.port}`);
  }, 30_000);

  async function run(args: string[]): Promise<{ code: number; stderr: string }> {
    const { BINARY } = await import("../support/binary.ts");
    const stdio: ["ignore", "ignore", "pipe"] = ["ignore", "ignore", "pipe"];
    // One that stays is shown as killed, with what it has said.
    const child = Bun.spawn({ cmd: [BINARY, "bridge", ...args], stdio, timeout: 20_000, killSignal: "SIGKILL" });
    const [stderr, code] = await Promise.all([child.stderr.text(), child.exited]);
    return { code, stderr };
  }
});
