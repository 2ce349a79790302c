/** `POST /servers/:name/call`, over the manager's unix socket. */
import type { Linkspan } from "./linkspan.ts";
import { latency } from "./load.ts";
import type { McpFigures } from "./mcp.ts";

const BODY = { tool: "echo", arguments: { message: "x".repeat(100) } };

export async function restFigures(linkspan: Linkspan, calls: number, inFlight: number): Promise<McpFigures> {
  const startedAt = performance.now();
  const call = () => linkspan.post("/servers/everything/call", BODY);
  const answer = await call();
  if (!JSON.stringify(answer).includes(BODY.arguments.message)) throw new Error("the echo tool did not echo");
  const firstAnswerMs = performance.now() - startedAt;
  const times: number[] = [];
  for (let i = 0; i < calls; i++) {
    const at = Bun.nanoseconds();
    await call();
    times.push((Bun.nanoseconds() - at) / 1000);
  }
  const from = performance.now();
  let left = calls * 3;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (left-- > 0) await call();
    }),
  );
  const callsPerSecond = (calls * 3) / ((performance.now() - from) / 1000);
  return { ...latency(times), callsPerSecond, firstAnswerMs };
}
