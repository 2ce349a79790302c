/** The demo's server, on the sample folder: bound where the engine sees it, else copied into a volume. */
import { randomBytes } from "node:crypto";
import type { ManagerClient } from "../../api/client/client.ts";
import { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { ServerBodyInput } from "../../model/server-spec.ts";
import type { ServerView } from "../../model/views.ts";
import type { Services } from "../command.ts";
import { showProgress } from "../progress.ts";

export type Runtime = "docker" | "process";

export const SERVER = "files";
const IMAGE = "npm:@modelcontextprotocol/server-filesystem";
/** Where a container sees the sample folder. */
const MOUNT = "/data";
/** A first start may have to download the server's package. */
const START_MS = 300_000;
const REMOVE_MS = 15_000;

export interface DemoServer extends AsyncDisposable {
  view: ServerView;
  /** The sample folder as the server sees it. */
  root: string;
  /** How the server got the folder, for people. */
  how: string;
  tookMs: number;
}

interface Wanted {
  client: ManagerClient;
  services: Services;
  runtime: Runtime;
  sample: string;
  /** Whether the engine sees this machine's files, as far as its address tells. */
  local: boolean;
  signal: AbortSignal;
}

export async function startServer(wanted: Wanted): Promise<DemoServer> {
  const { runtime, sample, local } = wanted;
  if (runtime === "process") return start(wanted, sample, sample, "seen as it is");
  if (!local) return startOnCopy(wanted);
  try {
    return await start(wanted, sample, MOUNT, `bound read-only to ${MOUNT}`);
  } catch (thrown) {
    // Docker Desktop and snap packages show the engine only some folders of this machine.
    if (!["invalid", "unsupported", "server-failed", "not-found"].includes(Fault.from(thrown).kind)) throw thrown;
    return startOnCopy(wanted, thrown);
  }
}

async function startOnCopy(wanted: Wanted, because?: unknown): Promise<DemoServer> {
  const volume = `linkspan-demo-${randomBytes(4).toString("hex")}`;
  await using stack = new AsyncDisposableStack();
  try {
    stack.use(await wanted.services.folderVolume(wanted.sample, volume));
    const server = stack.use(
      await start(wanted, volume, MOUNT, `copied into the volume ${volume}, read-only at ${MOUNT}`),
    );
    const all = stack.move();
    return { ...server, [Symbol.asyncDispose]: () => all.disposeAsync() };
  } catch (error) {
    // The first reason is the one to show: the copy was only a second try.
    throw because ?? error;
  }
}

async function start(wanted: Wanted, source: string, root: string, how: string): Promise<DemoServer> {
  const { client, signal } = wanted;
  const body: ServerBodyInput = { image: IMAGE, args: [root], volumes: [{ source, target: root, readOnly: true }] };
  const startedAt = performance.now();
  const progress = showProgress();
  const remove = () => client.remove(SERVER, { deadline: Deadline.in(REMOVE_MS) });
  try {
    const view = await client.start(SERVER, body, { deadline: Deadline.in(START_MS, signal), report: progress.report });
    return { view, root, how, tookMs: performance.now() - startedAt, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove().catch(() => undefined);
    throw error;
  } finally {
    progress.end();
  }
}
