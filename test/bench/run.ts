/**
 * `npm run bench`: Linkspan beside its peers in one run, one table. Needs a Docker engine, cc and socat.
 * Prints Markdown to stdout and saves the figures to dist/bench.json.
 */
import { cpus, release } from "node:os";
import { join } from "node:path";
import { BINARY } from "../support/binary.ts";
import { docker, importImage } from "./docker.ts";
import { HTTP_IN_FLIGHT, httpGoals, httpRows } from "./http.ts";
import { Linkspan } from "./linkspan.ts";
import { type McpFigures, http, measureMcp, stdio } from "./mcp.ts";
import { EVERYTHING, MCP_PROXY, SUPERGATEWAY, compileEcho, installPeers, listening } from "./peers.ts";
import { type Bench, rawRows } from "./raw.ts";
import { type Figures, type Goal, type Row, goalTable, ratio, reached, table } from "./report.ts";
import { restFigures } from "./rest.ts";
import { bridgeMemory, firstToolMs, initializeMs, versionMs } from "./start.ts";

const IMAGE = "linkspan-bench:echo";
const MCP_CALLS = 1_000;
const IN_FLIGHT = 64;
const BRIDGES = 12;

const say = (text: string) => process.stderr.write(`${text}\n`);

say("setting up: peers from npm, the echo server, the manager");
await installPeers();
const echo = await compileEcho();
await importImage(IMAGE, echo);
await using linkspan = await Linkspan.start("docker");
const bench: Bench = { echo, image: IMAGE, linkspan };
await linkspan.run("echo", { image: IMAGE });
await linkspan.run("everything", { image: "npm:@modelcontextprotocol/server-everything@2026.8.31", args: ["stdio"] });

say("bytes through each path");
const raw = await rawRows(bench);
say("MCP calls through each path");
const mcp = await mcpRows();
say("HTTP");
const overHttp = await httpRows(linkspan, "everything", say);
say("start-up and memory");
const start = await startFigures();
const memory = await bridgeMemory(bench, BRIDGES);
await docker.getImage(IMAGE).remove({ force: true });

const goals = [...goalsOf(raw, mcp, start, memory), ...httpGoals(overHttp)];
const figuresOf = (rows: Row[]) => Object.fromEntries(rows.map((row) => [row.path, row.figures]));
const machine = `${cpus().length} cores (${cpus()[0]?.model}), Linux ${release()}, Docker Engine ${(await docker.version()).Version}, Bun ${Bun.version}`;
const mcpFigures = { mcp: figuresOf(mcp), http: figuresOf(overHttp) };
const saved = { machine, at: new Date().toISOString(), raw: figuresOf(raw), ...mcpFigures, start, memory, goals };
await Bun.write(join(import.meta.dir, "../../dist/bench.json"), `${JSON.stringify(saved, null, 2)}\n`);
process.stdout.write(`${document()}\n`);
say(`${goals.filter((goal) => reached(goal) === true).length} of ${goals.length} goals reached`);

/** The everything server's own command: the compiled binary as a complete Bun, as it is inside the container. */
async function mcpRows(): Promise<Row[]> {
  const own = ["bun", EVERYTHING, "stdio"];
  await using _proxy = await listening(
    ["node", MCP_PROXY, "--port", "29101", "--host", "127.0.0.1", "--", ...own],
    29101,
  );
  await using _gateway = await listening(
    [
      "node",
      SUPERGATEWAY,
      "--stdio",
      own.join(" "),
      "--outputTransport",
      "streamableHttp",
      "--stateful",
      "--port",
      "29102",
      "--logLevel",
      "none",
    ],
    29102,
  );
  const paths: [string, () => Promise<McpFigures>][] = [
    ["server's own stdio", () => measureMcp(stdio(own), MCP_CALLS, IN_FLIGHT)],
    [
      "through the front, container",
      () => measureMcp(stdio([BINARY, "mcp", "everything"], linkspan.env), MCP_CALLS, IN_FLIGHT),
    ],
    ["REST call", () => restFigures(linkspan, MCP_CALLS, IN_FLIGHT)],
    ["supergateway 4.0.0", () => measureMcp(http("http://127.0.0.1:29102/mcp"), MCP_CALLS, IN_FLIGHT)],
    ["mcp-proxy 6.7.19", () => measureMcp(http("http://127.0.0.1:29101/mcp"), MCP_CALLS, IN_FLIGHT)],
  ];
  const rows: Row[] = [];
  for (const [path, measure] of paths) {
    const rounds = [await measure(), await measure(), await measure()].sort((a, b) => a.p50Us - b.p50Us);
    rows.push({ path, figures: { ...rounds[1] } });
    say(`  ${path}: p50 ${Math.round(rounds[1]?.p50Us ?? Number.NaN)} µs`);
  }
  return rows;
}

async function startFigures(): Promise<Figures> {
  const bun = ["bun", EVERYTHING, "stdio"];
  const info = (await (await linkspan.api("/servers/everything")).json()) as { container: string };
  const { Image, Config } = await docker.getContainer(info.container).inspect();
  const child = [...(Config.Entrypoint as string[]), ...(Config.Cmd ?? [])];
  const server = child.slice(child.indexOf("--") + 1);
  const [program = "", ...args] = server;
  const volume = "linkspan-bridge";
  const mount =
    (await docker.listVolumes()).Volumes.map(({ Name }) => Name).find((name) => name.startsWith(volume)) ?? volume;
  const dockerRun = [
    "docker",
    "run",
    "-i",
    "--rm",
    "-v",
    `${mount}:/.linkspan:ro`,
    "-e",
    "BUN_BE_BUN=1",
    "--entrypoint",
    program,
    Image,
    ...args,
  ];
  const stop = async () => void (await linkspan.post("/servers/everything/stop", {}));
  const front = [BINARY, "mcp", "everything"];
  return {
    versionMs: await versionMs(),
    ownInitializeMs: await initializeMs(bun, {}),
    frontInitializeMs: await initializeMs(front, linkspan.env),
    dockerRunFirstToolMs: await firstToolMs(() => dockerRun, {}),
    coldFirstToolMs: await firstToolMs(() => front, linkspan.env, stop),
    warmFirstToolMs: await firstToolMs(() => front, linkspan.env),
  };
}

function goalsOf(rawRows: Row[], mcpPaths: Row[], startUp: Figures, bridges: Figures): Goal[] {
  const figures = (rows: Row[], path: string) => rows.find((row) => row.path.startsWith(path))?.figures ?? {};
  const [bridge, socat, attach] = ["bridge, container", "socat", "dockerode"].map((path) => figures(rawRows, path));
  const [own, front, gateway, proxy] = ["server's", "through", "supergateway", "mcp-proxy"].map((path) =>
    figures(mcpPaths, path),
  );
  const less = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? undefined : a - b;
  return [
    { what: "bridge p50 ÷ socat", value: ratio(bridge?.p50Us, socat?.p50Us), limit: 1.2, sense: "at most", unit: "×" },
    {
      what: "bridge p50 ÷ attach",
      value: ratio(bridge?.p50Us, attach?.p50Us),
      limit: 0.6,
      sense: "at most",
      unit: "×",
    },
    {
      what: "bridge calls/s at 64 ÷ socat",
      value: ratio(bridge?.calls64, socat?.calls64),
      limit: 1,
      sense: "at least",
      unit: "×",
    },
    {
      what: "bridge calls/s at 64 ÷ attach",
      value: ratio(bridge?.calls64, attach?.calls64),
      limit: 3,
      sense: "at least",
      unit: "×",
    },
    {
      what: "SDK client: front p50 ÷ own stdio",
      value: ratio(front?.p50Us, own?.p50Us),
      limit: 1.3,
      sense: "at most",
      unit: "×",
    },
    {
      what: "p50: supergateway ÷ front",
      value: ratio(gateway?.p50Us, front?.p50Us),
      limit: 10,
      sense: "at least",
      unit: "×",
    },
    {
      what: "p50: mcp-proxy ÷ front",
      value: ratio(proxy?.p50Us, front?.p50Us),
      limit: 10,
      sense: "at least",
      unit: "×",
    },
    {
      what: "calls/s: front ÷ supergateway",
      value: ratio(front?.callsPerSecond, gateway?.callsPerSecond),
      limit: 10,
      sense: "at least",
      unit: "×",
    },
    {
      what: "calls/s: front ÷ mcp-proxy",
      value: ratio(front?.callsPerSecond, proxy?.callsPerSecond),
      limit: 10,
      sense: "at least",
      unit: "×",
    },
    {
      what: `private memory of one of ${BRIDGES} bridges`,
      value: bridges.privateMib,
      limit: 4,
      sense: "at most",
      unit: "MiB",
    },
    {
      what: "start → first tool answer, over docker run -i",
      value: less(startUp.coldFirstToolMs, startUp.dockerRunFirstToolMs),
      limit: 150,
      sense: "at most",
      unit: "ms",
    },
    { what: "linkspan version", value: startUp.versionMs, limit: 25, sense: "at most", unit: "ms" },
    {
      what: "front adds from exec to initialize",
      value: less(startUp.frontInitializeMs, startUp.ownInitializeMs),
      limit: 60,
      sense: "at most",
      unit: "ms",
    },
  ];
}

function document(): string {
  const rawColumns = [
    { key: "p50Us", title: "p50 µs" },
    { key: "p99Us", title: "p99 µs" },
    { key: "calls1", title: "calls/s at 1" },
    { key: "calls64", title: "calls/s at 64" },
    { key: "mbPerSecond", title: "MiB/s each way, 1 MiB" },
  ];
  const mcpColumns = [
    { key: "p50Us", title: "p50 µs" },
    { key: "p99Us", title: "p99 µs" },
    { key: "callsPerSecond", title: `calls/s at ${IN_FLIGHT}` },
    { key: "firstAnswerMs", title: "connect → first answer ms" },
  ];
  const httpColumns = mcpColumns.map((column) =>
    column.key === "callsPerSecond" ? { ...column, title: `calls/s at ${HTTP_IN_FLIGHT}` } : column,
  );
  const rest = { ...start, ...memory };
  const lines = Object.entries(rest).map(([key, value]) => `| ${key} | ${value?.toFixed(1)} |`);
  return [
    `Machine: ${machine}`,
    "## Bytes: C echo server\n",
    table(raw, rawColumns),
    "\n## MCP: SDK client, `echo` of server-everything\n",
    table(mcp, mcpColumns),
    "\n## MCP over HTTP: SDK client, the same tool\n",
    table(overHttp, httpColumns),
    "\n## Start-up and memory\n",
    ["| figure | median |", "|---|--:|", ...lines].join("\n"),
    "\n## Goals\n",
    goalTable(goals),
  ].join("\n");
}
