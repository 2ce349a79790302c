/**
 * A container engine of its own that can become a swarm of one node: in a network, mounts and processes that are nobody
 * else's, so that it runs beside another dockerd. Its socket is a plain path. It ends with its owner, however that ends.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { Engine } from "../../src/docker/engine.ts";
import { listServices, removeService } from "../../src/docker/services.ts";
import { until } from "./until.ts";

const TOOLS = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`;
const START_MS = 60_000;
const STOP_MS = 20_000;

export interface SwarmEngine extends AsyncDisposable {
  engine: Engine;
  /** For DOCKER_HOST. */
  host: string;
  /** Makes it a swarm with one manager. */
  init(): Promise<void>;
}

/** Resolves when the engine answers. */
export async function startSwarmEngine(): Promise<SwarmEngine> {
  const folder = mkdtempSync(join(tmpdir(), "linkspan-test-swarm-"));
  const socket = join(folder, "docker.sock");
  const log = Bun.file(join(folder, "dockerd.log"));
  const own = ["--data-root", join(folder, "data"), "--exec-root", "/run/docker", "-p", "/run/docker.pid"];
  const dockerd = ["dockerd", ...own, "-H", `unix://${socket}`];
  const namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
  const furnish = 'ip link set lo up && mount -t tmpfs tmpfs /run && exec "$@"';
  const command = ["setpriv", "--pdeathsig", "KILL", ...namespaces, "sh", "-c", furnish, "sh", ...dockerd];
  const child = Bun.spawn(command, { env: { ...process.env, PATH: TOOLS }, stdio: ["ignore", log, log] });
  const end = async () => {
    await stop(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const engine = await until(
      "the start of an engine for a swarm",
      () => {
        if (child.exitCode !== null) throw new Error("dockerd ended");
        return Engine.connect({ kind: "socket", path: socket }, Deadline.in(2_000)).catch(() => undefined);
      },
      START_MS,
    );
    return {
      engine,
      host: `unix://${socket}`,
      init: () => init(engine),
      async [Symbol.asyncDispose]() {
        await removeServices(engine).catch(() => {});
        await end();
      },
    };
  } catch (error) {
    const said = await log.text().catch(() => "");
    await end();
    throw new Error(`${String(error)}; it said: ${said.slice(-1_000)}`);
  }
}

function init(engine: Engine): Promise<void> {
  const body = { ListenAddr: "127.0.0.1:2377", AdvertiseAddr: "127.0.0.1" };
  const request = { what: "making a swarm", method: "POST", path: "/swarm/init", body } as const;
  return engine.act(request, Deadline.in(START_MS));
}

/** Before the engine ends: containers that it has to stop by itself cost ten seconds. */
async function removeServices(engine: Engine): Promise<void> {
  const deadline = Deadline.in(STOP_MS);
  for (const { ID } of await listServices(engine, {}, deadline)) await removeService(engine, ID, deadline);
}

/** dockerd itself is told, not unshare, which would not pass it on. */
async function stop(child: Bun.Subprocess): Promise<void> {
  const [dockerd] = childrenOf(child.pid);
  if (dockerd !== undefined) process.kill(dockerd, "SIGTERM");
  const ended = await Promise.race([child.exited.then(() => true), Bun.sleep(STOP_MS).then(() => false)]);
  if (!ended) child.kill("SIGKILL");
  await child.exited;
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
