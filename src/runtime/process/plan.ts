/** From a spec to what is run as a process, and what of the spec a process cannot keep. Pure but for looking at files. */
import { join, posix } from "node:path";
import { BRIDGE_ENV } from "../../../bridge/wire.ts";
import { COMPILED, VERSION } from "../../base/version.ts";
import { isCodeRef } from "../../model/code.ts";
import type { ServerSpec } from "../../model/server-spec.ts";
import { execProgram } from "../exec-ref.ts";
import { BUN_RUN_FLAGS, isNpmRef } from "../npm/npm.ts";
import { isPypiRef } from "../pypi/ref.ts";
import { FAMILY_VARIABLE } from "./identity.ts";
import type { Program } from "./programs.ts";
import type { ProcessFolder, ProcessPlan, ProcessRecord } from "./record.ts";
import type { Gap } from "../runtime.ts";

export const PROCESS_VERSION = VERSION;

/** What the bridge leaves of the time that a stop may take, so that it can end in order before it is killed. */
const STOP_MARGIN_MS = 500;

/** This program, to be started again in another role. */
export function selfCommand(): string[] {
  // A Bun that runs from source would read .env and bunfig.toml where it stands; the compiled one never does.
  return COMPILED ? [process.execPath] : [process.execPath, ...BUN_RUN_FLAGS, join(import.meta.dir, "../../main.ts")];
}

export function planOf(spec: ServerSpec, program: Program, leaseMs: number): ProcessPlan {
  return {
    argv: [...program.argv, ...(spec.args ?? [])],
    env: { ...program.env, ...spec.env },
    ...(spec.workdir === undefined ? {} : { cwd: spec.workdir }),
    messageBytes: spec.limits.message,
    stopMs: Math.max(0, spec.stopTimeout - STOP_MARGIN_MS),
    leaseMs,
    policy: spec.session === "shared" ? "shared" : "process",
    spare: spec.session === "container" ? 0 : spec.spare,
    health: spec.health,
  };
}

/** The bridge on a loopback port of the kernel's choice. */
export function bridgeCommand({ plan, tokenSha256, configured }: ProcessRecord, folder: ProcessFolder): string[] {
  const options = [
    ["--listen", "127.0.0.1:0"],
    ["--port-file", folder.file("port")],
    ["--token-sha256", tokenSha256],
    ["--message-bytes", String(plan.messageBytes)],
    ["--stop-ms", String(plan.stopMs)],
    ["--lease-ms", String(plan.leaseMs)],
    ["--policy", plan.policy],
    ["--spare", String(plan.spare)],
    configured ? ["--await-configure"] : [],
  ];
  return [...selfCommand(), "bridge", ...options.flat(), "--", ...plan.argv];
}

/**
 * A minimal environment of its own: the manager's may hold what the user's shell holds, tokens among it. The server's
 * variables travel in one that the bridge unpacks, so that none of them steers the bridge.
 */
export function bridgeEnvironment({ id, plan }: ProcessRecord, folder: ProcessFolder): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin",
    HOME: process.env.HOME ?? folder.file("work"),
    LANG: process.env.LANG ?? "C.UTF-8",
    TMPDIR: folder.file("tmp"),
    ...BRIDGE_ENV,
    [FAMILY_VARIABLE]: id,
    LINKSPAN_CHILD_ENV: JSON.stringify({ ...plan.env, [FAMILY_VARIABLE]: id }),
  };
}

/** What the shim gets; it hands the bridge its own. */
export function shimEnvironment(): Record<string, string> {
  const { PATH = "/usr/local/bin:/usr/bin:/bin", HOME, LANG } = process.env;
  return { PATH, ...(HOME === undefined ? {} : { HOME }), ...(LANG === undefined ? {} : { LANG }) };
}

/** Truthfully: a process is limited by nothing but the rights of its user. */
export function processGaps(spec: ServerSpec): Gap[] {
  return [...impossible(spec), ...weaker(spec)];
}

const CONTAINER_HINT = "use a container: --runtime docker";

function impossible(spec: ServerSpec): Gap[] {
  const gap = (field: string, message: string, hint = CONTAINER_HINT): Gap[] => [
    { field, severity: "impossible", message, hint },
  ];
  const program = execProgram(spec.image);
  const found: Gap[] = [];
  if (program === undefined && ![isNpmRef, isPypiRef, isCodeRef].some((is) => is(spec.image))) {
    found.push(
      ...gap(
        "image",
        "an image needs a container engine",
        "use npm:PACKAGE, pypi:PACKAGE or exec:PROGRAM, or a container: --runtime docker",
      ),
    );
  }
  if (program !== undefined && spec.command) {
    found.push(...gap("command", "exec: names the program already", "put the arguments into args"));
  }
  if (spec.user !== undefined && !isOwnUser(spec.user)) {
    found.push(...gap("user", `a process runs as the user of its manager, not as ${spec.user}`));
  }
  if (spec.capAdd.length > 0) found.push(...gap("capAdd", "a process is given no capabilities"));
  if (spec.network !== "none" && spec.network !== "egress") {
    found.push(...gap("network", `a process cannot join the network ${spec.network}`));
  }
  for (const { source, target } of spec.volumes) {
    if (source.startsWith("/") && posix.resolve(source) === posix.resolve(target)) continue;
    const hint = "mount a folder under its own path (/data:/data) and name that path in args, or use a container";
    found.push(...gap("volumes", `a process sees no ${target}: nothing is mounted for it`, hint));
  }
  return found;
}

function weaker(spec: ServerSpec): Gap[] {
  const gap = (field: string, message: string): Gap => ({ field, severity: "weaker", message, hint: CONTAINER_HINT });
  const network =
    spec.network === "none"
      ? "nothing keeps the server from the network of this machine"
      : "the server reaches this machine's own services too";
  return [
    gap("limits.memory", "the memory of the server is not limited"),
    gap("limits.cpus", "the processor time of the server is not limited"),
    gap("limits.pids", "the number of its processes is not limited"),
    gap("limits.tmp", "its folder for temporary files has no size limit"),
    gap("network", network),
    ...(spec.readOnly ? [gap("readOnly", "the server can write wherever its user can")] : []),
    ...spec.volumes
      .filter((volume) => volume.readOnly)
      .map((volume) => gap("volumes", `${volume.source} is not read-only for the server`)),
  ];
}

function isOwnUser(user: string): boolean {
  const [uid, gid] = user.split(":");
  const own = (asked: string | undefined, mine: number | undefined) => asked === undefined || asked === String(mine);
  return own(uid, process.getuid?.()) && own(gid, process.getgid?.());
}
