/** The same MCP server over HTTP through Linkspan and its peers: one SDK client, the same tool, 32 calls in flight. */
import { join } from "node:path";
import type { Linkspan } from "./linkspan.ts";
import { http, type McpFigures, measureMcp } from "./mcp.ts";
import { EVERYTHING, listening, MCP_PROXY, SUPERGATEWAY } from "./peers.ts";
import { type Goal, ratio, type Row } from "./report.ts";

/** So many that a round takes tenths of a second, also of the fastest. */
const CALLS = 2_000;
const ROUNDS = 3;
export const HTTP_IN_FLIGHT = 32;
/** By how much both gateways are to be outdone. */
const TIMES = 3;

const OURS = "Linkspan, /servers/NAME/mcp";
const ALL = "Linkspan, /mcp";
const PEERS = ["supergateway 4.0.0", "mcp-proxy 6.7.19"];
const OWN = "the server's own HTTP (SDK 1.x)";

/** `server` is what Linkspan calls the everything server. */
export async function httpRows(linkspan: Linkspan, server: string, say: (text: string) => void): Promise<Row[]> {
  const stdio = ["bun", EVERYTHING, "stdio"];
  const gateway = ["--stdio", stdio.join(" "), "--outputTransport", "streamableHttp", "--stateful", "--port", "29112"];
  await using _proxy = await listening(
    ["node", MCP_PROXY, "--port", "29111", "--host", "127.0.0.1", "--", ...stdio],
    29111,
  );
  await using _gateway = await listening(["node", SUPERGATEWAY, ...gateway, "--logLevel", "none"], 29112);
  await using _own = await listening(["bun", EVERYTHING, "streamableHttp"], 29113, { ...process.env, PORT: "29113" });
  const authorization = `Bearer ${(await Bun.file(join(linkspan.dataDir, "token")).text()).trim()}`;
  const url = await linkspan.url();
  const paths: [string, ReturnType<typeof http>, string][] = [
    [OURS, http(`${url}/servers/${server}/mcp`, { authorization }), "echo"],
    [ALL, http(`${url}/mcp`, { authorization }), `${server}__echo`],
    [PEERS[0] ?? "", http("http://127.0.0.1:29112/mcp"), "echo"],
    [PEERS[1] ?? "", http("http://127.0.0.1:29111/mcp"), "echo"],
    [OWN, http("http://127.0.0.1:29113/mcp"), "echo"],
  ];
  const rounds = new Map<string, McpFigures[]>(paths.map(([path]) => [path, []]));
  // In turns: what else the machine does then falls on all of them.
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [path, open, tool] of paths) {
      rounds.get(path)?.push(await measureMcp(open, CALLS, HTTP_IN_FLIGHT, tool));
    }
  }
  return paths.map(([path]) => {
    const sorted = (rounds.get(path) ?? []).sort((a, b) => a.callsPerSecond - b.callsPerSecond);
    const median = sorted[Math.floor(sorted.length / 2)];
    say(`  ${path}: ${Math.round(median?.callsPerSecond ?? Number.NaN)} calls/s`);
    return { path, figures: { ...median } };
  });
}

export function httpGoals(rows: Row[]): Goal[] {
  const calls = (path: string) => rows.find((row) => row.path === path)?.figures.callsPerSecond;
  const goal = (peer: string, limit: number): Goal => ({
    what: `HTTP calls/s at ${HTTP_IN_FLIGHT}: Linkspan ÷ ${peer}`,
    value: ratio(calls(OURS), calls(peer)),
    limit,
    sense: "at least",
    unit: "×",
  });
  return [...PEERS.map((peer) => goal(peer, TIMES)), goal(OWN, 1)];
}
