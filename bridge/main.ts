/**
 * `linkspan bridge`: the stdio of a command on a TCP socket. Starts no server by itself: each session starts its own.
 * Ends with 0 only when it was asked to or when its lease lapsed; a signal ends it with 128 + its number, so that an
 * engine which restarts on failure does the right thing.
 */
import { Bridge } from "./bridge.ts";
import { type Listener, listen } from "./listener.ts";
import { Log } from "./log.ts";
import { reapOrphans } from "./orphans.ts";
import { type BridgeOptions, USAGE, UsageError, parseOptions } from "./options.ts";

declare const LINKSPAN_VERSION: string | undefined;

const SIGNALS = { SIGTERM: 143, SIGINT: 130, SIGHUP: 129 } as const;
/** On top of the servers' own time: for last words on sockets and in the log. */
const LAST_WORDS_MS = 1_000;

export async function bridgeMain(argv: string[]): Promise<number> {
  if (argv[0] === "--help" || argv[0] === "-h") {
    process.stdout.write(USAGE);
    return 0;
  }
  const log = new Log();
  const failed = (message: string) => {
    log.say(message);
    return 1;
  };
  let options: BridgeOptions;
  try {
    options = await parseOptions(argv, typeof LINKSPAN_VERSION === "string" ? LINKSPAN_VERSION : "0.0.0-source");
  } catch (error) {
    if (error instanceof UsageError) return failed(error.message);
    throw error;
  }
  const Shared = options.policy === "shared" ? (await import("./shared/server.ts")).SharedServer : undefined;
  const bridge = new Bridge(options, log, Shared);
  let listener: Listener;
  try {
    listener = listen(bridge);
    if (options.portFile) await writePortFile(options.portFile, listener);
  } catch (error) {
    const { hostname, port } = options.listen;
    // Its lease and its spares would keep the process alive, and nothing else may.
    bridge.stop({ code: 1, why: "it cannot listen" }, 0);
    failed(`cannot listen on ${hostname}:${port}: ${error instanceof Error ? error.message : error}`);
    await log.flushed(LAST_WORDS_MS);
    process.exit(1);
  }
  log.say(`listening on ${address(listener)}${options.tokenSha256 ? "" : ", for clients without a token"}`);
  stopOnSignals(bridge);
  reapOrphans();
  const { code, why } = await bridge.over;
  await listener.close(LAST_WORDS_MS);
  log.say(`ends: ${why}`);
  await log.flushed(LAST_WORDS_MS);
  // Whatever a descendant of a server still holds open must not keep the bridge alive.
  process.exit(code);
}

/** The first signal gives servers their time to stop, the second one none. */
function stopOnSignals(bridge: Bridge): void {
  let budgetMs: number | undefined;
  for (const [signal, code] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      bridge.stop({ code, why: signal }, budgetMs);
      budgetMs = 0;
    });
  }
}

/** Written beside and renamed, so that a reader never sees half of it. */
async function writePortFile(file: string, listener: Listener): Promise<void> {
  const draft = `${file}.${process.pid}`;
  await Bun.write(draft, `${address(listener)}\n`);
  await (await import("node:fs/promises")).rename(draft, file);
}

function address({ hostname, port }: Listener): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
