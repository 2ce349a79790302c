/**
 * What spare processes are worth: `bun test/bench/spares.ts [RUNTIME] [PACKAGE…]`. From the request for a session to the
 * answer to `initialize`, without spares and with two, the server and its container running in both cases.
 */
import { Deadline, sleep } from "../../src/base/deadline.ts";
import type { SessionGrant } from "../../src/model/views.ts";
import { dialSession } from "../../src/transport/session.ts";
import { Stage } from "../e2e/stage.ts";

const ROUNDS = 15;
/** For a spare to be started and loaded again. */
const REST_MS = 1_500;

const [runtime = "docker", reference = "npm:@modelcontextprotocol/server-filesystem", ...args] = process.argv.slice(2);
if (runtime !== "docker" && runtime !== "process") throw new Error("the runtime is docker or process");

async function initializeMs(stage: Stage, server: string): Promise<number> {
  const begun = performance.now();
  const body = JSON.stringify({ server, pid: process.pid, ppid: process.ppid });
  const opened = await stage.api("/sessions", { method: "POST", body });
  if (!opened.ok) throw new Error(await opened.text());
  const { addresses, token, session: id } = (await opened.json()) as SessionGrant;
  const session = await dialSession({ addresses, token, session: id }, Deadline.in(10_000));
  const answered = Promise.withResolvers<void>();
  session.open({ line: () => answered.resolve(), ended: (end) => answered.reject(new Error(JSON.stringify(end))) });
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "bench", version: "1" } };
  session.send(JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params }));
  await answered.promise;
  const ms = performance.now() - begun;
  session.detach();
  await stage.api(`/sessions/${id}`, { method: "DELETE" });
  return ms;
}

await using stage = await Stage.open(runtime);
for (const spare of [0, 2]) {
  const name = `spare-${spare}`;
  await stage.start(name, { image: reference, args: args.length > 0 ? args : ["/tmp"], spare });
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(REST_MS);
    times.push(await initializeMs(stage, name));
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => `${(times[Math.floor(share * (times.length - 1))] ?? 0).toFixed(1)} ms`;
  process.stdout.write(
    `${reference} on ${runtime}, ${spare} spares: median ${at(0.5)}, 90 % ${at(0.9)}, most ${at(1)}\n`,
  );
}
