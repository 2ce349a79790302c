/** `linkspan mcp SERVER`: what an MCP client launches. Nothing but protocol goes to stdout, words go to stderr. */
import { writeSync } from "node:fs";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { type FrontArguments, parseArguments, USAGE } from "./arguments.ts";
import { GatewayOpening } from "./gateway-opening.ts";
import { Manifest } from "./manifest.ts";
import { sentence } from "./messages.ts";
import { type EmbeddedManager, Opening } from "./opening.ts";
import { Relay } from "./relay.ts";

/** What the client has not read by then is lost; it may be gone. */
const FLUSH_MS = 500;

/** What only some fronts need and none waits for. */
interface Others {
  /** Makes the manager of this process; called only for `--embedded`. */
  embedded(): Promise<EmbeddedManager>;
  /** Serves the tools of this binary instead of a server; for `--toolset`. */
  toolset(names: readonly string[], serving: FrontArguments["serving"]): Promise<never>;
}

/** For people who have come here by hand, and would wait for what does not come. */
const WAITING =
  "this is for an MCP client to launch, and waits for its messages on stdin; linkspan client setup NAME sets a client up, Ctrl-C ends this";

/** Ends the process itself. */
export async function frontMain(argv: readonly string[], { embedded, toolset }: Others): Promise<number> {
  const asked = read(argv);
  if (asked === undefined) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (asked instanceof Fault && process.stdin.isTTY) {
    warn(sentence(asked));
    return asked.faces.exit;
  }
  if (!(asked instanceof Fault) && asked.toolset.length > 0) return await toolset(asked.toolset, asked.serving);
  if (process.stdin.isTTY) warn(WAITING);
  // Neither a client nor a server comes upon ids like these.
  const prefix = `linkspan-${crypto.randomUUID()}-`;
  const single = !(asked instanceof Fault) && asked.server !== "" && !asked.translate;
  const manifest = single && asked.manifest ? new Manifest(`${prefix}m`) : undefined;
  const opening =
    asked instanceof Fault
      ? refusing(asked)
      : single
        ? new Opening(asked, manifest, embedded, warn)
        : new GatewayOpening(asked, embedded, warn);
  const repeat = !(asked instanceof Fault) && asked.retryIdempotent;
  const relay = new Relay(opening, { prefix, repeat, manifest }, warn);
  process.on("SIGTERM", () => relay.terminate());
  process.on("SIGINT", () => relay.terminate());
  process.on("SIGHUP", () => relay.terminate());
  const code = await relay.run();
  await Promise.all([
    Deadline.in(FLUSH_MS)
      .race("the last answers", relay.flushed())
      .catch(() => {}),
    opening.close(),
  ]);
  // A read of stdin that waits for the client would keep the process alive.
  process.exit(code);
}

/** The client is told why as soon as it asks for something. */
function refusing(fault: Fault) {
  return {
    open: () => Promise.reject(fault),
    cancel: () => {},
    giveUp: () => {},
    idleMs: undefined,
    close: async () => {},
    epitaph: undefined,
  };
}

function read(argv: readonly string[]): FrontArguments | Fault | undefined {
  try {
    const asked = parseArguments(argv);
    // The background manager and the embedded one look into the environment, too.
    if (asked?.dataDir) process.env.LINKSPAN_DATA_DIR = asked.dataDir;
    return asked;
  } catch (error) {
    return Fault.from(error);
  }
}

function warn(message: string): void {
  try {
    writeSync(2, `linkspan: ${message}\n`);
  } catch {
    // A closed or full stderr must not end a session.
  }
}
