/** What to run: a server as it is declared in linkspan.yaml, through REST or on the command line. */
import * as v from "valibot";
import { byteSize, duration } from "./units.ts";

const KIB = 1024;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** Names of servers, volumes and networks: Docker's pattern without upper case, never with a leading `-`. */
export const name = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/, "expected 1 to 63 of a-z 0-9 _ . - and a letter or digit first"),
);

/** An environment variable's name (POSIX, upper or lower case). */
const variable = v.pipe(v.string(), v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "expected a variable name such as API_KEY"));
/** No NUL: neither an environment value nor an argument can carry one. */
const value = v.pipe(
  v.string(),
  v.check((input) => !input.includes("\0"), "a NUL character is not allowed"),
);
const argv = v.pipe(v.array(value), v.maxLength(1024));
const containerPath = v.pipe(v.string(), v.regex(/^\/[^\0:]*$/, "expected an absolute path inside the container"));

/**
 * What to run it from: an image reference, `npm:PACKAGE[@VERSION]`, `pypi:PACKAGE[@VERSION]`, or on the process runtime `exec:PROGRAM`.
 * The syntax of image references is the engine's business; here only what could be taken for an option is refused.
 */
export const imageRef = v.pipe(
  v.string(),
  v.maxLength(512),
  v.regex(
    /^[A-Za-z0-9@][^\s\0]*$/,
    "expected an image such as alpine:3.20, npm:PACKAGE[@VERSION] or pypi:PACKAGE[@VERSION]",
  ),
);

const volumeObject = v.strictObject({
  /** A volume's name, or an absolute host path (a bind). */
  source: v.pipe(v.string(), v.regex(/^(\/|[a-zA-Z0-9])[^\0:]*$/, "expected a volume name or an absolute path")),
  target: containerPath,
  readOnly: v.optional(v.boolean(), true),
});

/** `SOURCE:TARGET[:ro|rw]`, read-only unless `rw` is asked for. */
const volumeText = v.pipe(
  v.string(),
  v.regex(
    /^(\/|[a-zA-Z0-9])[^\0:]*:\/[^\0:]*(:(ro|rw))?$/,
    "expected SOURCE:TARGET or SOURCE:TARGET:rw, SOURCE a volume's name or an absolute path",
  ),
  v.transform((input) => {
    const [source = "", target = "", mode] = input.split(":");
    return { source, target, readOnly: mode !== "rw" };
  }),
);
export const volume = v.union([volumeText, volumeObject]);
export type Volume = v.InferOutput<typeof volumeObject>;

const limits = v.strictObject({
  /** Memory of the container, bytes; swap is not added to it. */
  memory: v.optional(byteSize(6 * MIB, 1024 * GIB), 512 * MIB),
  cpus: v.optional(v.pipe(v.number(), v.minValue(0.01), v.maxValue(1024)), 1),
  pids: v.optional(v.pipe(v.number(), v.integer(), v.minValue(8), v.maxValue(1_000_000)), 128),
  /** The longest JSON-RPC message in either direction, bytes. */
  message: v.optional(byteSize(KIB, 64 * MIB), 16 * MIB),
  /** Size of the tmpfs at /tmp, bytes. */
  tmp: v.optional(byteSize(MIB, 64 * GIB), 64 * MIB),
});

const health = v.strictObject({
  interval: v.optional(duration(1_000, 3_600_000), 30_000),
  timeout: v.optional(duration(100, 600_000), 3_000),
  startPeriod: v.optional(duration(0, 3_600_000), 5_000),
  retries: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100)), 3),
});

/** How the sessions of a server share what runs. */
const sessionPolicy = v.picklist(["process", "shared", "container"]);

/** Everything but the name: the body of `POST /servers/:name/start` and an entry of linkspan.yaml. */
export const serverBody = v.strictObject({
  image: imageRef,
  /** Replaces the image's entrypoint. */
  command: v.optional(v.pipe(argv, v.minLength(1))),
  /** Replaces the image's command: the arguments that the entrypoint receives. */
  args: v.optional(argv),
  env: v.optional(v.record(variable, value), {}),
  /** Environment that never reaches the engine: sent to the bridge over its authenticated socket. */
  secrets: v.optional(v.record(variable, value), {}),
  volumes: v.optional(v.pipe(v.array(volume), v.maxLength(64)), []),
  limits: v.optional(limits, {}),
  health: v.optional(health, {}),
  /** `none` (an internal network: nothing but the manager is reached), `egress` (outbound only), or a network's name. */
  network: v.optional(name, "none"),
  /** `uid[:gid]` or a name of the image; the image's own user when absent. */
  user: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$/))),
  workdir: v.optional(containerPath),
  /** Read-only root file system; /tmp is a tmpfs either way. */
  readOnly: v.optional(v.boolean(), true),
  /** Capabilities given back after all were dropped, such as `NET_BIND_SERVICE`. */
  capAdd: v.optional(v.array(v.pipe(v.string(), v.regex(/^[A-Z_]{3,40}$/))), []),
  /** At most this long from a stop to the end of the container. */
  stopTimeout: v.optional(duration(0, 600_000), 5_000),
  /**
   * The server ends by itself when nobody who owns it was heard of for so long: its manager, a session. `none`: it
   * outlives them. Absent: 60 s for a server that sessions have made from a reference, 300 s for any other.
   */
  lease: v.optional(v.union([v.literal("none"), duration(1_000, 2_000_000_000)])),
  /**
   * `process`: each session has a server process of its own, so nothing of theirs can meet. `shared`: all sessions speak
   * to one process, and the bridge tells their messages apart.
   */
  session: v.optional(sessionPolicy, "process"),
  /**
   * Server processes that are kept started ahead, so that the first answer of a session does not wait for a start. They
   * share the limits with all others. None where each session has a container.
   */
  spare: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(16)), 0),
  labels: v.optional(v.record(v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9_./-]{0,127}$/)), value), {}),
  /** `on-demand`: at its first use. `always`: with the manager, and it stays. */
  start: v.optional(v.picklist(["on-demand", "always"]), "on-demand"),
  /** Stopped when nobody has had a session with it for so long; the next use starts it again. Not with `start: always`. */
  idleStop: v.optional(v.union([v.literal("none"), duration(1_000, 2_000_000_000)]), "none"),
  /** A session of `linkspan mcp` without a request for so long is given up; its next request opens another one. */
  sessionIdle: v.optional(v.union([v.literal("none"), duration(1_000, 2_000_000_000)]), "none"),
  /** Sessions at the same time, whoever has them. */
  maxSessions: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(256)), 256),
  /** In which era of MCP the gateway speaks to it. `auto`: in its client's where the server knows it, which is found out. */
  era: v.optional(v.picklist(["auto", "modern", "legacy"]), "auto"),
});

/**
 * Fields that say when something runs, for how many and how it is spoken to, not what. What runs already goes on when they change, and two
 * definitions that differ in nothing else share one container.
 */
export const SCHEDULING = ["start", "idleStop", "sessionIdle", "maxSessions", "era"] as const;

export const serverSpec = v.strictObject({ name, ...serverBody.entries });

export type ServerBody = v.InferOutput<typeof serverBody>;
export type ServerBodyInput = v.InferInput<typeof serverBody>;
/** A validated spec: every default is filled in, sizes are bytes, durations milliseconds. */
export type ServerSpec = v.InferOutput<typeof serverSpec>;
