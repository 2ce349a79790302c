/** `linkspan mcp --toolset docker`: the tools on stdin and stdout, in either era. Ends with the client. */
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { DOCKER_TOOLS } from "./catalogue.ts";
import { readSettings } from "./settings.ts";
import { toolsetServer } from "./server.ts";
import { Toolset } from "./toolset.ts";

const INSTRUCTIONS =
  "Tools for the containers, images, networks and volumes of a Docker engine. Reading ones are safe. A destructive one first answers with a plan of what it would remove, and does it when that is confirmed; docker_undo brings back what was removed.";

/** Answers that the client reads slowly. */
const FLUSH_MS = 500;

export async function toolsetMain(names: readonly string[], env: NodeJS.ProcessEnv): Promise<never> {
  const toolset = new Toolset(DOCKER_TOOLS, readSettings(env), env);
  const shape = { instructions: INSTRUCTIONS, compact: names.includes("compact") };
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const handle = serveStdio(() => toolsetServer(toolset, shape));
  process.stdin.once("end", end).once("close", end);
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, end);
  process.stdout.once("error", end);
  await ended;
  await Promise.race([handle.close(), Bun.sleep(FLUSH_MS)]);
  process.exit(0);
}
