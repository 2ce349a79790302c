/** `linkspan demo`: the real filesystem server from npm, on both runtimes, and nothing left when it has ended. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { Deadline } from "../../src/base/deadline.ts";
import { inspectContainer } from "../../src/docker/containers.ts";
import { inspectVolume } from "../../src/docker/volumes.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv, inTerminal, linkspan, type Ran, tempDir } from "../support/cli.ts";
import { engine, engineTest } from "../support/engine.ts";
import { until } from "../support/until.ts";

const DEMO_MS = 150_000;

/** Processes that know the directory: as an argument or in their environment. */
function processesWith(path: string): string[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((pid) => ["cmdline", "environ"].some((file) => readProc(`/proc/${pid}/${file}`).includes(path)))
    .map((pid) => `${pid} ${readProc(`/proc/${pid}/cmdline`).replaceAll("\0", " ")}`);
}

function readProc(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Runs the demo with a temp directory of its own, in which it must leave nothing. */
async function demo(args: string[], env: Record<string, string> = {}): Promise<Ran> {
  await using temp = await tempDir("demo-test");
  const ran = await linkspan(["demo", "--once", ...args], { env: { TMPDIR: temp.path, ...env }, timeoutMs: DEMO_MS });
  expect(readdirSync(temp.path)).toEqual([]);
  expect(processesWith(temp.path)).toEqual([]);
  return ran;
}

function expectAnswers(ran: Ran): { view: { container?: string; id?: string; runtime: string }; restPort: number } {
  expect(ran).toMatchObject({ code: 0, err: "" });
  const told = JSON.parse(ran.out);
  expect(told.calls.map((call: { tool: string }) => call.tool)).toEqual(["list_directory", "read_text_file"]);
  expect(told.calls[0].result.content[0].text).toContain("[FILE] hello.txt");
  expect(told.calls[1].result.content[0].text).toStartWith("Hello! An MCP server");
  for (const call of told.calls) expect(call.tookMs).toBeGreaterThan(0);
  expect(told.client.mcpServers.files).toMatchObject({ command: BINARY, args: ["mcp", "files"] });
  return told;
}

test(
  "on the process runtime, as JSON; a taken port is passed over",
  async () => {
    const holder = createServer().on("error", () => undefined);
    await new Promise<void>((resolve) => {
      holder.once("error", () => resolve());
      holder.listen(8080, "127.0.0.1", () => resolve());
    });
    const told = expectAnswers(await demo(["--runtime", "process", "--json"]));
    holder.close();
    expect(told.view.runtime).toBe("process");
    expect(told.restPort).not.toBe(8080);
  },
  DEMO_MS,
);

engineTest(
  "in a container, as JSON; the container is gone afterwards",
  async () => {
    const told = expectAnswers(await demo(["--runtime", "docker", "--json"]));
    expect(told.view.runtime).toBe("docker");
    const { id = "" } = told.view;
    expect(id).not.toBe("");
    expect(await inspectContainer(engine(), id, Deadline.in(10_000))).toBeUndefined();
  },
  DEMO_MS,
);

engineTest(
  "on an engine that does not see this machine's files: a copy of the folder in a volume, which goes, too",
  async () => {
    await using remote = await remoteEngine();
    const env = { DOCKER_HOST: `tcp://${remote.address}:${remote.port}`, LINKSPAN_PUBLISH_ADDRESS: remote.address };
    const ran = await demo([], env);
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out).toContain("[FILE] hello.txt");
    expect(ran.out).toContain("-none-published)");
    const [, volume = ""] = /copied into the volume (linkspan-demo-[0-9a-f]{8})/.exec(ran.out) ?? [];
    expect(volume).not.toBe("");
    expect(await inspectVolume(engine(), volume, Deadline.in(10_000))).toBeUndefined();
  },
  DEMO_MS,
);

engineTest(
  "on an engine that cannot run the server it says why, and goes on without isolation",
  async () => {
    await using remote = await remoteEngine();
    // Nobody has said at which address its published ports are reached.
    const env = { DOCKER_HOST: `tcp://${remote.address}:${remote.port}` };
    const ran = await demo([], env);
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out).toContain("LINKSPAN_PUBLISH_ADDRESS");
    expect(ran.out).toContain("No isolation");
    expect(ran.out).toContain("Hello! An MCP server");
    expect((await demo(["--runtime", "docker"], env)).code).toBe(1);
  },
  DEMO_MS,
);

/** The same engine at an address of this machine that is not loopback: nothing tells it from another machine's. */
async function remoteEngine(): Promise<{ address: string; port: number } & AsyncDisposable> {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const address = addresses.find((one) => one.family === "IPv4" && !one.internal)?.address ?? "";
  const { endpoint } = engine();
  if (endpoint.kind !== "socket") throw new Error("the test engine is not at a socket");
  const server = createServer((near) => {
    const far = connect(endpoint.path);
    near.pipe(far).pipe(near);
    near.on("error", () => far.destroy());
    far.on("error", () => near.destroy());
  });
  await once(server.listen(0, address), "listening");
  const at = server.address();
  if (at === null || typeof at === "string") throw new Error("no port");
  return { address, port: at.port, [Symbol.asyncDispose]: async () => void server.close() };
}

test(
  "without an engine it says that there is no isolation, and works",
  async () => {
    await using temp = await tempDir("demo-test");
    const env = { TMPDIR: temp.path, DOCKER_HOST: `unix://${temp.path}/none.sock` };
    const ran = await linkspan(["demo", "--once"], { env, timeoutMs: DEMO_MS });
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out).toContain("no container engine answers");
    expect(ran.out).toContain("No isolation");
    expect(ran.out).toContain("Hello! An MCP server");
    expect(ran.out).toContain("All gone");
    expect(ran.out).not.toContain("\x1b");
    const forced = await linkspan(["demo", "--once", "--runtime", "docker"], { env });
    expect(forced).toMatchObject({ code: 4 });
    expect(readdirSync(temp.path)).toEqual([]);
  },
  DEMO_MS,
);

test(
  "stays up until Ctrl-C, shows what to type next, then leaves nothing",
  async () => {
    await using temp = await tempDir("demo-test");
    let typed = false;
    const screen = await inTerminal(["demo", "--runtime", "process"], {
      env: { TMPDIR: temp.path },
      timeoutMs: DEMO_MS,
      onOutput(bytes, type) {
        if (typed || !bytes.includes("takes everything away")) return;
        typed = true;
        type("\x03");
      },
    });
    expect(screen.code).toBe(0);
    for (const words of ["mcpServers", "curl -s http://127.0.0.1:", " call files read_text_file", "All gone"]) {
      expect(screen.bytes).toContain(words);
    }
    expect(readdirSync(temp.path)).toEqual([]);
    expect(processesWith(temp.path)).toEqual([]);
  },
  DEMO_MS,
);

test(
  "SIGTERM in the middle of the start leaves nothing either",
  async () => {
    await using temp = await tempDir("demo-test");
    const child = Bun.spawn([BINARY, "demo", "--runtime", "process"], {
      env: cleanEnv({ TMPDIR: temp.path }),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    let out = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      if (!out.includes("Manager") && (out + chunk).includes("Manager")) child.kill("SIGTERM");
      out += chunk;
    }
    expect({ code: await child.exited, err: await child.stderr.text() }).toEqual({ code: 0, err: "" });
    expect(out).toContain("All gone");
    expect(readdirSync(temp.path)).toEqual([]);
    expect(processesWith(temp.path)).toEqual([]);
  },
  DEMO_MS,
);

test(
  "SIGKILL leaves no process: the manager and its server end by themselves",
  async () => {
    await using temp = await tempDir("demo-test");
    const child = Bun.spawn([BINARY, "demo", "--runtime", "process"], {
      env: cleanEnv({ TMPDIR: temp.path }),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
    });
    let out = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      if (!out.includes("Ctrl-C") && (out + chunk).includes("Ctrl-C")) child.kill("SIGKILL");
      out += chunk;
    }
    await child.exited;
    await until("the end of its processes", () => processesWith(temp.path).length === 0, 20_000);
  },
  DEMO_MS,
);
