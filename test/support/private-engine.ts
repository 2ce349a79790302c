/**
 * A container engine for one test run. Where one answers, it is used; else, as root on Debian or Ubuntu, one is
 * installed if need be and started with folders of its own. It shares the machine's network, so that containers can be
 * dialled and reach nothing more than other programs do; that is why it is never started beside another dockerd.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { findEndpoint } from "../../src/docker/endpoint.ts";
import { Engine } from "../../src/docker/engine.ts";
import { listVolumes, removeVolume } from "../../src/docker/volumes.ts";
import { LABEL } from "../../src/runtime/labels.ts";
import { testBridge } from "./docker-subject.ts";

export interface RunEngine {
  /** For DOCKER_HOST; undefined where the default is used or there is none. */
  host: string | undefined;
  /** One line for people: which engine it is, or why there is none. */
  note: string;
  /** Ends a private engine and removes everything of it; does nothing otherwise. It also happens when this process dies. */
  close(): Promise<void>;
}

const INSTALL_MS = 300_000;
const START_MS = 60_000;
const STOP_MS = 30_000;
/** Debian keeps dockerd, iptables and ip where not every user's PATH leads. */
const TOOLS = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`;
const KEEPER = join(import.meta.dir, "engine-keeper.ts");

/** The volumes with the bridge under test: each build makes another one, of some 110 MB. Test images are small and stay. */
async function removeBridges(engine: Engine): Promise<void> {
  const hash = await testBridge().then(
    (files) => files.hash.slice(0, 12),
    () => undefined,
  );
  const volumes = hash ? await listVolumes(engine, { label: [LABEL.bridge] }, Deadline.in(STOP_MS)) : [];
  for (const { Name } of volumes.filter((volume) => volume.Name.endsWith(`-${hash}`))) {
    await removeVolume(engine, Name, Deadline.in(STOP_MS)).catch(() => {});
  }
}

/** Never throws: tests that need an engine are skipped loudly where there is none. */
export async function startEngine(): Promise<RunEngine> {
  if (process.env.LINKSPAN_TEST_ENGINE === "none") return absent("LINKSPAN_TEST_ENGINE=none");
  const endpoint = findEndpoint(process.env);
  try {
    const engine = await Engine.connect(endpoint, Deadline.in(10_000));
    return {
      host: process.env.DOCKER_HOST,
      note: `engine ${engine.version}, the machine's own`,
      close: () => removeBridges(engine).catch(() => {}),
    };
  } catch (error) {
    const obstacle = obstacleToPrivate();
    if (obstacle) return absent(`${error instanceof Error ? error.message : String(error)}; ${obstacle}`);
  }
  const problem = hasProgram("dockerd") ? undefined : await install();
  return problem ? absent(problem) : keep();
}

function absent(reason: string): RunEngine {
  return { host: undefined, note: `no container engine: ${reason}`, close: async () => {} };
}

function obstacleToPrivate(): string | undefined {
  if (process.env.DOCKER_HOST || process.env.DOCKER_BASE_URL) return "DOCKER_HOST names another one";
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "a private one needs root on Linux";
  if (dockerdRuns()) return "a dockerd runs that does not answer";
  if (!hasProgram("dockerd") && !hasProgram("apt-get")) return "dockerd cannot be installed without apt-get";
  return undefined;
}

function hasProgram(name: string): boolean {
  return Bun.which(name, { PATH: TOOLS }) !== null;
}

/** Two engines in one network namespace would take each other's bridges and filter rules away. */
function dockerdRuns(): boolean {
  return readdirSync("/proc").some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "dockerd";
    } catch {
      return false;
    }
  });
}

async function install(): Promise<string | undefined> {
  process.stderr.write("installing docker.io for the tests that need a container engine …\n");
  const apt = ["apt-get", "install", "-y", "--no-install-recommends", "docker.io", "iptables", "iproute2"];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  for (const command of [["apt-get", "update"], apt]) {
    const child = Bun.spawn(command, { env, stdout: "ignore", stderr: "pipe", timeout: INSTALL_MS });
    const [said, code] = await Promise.all([child.stderr.text(), child.exited]);
    if (code !== 0) return `${command.join(" ")} failed: ${said.trim().slice(-300)}`;
  }
  return undefined;
}

/** The keeper owns the engine and ends it when its stdin ends, which it does however this process dies. */
async function keep(): Promise<RunEngine> {
  const keeper = Bun.spawn([process.execPath, KEEPER], {
    env: { ...process.env, PATH: TOOLS },
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const reader = keeper.stdout.getReader();
  const close = async () => {
    await keeper.stdin.end();
    await Deadline.in(STOP_MS).race("the end of the private engine", keeper.exited);
  };
  try {
    const { value } = await Deadline.in(START_MS).race("the start of a private engine", reader.read());
    const host = new TextDecoder().decode(value).trim();
    if (!host.startsWith("unix://")) throw new Error(host || "its keeper ended");
    return { host, note: "a private engine, for this run only", close };
  } catch (error) {
    await close().catch(() => keeper.kill("SIGKILL"));
    return absent(`a private one did not start: ${error instanceof Error ? error.message : String(error)}`);
  }
}
