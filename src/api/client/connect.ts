/**
 * Finds the manager, or starts one in the background that all fronts share and that ends by itself when idle.
 * Many fronts may start at once: the manager's lock on its state decides who stays, all others wait for its socket.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DATA_FILE, dataDir, managerSocket } from "../../base/data-dir.ts";
import { Deadline, sleep } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { BackgroundManager, claimStart } from "./background.ts";
import { ManagerClient, type ManagerTarget } from "./client.ts";

/** From the first look for a manager to its answer; a started one needs some 100 ms. */
const CONNECT_MS = 15_000;
/** A manager that accepts connections answers within this time, or it hangs. */
const ANSWER_MS = 5_000;
const POLL_MS = 15;
const IDLE_EXIT_S = 300;
/** A manager that ended may have lost against another one: that one has said so in the data directory by then. */
const OTHER_MS = 300;

export interface ConnectOptions {
  env?: Record<string, string | undefined>;
  /** Start a manager where none runs (default). */
  start?: boolean;
  deadline?: Deadline;
  /** One that is started ends by itself when nobody has needed it for so long, seconds; 300 when absent. */
  idleExitS?: number;
  /** Called once when a manager has to be started or waited for. */
  onStarting?: () => void;
}

/** A client of a manager that answers. Faults: `unreachable` with what the manager said when it failed to start. */
export async function connectManager(options: ConnectOptions = {}): Promise<ManagerClient> {
  const { env = process.env, start = true, deadline = Deadline.in(CONNECT_MS), onStarting } = options;
  const remote = remoteManager(env);
  if (remote) {
    const client = new ManagerClient(remote);
    await client.health({ deadline: deadline.within(ANSWER_MS) });
    return client;
  }
  const dir = dataDir(env);
  const found = await findManager(dir, deadline);
  if (found) return found;
  if (!start) {
    throw new Fault("unreachable", "no manager is running", { hint: "Start one with `linkspan serve`." });
  }
  onStarting?.();
  return await startManager(dir, env, options.idleExitS ?? IDLE_EXIT_S, deadline);
}

/** The manager that `LINKSPAN_URL` and `LINKSPAN_TOKEN` name; undefined without them. */
export function remoteManager(env: Record<string, string | undefined>): ManagerTarget | undefined {
  const given = env.LINKSPAN_URL;
  if (!given) return undefined;
  const url = URL.parse(given);
  if (url?.protocol === "unix:") return { kind: "unix", path: url.pathname };
  if (!url || !["http:", "https:"].includes(url.protocol) || url.username || url.password) {
    // The value is not repeated: somebody may have put a password into it.
    throw new Fault("usage", "LINKSPAN_URL is not an address of a manager", {
      hint: "Use http://HOST:PORT, https://HOST:PORT or unix:///PATH; the token belongs into LINKSPAN_TOKEN.",
    });
  }
  if (!env.LINKSPAN_TOKEN) {
    throw new Fault("unauthenticated", "LINKSPAN_URL is set, but LINKSPAN_TOKEN is not", {
      hint: "`linkspan token` prints the token on the manager's machine.",
    });
  }
  return { kind: "http", url: url.origin, token: env.LINKSPAN_TOKEN };
}

/** The manager at the data directory's socket; undefined when nobody listens there. */
export async function findManager(dir: string, deadline: Deadline): Promise<ManagerClient | undefined> {
  const client = new ManagerClient({ kind: "unix", path: managerSocket(dir) });
  try {
    await client.health({ deadline: deadline.within(ANSWER_MS) });
    return client;
  } catch (error) {
    const fault = Fault.from(error);
    if (fault.kind === "unreachable") return undefined;
    if (fault.kind !== "timeout") throw fault;
    throw new Fault("unreachable", "a manager holds its socket, but does not answer", {
      cause: fault,
      hint: `Look into ${DATA_FILE.logs} in ${dir}, or end the process that listens there.`,
    });
  }
}

async function startManager(
  dir: string,
  env: Record<string, string | undefined>,
  idleExitS: number,
  deadline: Deadline,
): Promise<ManagerClient> {
  let own: BackgroundManager | undefined;
  let otherUntil: Deadline | undefined;
  try {
    while (!deadline.passed) {
      // Twenty fronts need one manager, not twenty that start only to find the state locked.
      own ??= claimStart(dir) ? BackgroundManager.start(dir, env, idleExitS) : undefined;
      const found = await findManager(dir, deadline);
      if (found) return found;
      if (own?.ended) {
        otherUntil ??= deadline.within(OTHER_MS);
        if (otherUntil.passed && !isHeld(dir)) throw own.fault();
      }
      await sleep(POLL_MS);
    }
    throw own?.fault() ?? new Fault("unreachable", `no manager answered within ${Math.round(deadline.totalMs)} ms`);
  } finally {
    own?.letGo();
  }
}

/** Whether a living process says that it is this directory's manager; it may still be on its way to its socket. */
function isHeld(dir: string): boolean {
  try {
    const pid = Number(readFileSync(join(dir, DATA_FILE.pid), "utf8"));
    return pid > 0 && process.kill(pid, 0);
  } catch {
    return false;
  }
}
