/** `linkspan serve` as a process: its ports, its signals, its data directory, its configuration, its end. */
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanEnv, linkspan } from "./support/cli.ts";
import { BINARY } from "./support/binary.ts";
import { until } from "./support/until.ts";

const FIXTURE = join(import.meta.dir, "fixtures/plain-server.ts");
const PLAIN = { image: `exec:${process.execPath}`, args: [FIXTURE] };
const READY_MS = 20_000;

interface View {
  state: string;
  since?: number;
  addresses: { port: number }[];
}

class Serve implements AsyncDisposable {
  private constructor(
    readonly dir: string,
    readonly child: Bun.Subprocess,
  ) {}

  static spawn(dir: string, args: string[] = [], env: Record<string, string> = {}): Serve {
    mkdirSync(dir, { recursive: true });
    const log = Bun.file(join(dir, "serve.log"));
    const ports = ["--port", "0", "--tcp-port", "0", "--runtime", "process"];
    const child = Bun.spawn([BINARY, "serve", ...ports, ...args], {
      cwd: dir,
      env: cleanEnv({ LINKSPAN_DATA_DIR: dir, HOME: dir, ...env }),
      stdio: ["ignore", log, log],
    });
    return new Serve(dir, child);
  }

  /** Resolves when it listens. */
  static async start(dir: string, args: string[] = [], env: Record<string, string> = {}): Promise<Serve> {
    const serve = Serve.spawn(dir, args, env);
    const up = () =>
      serve.api("/health").then(
        (answer) => answer.ok,
        () => false,
      );
    await until(`a manager that answers: ${serve.log}`, up, READY_MS);
    return serve;
  }

  get log(): string {
    return existsSync(join(this.dir, "serve.log")) ? readFileSync(join(this.dir, "serve.log"), "utf8") : "";
  }

  api(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { "content-type": "application/json" };
    return fetch(`http://localhost${path}`, { headers, ...init, unix: join(this.dir, "manager.sock") });
  }

  post(path: string, body: unknown = {}): Promise<Response> {
    return this.api(path, { method: "POST", body: JSON.stringify(body) });
  }

  async startPlain(name = "plain"): Promise<View> {
    const answer = await this.post(`/servers/${name}/start`, PLAIN);
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.json()) as View;
  }

  async view(name = "plain"): Promise<View> {
    return (await (await this.api(`/servers/${name}`)).json()) as View;
  }

  /** The exit code after a signal. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number | string | null> {
    this.child.kill(signal);
    await this.child.exited;
    return this.child.exitCode ?? this.child.signalCode;
  }

  /** Ends it, and with it every server that it or an earlier manager on its directory has started. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
    const last = await Serve.start(this.dir, ["--stop-servers-on-exit"]);
    await last.api("/servers");
    expect(await last.end()).toBe(0);
    // The caretaker of one that was killed sees within moments that another one has come.
    await until("the end of all that was started", () => bridges(this.dir).length === 0, 5_000);
  }
}

/** Processes whose command line names the directory: shims, bridges, servers. */
function bridges(dir: string): string[] {
  const lines = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(commandLine);
  return lines.filter((line) => line.includes(dir) && !line.includes(" serve "));
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

const made: string[] = [];
async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "linkspan-daemon-"));
  made.push(path);
  return path;
}
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

test("says where it listens; SIGTERM: exit code 0, servers run on, the next manager takes them over; SIGKILL the same", async () => {
  const dir = await folder();
  await using first = await Serve.start(dir);
  expect(first.log).toMatch(/is up rest=(http:\/\/127\.0\.0\.1:\d+) mcp=\1\/mcp tcp=127\.0\.0\.1:\d+ socket=/);
  const before = await first.startPlain();
  expect(await first.end("SIGTERM")).toBe(0);
  expect(existsSync(join(dir, "manager.sock"))).toBe(false);
  const second = await Serve.start(dir);
  await until("it is taken over", async () => (await second.view()).state === "ready", 5_000);
  expect((await second.view()).since).toBe(before.since as number);
  await second.end("SIGKILL");
  const third = await Serve.start(dir);
  await until("it is taken over", async () => (await third.view()).state === "ready", 5_000);
  expect((await third.view()).since).toBe(before.since as number);
  const called = await third.post("/servers/plain/call", { tool: "echo", arguments: { text: "still there" } });
  expect(await called.text()).toContain("still there");
  expect(await third.end("SIGINT")).toBe(0);
}, 60_000);

test("SIGTERM in the middle of calls: they are answered, new ones are refused, exit code 0", async () => {
  await using serve = await Serve.start(await folder());
  await serve.startPlain();
  const body = { tool: "echo", arguments: { text: "x".repeat(100_000) } };
  const calls = Array.from({ length: 20 }, () =>
    serve.post("/servers/plain/call", body).then((answer) => answer.status),
  );
  await until("they are under way", async () => (await serve.api("/metrics")).ok);
  const code = serve.end("SIGTERM");
  expect(await Promise.all(calls)).toEqual(Array.from({ length: 20 }, () => 200));
  expect(await code).toBe(0);
  expect(
    await serve.api("/health").then(
      () => "answered",
      () => "refused",
    ),
  ).toBe("refused");
});

test("a call that never ends holds the end up for 5 s at most", async () => {
  await using serve = await Serve.start(await folder());
  await serve.startPlain();
  const hanging = serve.post("/servers/plain/call", { tool: "hang", arguments: {} }).then(
    (answer) => answer.status,
    () => "cut",
  );
  await until("it is under way", async () =>
    (await (await serve.api("/servers/plain/inspect")).text()).includes('"inFlight":1'),
  );
  const begun = performance.now();
  expect(await serve.end("SIGTERM")).toBe(0);
  expect(performance.now() - begun).toBeLessThan(15_000);
  expect(await hanging).not.toBe(200);
}, 30_000);

test("--stop-servers-on-exit leaves nothing behind", async () => {
  const dir = await folder();
  await using serve = await Serve.start(dir, ["--stop-servers-on-exit"]);
  await Promise.all([serve.startPlain("one"), serve.startPlain("two")]);
  expect(bridges(dir).length).toBeGreaterThan(0);
  expect(await serve.end()).toBe(0);
  expect(bridges(dir)).toEqual([]);
  expect(readdirSync(join(dir, "process"))).toEqual([]);
});

test("one data directory, one manager: the second says which process has it, and touches nothing", async () => {
  const dir = await folder();
  await using first = await Serve.start(dir);
  await first.startPlain();
  const second = await linkspan(["serve", "--port", "0", "--tcp-port", "0"], { env: { LINKSPAN_DATA_DIR: dir } });
  expect(second.code).toBe(1);
  expect(second.err).toContain(`a manager (process ${first.child.pid}) already runs on the data directory ${dir}`);
  expect((await first.view()).state).toBe("ready");
});

test("a port that is taken: exit code 1, the port is named, no server and no lock is left", async () => {
  const dir = await folder();
  const taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  try {
    for (const flag of ["--port", "--tcp-port"]) {
      const other = flag === "--port" ? "--tcp-port" : "--port";
      const args = ["serve", flag, String(taken.port), other, "0", "--runtime", "process"];
      const ran = await linkspan(args, { env: { LINKSPAN_DATA_DIR: dir } });
      expect([ran.code, ran.out]).toEqual([1, ""]);
      expect(ran.err).toContain(`port ${taken.port} on 127.0.0.1 is taken`);
      expect(ran.err).toContain(flag);
      expect(existsSync(join(dir, "manager.sock"))).toBe(false);
    }
  } finally {
    taken.stop(true);
  }
  await using serve = await Serve.start(dir);
  expect((await serve.api("/servers")).ok).toBe(true);
});

test("in the background: only the socket; it ends when idle, not while a server is wanted, and takes those that nobody wants along", async () => {
  const dir = await folder();
  const config = join(dir, "linkspan.yaml");
  writeFileSync(config, `servers:\n  plain: ${JSON.stringify(PLAIN)}\n`);
  const args = ["--background-child", "--idle-exit", "1", "--config", config];
  await using serve = await Serve.start(dir, args);
  expect(serve.log).not.toContain("rest=");
  expect((await serve.post("/servers/plain/start")).status).toBe(200);
  // Longer than the idle time: it is still there because somebody asked for the server.
  await Bun.sleep(1_800);
  expect((await serve.view()).state).toBe("ready");
  expect((await serve.post("/servers/plain/stop")).status).toBe(200);
  const grant = await serve.post("/sessions", { server: "plain", pid: process.pid, ppid: process.ppid });
  const { session } = (await grant.json()) as { session: string };
  await Bun.sleep(1_800);
  expect((await serve.view()).state).toBe("ready");
  await serve.api(`/sessions/${session}`, { method: "DELETE" });
  await until("it has ended", () => serve.child.exitCode !== null, 10_000);
  expect(serve.child.exitCode).toBe(0);
  expect(serve.log).toContain("nobody needs it");
  expect(bridges(dir)).toEqual([]);
}, 30_000);

test("a configuration with an error: exit code 1, file, line, column and hint; nothing is started", async () => {
  const dir = await folder();
  const config = join(dir, "c.yaml");
  writeFileSync(config, "servers:\n  a:\n    imag: x\n");
  const ran = await linkspan(["serve", "--config", config], { env: { LINKSPAN_DATA_DIR: join(dir, "data") } });
  expect(ran.code).toBe(1);
  expect(ran.err).toContain(`${config}:3:5: unknown field "imag" (servers.a.imag)\n  hint: did you mean "image"?`);
  expect(existsSync(join(dir, "data"))).toBe(false);
  const missing = await linkspan(["serve", "--config", join(dir, "none.yaml")], { env: { LINKSPAN_DATA_DIR: dir } });
  expect([missing.code, missing.err]).toEqual([1, expect.stringContaining("there is no configuration file")]);
});

test("the configuration of the user's folder is read, that of the current one never; options win over it", async () => {
  const dir = await folder();
  mkdirSync(join(dir, ".config/linkspan"), { recursive: true });
  writeFileSync(join(dir, "linkspan.yaml"), "servers: { untrusted: { image: 'exec:false' } }\n");
  writeFileSync(join(dir, ".env"), "LINKSPAN_LOG_FORMAT=json\n");
  const own = `manager: { port: 1, logLevel: warn }\nservers: { mine: ${JSON.stringify(PLAIN)} }\n`;
  writeFileSync(join(dir, ".config/linkspan/linkspan.yaml"), own);
  await using serve = await Serve.start(dir, ["--log-level", "info"]);
  const names = (await (await serve.api("/servers")).json()) as { name: string }[];
  expect(names.map(({ name }) => name)).toEqual(["mine"]);
  expect(serve.log).toContain(" info  linkspan ");
});

test("--log-format json: one object a line, and no token in it", async () => {
  const dir = await folder();
  await using serve = await Serve.start(dir, ["--log-format", "json", "--log-level", "debug"]);
  await serve.startPlain();
  const lines = serve.log
    .trim()
    .split("\n")
    .map((line): { level: string; msg: string } => JSON.parse(line));
  expect(lines[0]).toMatchObject({ level: "info", msg: expect.stringMatching(/^linkspan .* is up$/) });
  expect(serve.log).not.toContain(readFileSync(join(dir, "token"), "utf8").trim());
});

test("wrong options: exit code 1 and what was meant; --help", async () => {
  const wrong = await linkspan(["serve", "--prot", "1"]);
  expect([wrong.code, wrong.err]).toEqual([
    1,
    "linkspan serve: linkspan serve knows no --prot\n  Did you mean --port?\n",
  ]);
  const help = await linkspan(["serve", "--help"]);
  expect([help.code, help.err]).toEqual([0, ""]);
  expect(help.out).toStartWith("Usage: linkspan serve [OPTIONS]");
});
