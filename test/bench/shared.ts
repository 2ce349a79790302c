/**
 * `bun test/bench/shared.ts`, after a build: what it costs that sessions share a server process. The echo server behind a
 * bridge with each session policy, one client and eight; medians of interleaved rounds.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestBridge } from "../support/bridge.ts";
import { type Channel, tcpChannel } from "./channel.ts";
import { sequential, throughput } from "./load.ts";

const ROUNDS = 5;
const CALLS = 40_000;
const IN_FLIGHT = 64;
const MEBIBYTE = "x".repeat(1024 ** 2);

interface Round {
  p50Us: number;
  one: number;
  eight: number;
  mebibytes: number;
}

const folder = await mkdtemp(join(tmpdir(), "linkspan-bench-"));
const echo = join(folder, "echo");
const compiled = Bun.spawn(["cc", "-D_GNU_SOURCE", "-O2", "-o", echo, join(import.meta.dir, "echo.c")]);
if ((await compiled.exited) !== 0) throw new Error("the echo server does not compile");
const rounds = { process: [] as Round[], shared: [] as Round[] };
for (let count = 0; count < ROUNDS; count++) {
  for (const policy of ["process", "shared"] as const) rounds[policy].push(await round(policy));
}
await rm(folder, { recursive: true, force: true });
const rows = Object.entries(rounds).map(([policy, all]) => {
  const median = (of: (round: Round) => number) => all.map(of).toSorted((a, b) => a - b)[ROUNDS >> 1] ?? Number.NaN;
  const whole = (of: (round: Round) => number) => Math.round(median(of)).toLocaleString("en");
  return `| ${policy} | ${whole((r) => r.p50Us)} | ${whole((r) => r.one)} | ${whole((r) => r.eight)} | ${whole((r) => r.mebibytes)} |`;
});
process.stdout.write(
  `| session policy | p50 µs | calls/s, 1 client, ${IN_FLIGHT} in flight | calls/s, 8 clients, 8 in flight each | MiB/s each way, messages of 1 MiB |\n` +
    `| --- | --- | --- | --- | --- |\n${rows.join("\n")}\n`,
);

async function round(policy: string): Promise<Round> {
  await using bridge = await TestBridge.start([echo], { token: false, args: ["--policy", policy] });
  const open = () => tcpChannel("127.0.0.1", bridge.port);
  await using channel = await open();
  await throughput(channel, CALLS / 4, IN_FLIGHT);
  const { p50Us } = await sequential(channel, 4_000);
  const one = await throughput(channel, CALLS, IN_FLIGHT);
  const channels: Channel[] = [];
  for (let count = 0; count < 8; count++) channels.push(await open());
  const rates = await Promise.all(channels.map((each) => throughput(each, CALLS / 8, IN_FLIGHT / 8)));
  for (const each of channels) await each[Symbol.asyncDispose]();
  const mebibytes = await throughput(channel, 100, 4, MEBIBYTE);
  return { p50Us, one, eight: rates.reduce((sum, rate) => sum + rate, 0), mebibytes };
}
