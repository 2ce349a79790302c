/**
 * Python servers as they are used: official packages of PyPI, and one that needs a database in a network of its own. The last
 * is the case in which another manager has left 77 containers behind.
 */
import { afterAll, expect } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { Deadline } from "../../src/base/deadline.ts";
import {
  createContainer,
  inspectContainer,
  listContainers,
  removeContainer,
  startContainer,
} from "../../src/docker/containers.ts";
import { openLogs } from "../../src/docker/logs.ts";
import { createNetwork, removeNetwork } from "../../src/docker/networks.ts";
import { debianPostgres, debianPython, noDebian } from "../support/debian-image.ts";
import { ENGINE, engine, engineTest } from "../support/engine.ts";
import { Lone } from "../support/lone-manager.ts";
import { until } from "../support/until.ts";

const CASE_MS = 180_000;
const CLIENTS = 20;
const LEASE_MS = 5_000;
const PYPI_MS = 10_000;
const NETWORK = `linkspan-test-python-${process.pid}`;
const DATABASE = `${NETWORK}-db`;
/** Its later versions want a package that PyPI does not have any more, and its own bounds let in an SDK that it does not know. */
const POSTGRES = "pypi:postgres-mcp@0.1.0,mcp<2";

const isThere = await fetch("https://pypi.org/simple/mcp-server-time/", { signal: AbortSignal.timeout(PYPI_MS) }).then(
  ({ ok }) => ok,
  () => false,
);
const missing = noDebian ?? (isThere ? undefined : "PyPI cannot be reached");
if (ENGINE && missing !== undefined) process.stderr.write(`\n!! Servers of PyPI were NOT TESTED: ${missing}\n`);

const deadline = () => Deadline.in(60_000);

afterAll(async () => {
  if (!ENGINE) return;
  await removeContainer(ENGINE, DATABASE, deadline());
  await removeNetwork(ENGINE, NETWORK, deadline());
}, 60_000);

engineTest(
  `the official time server, and a database's: ${CLIENTS} clients killed with their manager leave no container`,
  async () => {
    if (missing !== undefined) return;
    const base = await debianPython(engine());
    await using file = await configuration();
    await using lone = await Lone.open("docker", {
      env: { LINKSPAN_PYTHON_IMAGE: base },
      args: ["--config", file.path],
    });
    const started = startDatabase().then(() => lone.post("/servers/db/start"));
    const [time] = await Promise.all([tellTime(lone), started]);
    expect(time).toContain("Asia/Tokyo");

    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(lone)));
    const rows = await Promise.all(clients.map(({ client }, index) => query(client, `select ${index} * 2 as twice`)));
    for (const [index, text] of rows.entries()) expect(text).toContain(String(index * 2));
    const refused = await query(clients[0]!.client, "drop table if exists nothing").catch(String);
    expect(refused).toMatch(/read-only|error/i);
    const containers = await containersOf(lone);
    expect(containers.length).toBeGreaterThan(0);
    const info = await inspectContainer(
      engine(),
      containers.find(({ name }) => name.endsWith("-db"))?.id ?? "",
      deadline(),
    );
    expect({ ...info?.HostConfig }).toMatchObject({ ReadonlyRootfs: true, NetworkMode: NETWORK, CapDrop: ["ALL"] });
    expect({ ...info?.Config }).toMatchObject({ User: "65532:65532" });

    for (const { pid } of clients) process.kill(pid, "SIGKILL");
    await lone.kill();
    await until("the end of every container", async () => (await containersOf(lone)).length === 0, 60_000);
  },
  CASE_MS,
);

async function configuration(): Promise<{ path: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-test-python-"));
  const path = join(folder, "linkspan.yaml");
  const url = `postgresql://postgres@${DATABASE}:5432/postgres`;
  await Bun.write(
    path,
    JSON.stringify({
      servers: {
        db: { image: POSTGRES, args: [url], network: NETWORK, lease: LEASE_MS, limits: { memory: "2g", pids: 512 } },
        time: { image: "pypi:mcp-server-time", lease: LEASE_MS },
      },
    }),
  );
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** In a network of its own; resolves when it takes connections. */
async function startDatabase(): Promise<void> {
  const image = await debianPostgres(engine());
  const Subnet = `10.${247 + (process.pid % 8)}.${Math.floor(process.pid / 8) % 256}.0/24`;
  await createNetwork(
    engine(),
    { Name: NETWORK, Driver: "bridge", Internal: true, Options: {}, Labels: {}, IPAM: { Config: [{ Subnet }] } },
    deadline(),
  );
  const id = await createContainer(
    engine(),
    DATABASE,
    {
      Image: image,
      HostConfig: { NetworkMode: NETWORK, Tmpfs: { "/data": "uid=65532,gid=65532,mode=0700", "/tmp": "mode=1777" } },
    },
    deadline(),
  );
  await startContainer(engine(), id, deadline());
  const patience = deadline();
  for await (const { text } of await openLogs(engine(), id, { follow: true }, patience, patience.signal))
    if (text.includes("ready to accept connections")) return;
  throw new Error("the database has ended");
}

async function tellTime(lone: Lone): Promise<string> {
  await lone.post("/servers/time/start");
  const asked = { tool: "get_current_time", arguments: { timezone: "Asia/Tokyo" } };
  return JSON.stringify(await lone.post("/servers/time/call", asked));
}

/** A client as a user's configuration starts it; `pid` is the front's. */
async function connect(lone: Lone): Promise<{ client: Client; pid: number }> {
  const { command, args, env } = lone.front("db");
  const transport = new StdioClientTransport({ command, args, env, stderr: "ignore" });
  const client = new Client({ name: "linkspan-test", version: "1" }, { versionNegotiation: { mode: "legacy" } });
  await client.connect(transport);
  if (transport.pid === null) throw new Error("the front does not run");
  return { client, pid: transport.pid };
}

async function query(client: Client, sql: string): Promise<string> {
  return JSON.stringify((await client.callTool({ name: "query", arguments: { sql } })).content);
}

async function containersOf(lone: Lone): Promise<{ id: string; name: string }[]> {
  const found = await listContainers(engine(), { label: [`linkspan.instance=${lone.instance}`] }, deadline());
  return found.map(({ Id, Names }) => ({ id: Id, name: Names?.[0] ?? "" }));
}
