/** The command line of `linkspan bridge`. */
import * as v from "valibot";
import { isLoopback } from "./authenticate.ts";
import { LIMITS } from "./wire.ts";

export interface BridgeOptions {
  version: string;
  listen: { hostname: string; port: number };
  /** SHA-256 of the token; undefined where plain clients are served without one. */
  tokenSha256: Uint8Array | undefined;
  messageBytes: number;
  awaitConfigure: boolean;
  maxSessions: number;
  portFile: string | undefined;
  /** The whole stop of a server: stdin end, half of it, SIGTERM, half of it, SIGKILL. */
  stopMs: number;
  /** How long a session outlives a connection that broke; 0: not at all. */
  resumeMs: number;
  /** The bridge ends when it has heard of no owner for so long; 0: it does not. */
  leaseMs: number;
  /** `process`: one server process per session; `shared`: one for all of them. */
  policy: "process" | "shared";
  /** Server processes that are kept started ahead, for sessions to come. */
  spare: number;
  command: readonly [string, ...string[]];
}

/** The command line is wrong; the message says how. */
export class UsageError extends Error {}

const SPARE_MAX = 16;

export const USAGE = `usage: linkspan bridge --listen HOST:PORT [options] -- COMMAND [ARGUMENT…]

Serves the stdio of COMMAND on a TCP socket, newline-delimited JSON-RPC: each session has a process of its own, or all
sessions share one.

  --listen HOST:PORT     where to listen; port 0 takes any free port
  --token-sha256 HEX     serve only who has the token with this SHA-256
  --token-file FILE      serve only who has the token in FILE
  --insecure             allow clients without a token on an address that is not loopback
  --message-bytes N      longest message (default ${LIMITS.messageBytes}, at most ${LIMITS.messageBytesMax})
  --policy POLICY        process: a server process for each session; shared: one for all (default process)
  --spare N              server processes kept started ahead (default 0, at most ${SPARE_MAX})
  --max-sessions N       sessions at once (default 256)
  --await-configure      start no server before a manager has sent its secrets
  --stop-ms N            time that a server has to stop (default ${2 * LIMITS.stopStepMs})
  --resume-ms N          time that a client whose connection broke has to come back (default ${LIMITS.resumeMs})
  --lease-ms N           end when no owner was heard of for so long; 0 is never (default 0)
  --port-file FILE       write HOST:PORT to FILE once it listens

Examples:
  linkspan bridge --listen 127.0.0.1:5465 -- node server.js              # for clients on this machine, without a token
  linkspan bridge --listen 0.0.0.0:5465 --token-file token -- ./server   # for those that have the token
`;

function whole(name: string, min: number, max: number, byDefault: number) {
  const message = `--${name} takes a whole number from ${min} to ${max}`;
  return v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,10}$/, message),
      v.transform(Number),
      v.minValue(min, message),
      v.maxValue(max, message),
    ),
    String(byDefault),
  );
}

const flags = v.object({
  listen: v.pipe(
    v.string(),
    v.regex(/^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):\d{1,5}$/, "--listen takes HOST:PORT"),
    v.transform((text) => {
      const colon = text.lastIndexOf(":");
      return { hostname: text.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(text.slice(colon + 1)) };
    }),
    v.check(({ port }) => port <= 65_535, "--listen takes a port up to 65535"),
  ),
  "token-sha256": v.optional(v.pipe(v.string(), v.regex(/^[0-9a-fA-F]{64}$/, "--token-sha256 takes 64 hex digits"))),
  "token-file": v.optional(v.string()),
  insecure: v.optional(v.boolean(), false),
  "message-bytes": whole("message-bytes", 1_024, LIMITS.messageBytesMax, LIMITS.messageBytes),
  "max-sessions": whole("max-sessions", 1, 100_000, 256),
  spare: whole("spare", 0, SPARE_MAX, 0),
  "await-configure": v.optional(v.boolean(), false),
  "stop-ms": whole("stop-ms", 0, 600_000, 2 * LIMITS.stopStepMs),
  "resume-ms": whole("resume-ms", 0, 3_600_000, LIMITS.resumeMs),
  "lease-ms": whole("lease-ms", 0, 2_000_000_000, 0),
  "port-file": v.optional(v.string()),
  policy: v.optional(v.picklist(["process", "shared"], "--policy takes process or shared"), "process"),
});

/** Throws UsageError. */
export async function parseOptions(argv: string[], version: string): Promise<BridgeOptions> {
  const separator = argv.indexOf("--");
  const [file, ...args] = separator < 0 ? [] : argv.slice(separator + 1);
  if (!file) throw new UsageError("the server's command is missing; it follows after --");
  const values = readFlags(argv.slice(0, separator));
  if (!("listen" in values)) throw new UsageError("--listen HOST:PORT is missing");
  const parsed = v.safeParse(flags, values);
  if (!parsed.success) throw new UsageError(parsed.issues[0].message);
  const given = parsed.output;
  if (given["token-sha256"] !== undefined && given["token-file"] !== undefined) {
    throw new UsageError("--token-sha256 and --token-file exclude each other");
  }
  const tokenSha256 = await readToken(given["token-sha256"], given["token-file"]);
  if (!tokenSha256 && !given.insecure && !isLoopback(given.listen.hostname)) {
    throw new UsageError(
      `without a token everybody who reaches ${given.listen.hostname} could use the server: give --token-file or --token-sha256, or say --insecure`,
    );
  }
  return {
    version,
    listen: given.listen,
    tokenSha256,
    messageBytes: given["message-bytes"],
    awaitConfigure: given["await-configure"],
    maxSessions: given["max-sessions"],
    portFile: given["port-file"],
    stopMs: given["stop-ms"],
    resumeMs: given["resume-ms"],
    leaseMs: given["lease-ms"],
    policy: given.policy,
    spare: given.spare,
    command: [file, ...args],
  };
}

/** `--name value`, `--name=value` and bare flags. (node:util has a parser, and costs half a megabyte for good.) */
function readFlags(args: string[]): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (let i = 0; i < args.length; i++) {
    const [, name = "", inline] = /^--([a-z0-9-]+)(?:=(.*))?$/s.exec(args[i] ?? "") ?? [];
    if (!Object.hasOwn(flags.entries, name)) throw new UsageError(`unknown argument ${args[i]}`);
    if (name in values) throw new UsageError(`--${name} is given twice`);
    if (name === "insecure" || name === "await-configure") {
      if (inline !== undefined) throw new UsageError(`--${name} takes no value`);
      values[name] = true;
    } else {
      const value = inline ?? args[++i];
      if (value === undefined) throw new UsageError(`--${name} needs a value`);
      values[name] = value;
    }
  }
  return values;
}

async function readToken(sha256: string | undefined, file: string | undefined): Promise<Uint8Array | undefined> {
  if (sha256 !== undefined) return Buffer.from(sha256, "hex");
  if (file === undefined) return undefined;
  let token: string;
  try {
    token = (await Bun.file(file).text()).trim();
  } catch (error) {
    throw new UsageError(`the token file cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  if (token === "") throw new UsageError(`the token file ${file} is empty`);
  return new Bun.CryptoHasher("sha256").update(token).digest();
}
