/** Byte level: the same C echo server behind every path; one client, written once. */
import { BINARY } from "../support/binary.ts";
import { type Channel, processChannel, tcpChannel } from "./channel.ts";
import { attachedChannel, docker, idleContainer } from "./docker.ts";
import type { Linkspan } from "./linkspan.ts";
import { latency, sequential, throughput } from "./load.ts";
import { listening } from "./peers.ts";
import type { Figures, Row } from "./report.ts";

export interface Bench {
  /** Static echo executable on the host, and the image that holds nothing else. */
  echo: string;
  image: string;
  linkspan: Linkspan;
}

/** Rounds are interleaved over the paths and the median round is kept: a noisy second hits every path alike. */
const ROUNDS = 5;
const CALLS = 3_000;
const THROUGHPUT_CALLS = 60_000;
const MIB = 1024 ** 2;

interface Path {
  name: string;
  open: () => Promise<Channel>;
}

export async function rawRows(bench: Bench): Promise<Row[]> {
  const socatPort = 20_000 + Math.floor(Math.random() * 10_000);
  await using _socat = await listening(
    ["socat", `TCP-LISTEN:${socatPort},bind=127.0.0.1,reuseaddr,fork`, `EXEC:${bench.echo}`],
    socatPort,
  );
  await using published = await publishedBridge(bench);
  const paths: Path[] = [
    { name: "raw stdio, child on the host", open: async () => processChannel([bench.echo]) },
    { name: "socat, TCP to the child's stdio", open: () => tcpChannel("127.0.0.1", socatPort) },
    { name: "bridge, container IP", open: () => bench.linkspan.bridge("echo") },
    { name: "bridge, published on 127.0.0.1", open: () => published.open() },
    {
      name: "whole path: client, front, bridge, server",
      open: async () => processChannel([BINARY, "mcp", "echo"], bench.linkspan.env),
    },
    { name: "dockerode attach", open: () => attachedChannel(bench.image) },
    { name: "docker run -i", open: async () => processChannel(["docker", "run", "-i", "--rm", bench.image]) },
  ];
  const rounds = new Map<string, Figures[]>(paths.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const path of paths) rounds.get(path.name)?.push(await measure(path));
    process.stderr.write(`  round ${round + 1} of ${ROUNDS}\n`);
  }
  const rows = [...rounds].map(([path, figures]) => ({ path, figures: medians(figures) }));
  rows.push({ path: "docker exec per request", figures: await execPerRequest(bench.image) });
  return rows;
}

async function measure(path: Path): Promise<Figures> {
  await using channel = await path.open();
  const { p50Us, p99Us } = await sequential(channel, CALLS);
  const calls1 = 1e6 / p50Us;
  const calls64 = await throughput(channel, THROUGHPUT_CALLS, 64);
  const mbPerSecond = await throughput(channel, 40, 4, "x".repeat(MIB));
  return { p50Us, p99Us, calls1, calls64, mbPerSecond };
}

/** Figure by figure, the median over the rounds. */
function medians(rounds: Figures[]): Figures {
  const keys = Object.keys(rounds[0] ?? {});
  return Object.fromEntries(
    keys.map((key) => {
      const values = rounds.map((figures) => figures[key] ?? Number.NaN).sort((a, b) => a - b);
      return [key, values[Math.floor(values.length / 2)]];
    }),
  );
}

/** The client opens and closes nothing else: one `docker exec` of the server for each call. */
async function execPerRequest(image: string): Promise<Figures> {
  await using container = await idleContainer(image);
  const line = '{"jsonrpc":"2.0","id":1,"method":"echo","params":{"text":"x"}}\n';
  const times: number[] = [];
  for (let i = 0; i < 15; i++) {
    const startedAt = Bun.nanoseconds();
    const child = Bun.spawn(["docker", "exec", "-i", container.id, "/echo"], {
      stdin: Buffer.from(line),
      stdout: "pipe",
    });
    const answer = await child.stdout.text();
    times.push((Bun.nanoseconds() - startedAt) / 1000);
    if (!answer.includes('"result"')) throw new Error(`docker exec answered ${answer}`);
  }
  const { p50Us, p99Us } = latency(times);
  return { p50Us, p99Us, calls1: 1e6 / p50Us };
}

/** The container that the manager made, once more, with its bridge's port published on the loopback address. */
async function publishedBridge(bench: Bench): Promise<AsyncDisposable & { open: () => Promise<Channel> }> {
  const view = (await (await bench.linkspan.api("/servers/echo")).json()) as { id?: string; view?: { id: string } };
  const made = await docker.getContainer(view.id ?? view.view?.id ?? "").inspect();
  const port = Object.keys(made.Config.ExposedPorts ?? {})[0] ?? "5465/tcp";
  const token = "bench";
  const sha256 = new Bun.CryptoHasher("sha256").update(token).digest("hex");
  const command = (made.Config.Entrypoint as string[]).concat(made.Config.Cmd ?? []);
  command[command.indexOf("--token-sha256") + 1] = sha256;
  const container = await docker.createContainer({
    _query: {},
    _body: {
      Image: made.Config.Image,
      Entrypoint: command.slice(0, 1),
      Cmd: command.slice(1),
      Env: made.Config.Env,
      ExposedPorts: { [port]: {} },
      HostConfig: { ...made.HostConfig, NetworkMode: "bridge", PortBindings: { [port]: [{ HostIp: "127.0.0.1" }] } },
    },
  } as never);
  await container.start();
  const ports = (await container.inspect()).NetworkSettings.Ports;
  const hostPort = Number(ports[port]?.[0]?.HostPort);
  const attach = { link: "attach", version: 1, token };
  const open = () => tcpChannel("127.0.0.1", hostPort, `${JSON.stringify(attach)}\n`, 1);
  return { open, [Symbol.asyncDispose]: async () => void (await container.remove({ force: true })) };
}
