/** Every way in which a person or a system ends each of the roles: exit code 0 within the timeout, and nothing is left. */
import { afterAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY } from "../support/binary.ts";
import { cleanEnv } from "../support/cli.ts";
import { until } from "../support/until.ts";
import { RawFront } from "./raw-front.ts";

const PLAIN = join(import.meta.dir, "../fixtures/plain-server.ts");
/** The stop timeout of features.md, and what a busy machine takes on top. */
const END_MS = 8_000;

const made: string[] = [];
afterAll(() => Promise.all(made.map((path) => rm(path, { recursive: true, force: true }))));

async function home(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "ls-end-"));
  made.push(path);
  const manager = { runtime: "process", allowWeaker: true, stopServersOnExit: true };
  const servers = { plain: { image: `exec:${process.execPath}`, args: [PLAIN], start: "always" } };
  await Bun.write(join(path, ".config/linkspan/linkspan.yaml"), JSON.stringify({ manager, servers }));
  return path;
}

function launch(path: string, ...args: string[]) {
  const env = cleanEnv({ HOME: path, LINKSPAN_DATA_DIR: join(path, "data") });
  const filled = Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]));
  return { command: BINARY, args, env: Object.fromEntries(filled) as Record<string, string> };
}

/** Command lines of processes that have the path in them: managers, shims, bridges, and servers by their family mark. */
function left(path: string): string[] {
  const read = (pid: string, file: string) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, "latin1").replaceAll("\0", " ");
    } catch {
      return "";
    }
  };
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  return pids
    .filter((pid) => `${read(pid, "cmdline")}${read(pid, "environ")}`.includes(path))
    .map((pid) => read(pid, "cmdline"));
}

/** In a terminal of its own, which closes when the returned process is killed. */
function inTerminal({ command, args, env }: ReturnType<typeof launch>) {
  const line = [command, ...args].map((word) => `'${word}'`).join(" ");
  return Bun.spawn(["script", "-qfec", `exec ${line}`, "/dev/null"], { env, stdio: ["pipe", "pipe", "ignore"] });
}

const hasTerminals = Bun.which("script") !== null;
if (!hasTerminals)
  process.stderr.write("!! tests are SKIPPED: script(1) is missing, so there is no terminal to close\n");

const SERVE = ["serve", "--port", "0", "--tcp-port", "0"];
const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

test.concurrent.each(SIGNALS)(
  "a front with a manager of its own: %s",
  async (signal) => {
    const path = await home();
    await using front = new RawFront(launch(path, "mcp", "plain", "--embedded"));
    await front.initialize(30_000);
    const hanging = front.ask("tools/call", { name: "hang" });
    await front.call("echo", { text: "x" });
    front.process.kill(signal);
    expect(await front.ended(END_MS)).toBe(0);
    expect((await front.answered(hanging)).error?.code).toBe(-32800);
    expect(left(path)).toEqual([]);
  },
  60_000,
);

test.concurrent.each(SIGNALS)(
  "a manager that takes its servers with it: %s",
  async (signal) => {
    const path = await home();
    const { command, args, env } = launch(path, ...SERVE);
    const manager = Bun.spawn([command, ...args], { env, stdio: ["ignore", "ignore", "ignore"] });
    await until("its server runs", () => left(path).some((line) => line.includes("plain-server.ts")), 30_000);
    manager.kill(signal);
    await until("its end", () => manager.exitCode !== null, END_MS);
    expect(manager.exitCode).toBe(0);
    expect(left(path)).toEqual([]);
  },
  60_000,
);

test.skipIf(!hasTerminals).each([
  ["a front with a manager of its own", ["mcp", "plain", "--embedded"]],
  ["a manager that takes its servers with it", SERVE],
])(
  "%s: its terminal is closed",
  async (_, role) => {
    const path = await home();
    const terminal = inTerminal(launch(path, ...role));
    const request = { jsonrpc: "2.0", id: 1, method: "ping" };
    if (role[0] === "mcp") terminal.stdin.write(`${JSON.stringify(request)}\n`);
    void terminal.stdin.flush();
    await until("its server runs", () => left(path).some((line) => line.includes("plain-server.ts")), 30_000);
    terminal.kill("SIGKILL");
    await until("nothing is left", () => left(path).length === 0, END_MS);
  },
  60_000,
);
