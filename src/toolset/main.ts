/** `linkspan mcp --toolset docker`: the tools over stdio or HTTP, in either era. Over stdio it ends with the client. */
import type { Server } from "@modelcontextprotocol/server";
import { serveStdio, StdioServerTransport } from "@modelcontextprotocol/server/stdio";
import { Fault } from "../base/fault.ts";
import { createLog, type Log } from "../base/log.ts";
import type { Environment } from "../docker/endpoint.ts";
import { toolsOf } from "./catalogue.ts";
import { withEnvFile } from "./env-file.ts";
import { instructionsOf } from "./instructions.ts";
import { Listening } from "./resources/listening.ts";
import { readSettings } from "./settings.ts";
import { toolsetServer } from "./server.ts";
import { bearerToken } from "./token.ts";
import { Toolset } from "./toolset.ts";

/** Answers that the client reads slowly. */
const FLUSH_MS = 500;
/** What has not ended by then, the leases of created servers end. */
const CLOSE_MS = 5_000;
/** Of one connection. */
const SUBSCRIPTIONS_MAX = 64;

export interface Serving {
  transport: "stdio" | "http" | "sse";
  host: string;
  port: number;
  envFile: string | undefined;
  /** Whether HTTP clients need the token. */
  auth: boolean;
}

export async function toolsetMain(
  names: readonly string[],
  how: Serving | undefined,
  environment: Environment,
): Promise<never> {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, end);
  try {
    const serving = start(names, how, environment, end);
    await ended;
    await Promise.race([serving.close(), Bun.sleep(FLUSH_MS)]);
    await Promise.race([serving.toolset.close(), Bun.sleep(CLOSE_MS)]);
  } catch (error) {
    const fault = Fault.from(error);
    process.stderr.write(`linkspan: ${fault.message}${fault.hint ? `. ${fault.hint}` : ""}\n`);
    process.exit(fault.faces.exit);
  }
  process.exit(0);
}

function start(
  names: readonly string[],
  how: Serving | undefined,
  environment: Environment,
  end: () => void,
): { close(): Promise<void>; toolset: Toolset } {
  const env = how?.envFile === undefined ? environment : withEnvFile(environment, how.envFile);
  const settings = readSettings(env);
  const log = createLog(settings.log);
  const toolset = new Toolset(toolsOf(names), settings, env, log);
  const compact = names.includes("compact");
  const instructions = instructionsOf(names);
  const serving =
    how === undefined || how.transport === "stdio"
      ? overStdio(toolset, () => toolsetServer(toolset, { instructions, compact, owner: "" }), log, end)
      : overHttp(toolset, () => toolsetServer(toolset, { instructions, compact }), log, {
          ...how,
          transport: how.transport,
        });
  return { toolset, close: () => serving.close() };
}

function overStdio(toolset: Toolset, make: () => Server, log: Log, end: () => void): { close(): Promise<void> } {
  const transport = new StdioServerTransport();
  let current: Server | undefined;
  const listening = new Listening(toolset, (uri) => void current?.sendResourceUpdated({ uri }).catch(() => {}));
  const handle = serveStdio(() => (current = make()), { transport, maxSubscriptions: SUBSCRIPTIONS_MAX });
  const receive = transport.onmessage;
  transport.onmessage = (message) => {
    listening.look(message);
    receive?.(message);
  };
  process.stdin.once("end", end).once("close", end);
  process.stdout.once("error", end);
  log.debug("serving the Docker tools", { transport: "stdio" });
  return handle;
}

function overHttp(
  toolset: Toolset,
  make: () => Server,
  log: Log,
  { transport, host, port, auth }: Serving & { transport: "http" | "sse" },
): { close(): Promise<void> } {
  if (!auth && !/^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host))
    throw new Fault("usage", "--no-auth is for loopback addresses only", {
      hint: "Whoever reaches the tools has the engine, and with it the machine.",
    });
  const token = auth ? bearerToken(toolset.settings.dataDir) : undefined;
  // Loaded here: over stdio nobody needs it.
  const opening = import("./http.ts").then(({ serveHttp }) =>
    serveHttp(toolset, make, { transport, host, port, token, log }),
  );
  opening.then(
    ({ url }) => log.info("serving the Docker tools", { transport, url }),
    (error) => {
      const fault = Fault.from(error);
      log.error(fault.message, { hint: fault.hint });
      process.exit(fault.faces.exit);
    },
  );
  return { close: async () => (await opening).close() };
}
