/** Thousands of connections that say nothing, and more than there may be: who is served already does not notice. */
import { join } from "node:path";
import { until } from "../support/until.ts";
import { Callers, type Figures } from "./callers.ts";
import { descriptorsOf, Ground, memoryOf, processorMs } from "./ground.ts";

export interface CrowdAsked {
  /** Connections to the TCP port; 10,000 is the manager's cap. */
  clients: number;
  /** Of these, so many have a session with a server; the others are authenticated and wait for a server that does not come up. */
  attached: number;
  /** Tried beyond the cap. */
  extra: number;
  /** Silent connections to REST. */
  http: number;
}

const SERVER = { image: `exec:${process.execPath}`, args: [join(import.meta.dir, "../fixtures/plain-server.ts")] };
/** Below a server's 256 sessions. */
const PER_BRIDGE = 250;
const CALL_MS = 20;

export interface CrowdOutcome {
  connectMs: number;
  refused: number;
  memory: { before: number; during: number; after: number };
  descriptors: { before: number; during: number; after: number };
  /** Of a client that calls every 20 ms all the time. */
  witness: Figures;
  http: { memory: number; answered: boolean };
}

/** Every connection is there at the same time; all of them are gone at the end. */
export async function crowd(asked: CrowdAsked): Promise<CrowdOutcome> {
  // A registry that never answers: who asks for a server of that package waits.
  using registry = Bun.serve({ port: 0, hostname: "127.0.0.1", idleTimeout: 0, fetch: () => new Promise(() => {}) });
  await using ground = await Ground.open({ env: { NPM_CONFIG_REGISTRY: registry.url.origin } });
  await ground.start("plain", SERVER);
  const servers = Array.from({ length: Math.ceil(asked.attached / PER_BRIDGE) }, (_, at) => `idle-${at}`);
  for (const name of servers) await ground.start(name, { image: "exec:cat" });
  await using witness = await Callers.steady(ground, ["plain"], CALL_MS);
  const measure = () => ({ memory: memoryOf(ground.pid), descriptors: descriptorsOf(ground.pid) });
  const before = measure();
  const startedAt = performance.now();
  const clients: Idle[] = [];
  const open = async (server: string) => void clients.push(await Idle.open(ground.tcpPort, ground.attach(server)));
  // The witness is one of them.
  for (let at = 0; at < asked.clients - 1; at += 1) {
    const absent = `npm:@linkspan/never-there-${Math.floor(at / PER_BRIDGE)}@1.0.0`;
    await open(at < asked.attached ? (servers[at % servers.length] ?? "") : absent);
  }
  const connectMs = performance.now() - startedAt;
  await until("sessions for all that are to have one", async () => (await ground.sessions()) > asked.attached, 60_000);
  const during = measure();
  const late = await Promise.all(Array.from({ length: asked.extra }, () => Idle.open(ground.tcpPort, "")));
  await until("the end of those that are too many", () => late.every(({ ended }) => ended));
  const refused = late.filter(({ said }) => said.includes('"kind":"exhausted"')).length;
  const lost = clients.filter(({ ended }) => ended);
  if (lost.length > 0) throw new Error(`${lost.length} of those that were there were cut: ${lost[0]?.said}`);
  for (const client of clients) client.close();
  await until("the end of their sessions", async () => (await ground.sessions()) === 1, 30_000);
  // The starts that they waited for go on, each with a program that asks the registry.
  const starts = Math.ceil(asked.clients / PER_BRIDGE) + 1;
  await until("their descriptors", () => descriptorsOf(ground.pid) <= before.descriptors + 4 * (starts + 1), 30_000);
  const after = measure();
  const http = await silentHttp(ground, asked.http);
  return {
    connectMs,
    refused,
    memory: { before: before.memory, during: during.memory, after: after.memory },
    descriptors: { before: before.descriptors, during: during.descriptors, after: after.descriptors },
    witness: await witness.figures(),
    http,
  };
}

export interface ScarceOutcome {
  tcpRefused: number;
  httpShut: boolean;
  httpAgain: boolean;
  /** Share of one processor that the manager used while its descriptors were scarce. */
  busy: number;
  /** A client that calls every 20 ms all the time. */
  witness: Figures;
}

/** A manager that may open few descriptors. */
export async function scarce(descriptors: number): Promise<ScarceOutcome> {
  await using ground = await Ground.open({ descriptors });
  await ground.start("plain", SERVER);
  await using witness = await Callers.steady(ground, ["plain"], CALL_MS);
  const health = () =>
    fetch(`${ground.restUrl}/health`, { headers: { connection: "close" } }).then(
      ({ ok }) => ok,
      () => false,
    );
  const tcp = await Promise.all(Array.from({ length: descriptors }, () => Idle.open(ground.tcpPort, "")));
  await until("refusals", () => tcp.some(({ said }) => said.includes('"kind":"exhausted"')));
  // Those that were let in have two seconds for their first word.
  await until("the end of the silent ones", () => tcp.every(({ ended }) => ended), 20_000);
  const tcpRefused = tcp.filter(({ said }) => said.includes('"kind":"exhausted"')).length;
  const http = await Promise.all(Array.from({ length: descriptors }, () => Idle.open(restPort(ground), "")));
  const httpShut = await until("a port that is shut", async () => !(await health()));
  const usedMs = processorMs(ground.pid);
  const startedAt = performance.now();
  await Bun.sleep(1_000);
  const busy = (processorMs(ground.pid) - usedMs) / (performance.now() - startedAt);
  for (const client of http) client.close();
  const httpAgain = await until("a port that is open again", health).catch(async (e) => {
    console.log(await ground.log());
    throw e;
  });
  return {
    tcpRefused,
    httpShut,
    httpAgain,
    busy,
    witness: await witness.figures(),
  };
}

async function silentHttp(ground: Ground, count: number): Promise<CrowdOutcome["http"]> {
  const before = memoryOf(ground.pid);
  const clients: Idle[] = [];
  for (let at = 0; at < count; at += 1) clients.push(await Idle.open(restPort(ground), ""));
  const answered = (await fetch(`${ground.restUrl}/health`)).ok;
  const memory = memoryOf(ground.pid) - before;
  for (const client of clients) client.close();
  return { memory, answered };
}

function restPort(ground: Ground): number {
  return Number(new URL(ground.restUrl).port);
}

/** A connection that says at most one thing. */
class Idle {
  said = "";
  ended = false;
  private socket: Bun.Socket | undefined;

  static async open(port: number, first: string): Promise<Idle> {
    const idle = new Idle();
    const end = () => {
      idle.ended = true;
    };
    try {
      idle.socket = await Bun.connect({
        hostname: "127.0.0.1",
        port,
        socket: { data: (_, chunk) => void (idle.said += Buffer.from(chunk).toString()), close: end, error: end },
      });
    } catch {
      end();
    }
    if (first) idle.socket?.write(first);
    return idle;
  }

  close(): void {
    this.socket?.terminate();
  }
}
