/** Volumes of a container as tools take them → mounts. A bind is judged by its canonical path, at the moment of creating. */
import { realpath } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, posix, resolve } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { refusal } from "../docker/bind-rules.ts";
import type { Mount } from "../docker/container-config.ts";
import { type Endpoint, isLocal } from "../docker/endpoint.ts";
import { inspectVolume, type VolumeInfo } from "../docker/volumes.ts";
import { canonicalOr, notMounted, requireListed } from "../safety/mounts.ts";
import type { Settings } from "./settings.ts";
import type { ToolCall } from "./tool.ts";

/** In the home folder: keys and passwords. */
const SECRET_FOLDERS = [
  ".aws",
  ".azure",
  ".cargo/credentials.toml",
  ".config/gcloud",
  ".config/gh",
  ".docker",
  ".git-credentials",
  ".gnupg",
  ".kube",
  ".local/share/keyrings",
  ".netrc",
  ".npmrc",
  ".password-store",
  ".pypirc",
  ".ssh",
];

const text = v.pipe(
  v.string(),
  v.maxLength(8192),
  v.check((input) => !input.includes("\0"), "a NUL character is not allowed"),
);
const target = v.pipe(text, v.regex(/^\/[^:]*$/, "expected an absolute path inside the container"));
const mode = v.picklist(["ro", "rw"]);
const volume = v.object({ source: text, target, readOnly: v.boolean() });
export type VolumeRequest = v.InferOutput<typeof volume>;

/** `SOURCE:TARGET[:ro|rw]` */
const line = v.pipe(
  text,
  v.regex(/^[^:]+:\/[^:]*(:(ro|rw))?$/, "expected SOURCE:TARGET or SOURCE:TARGET:rw"),
  v.transform((input) => {
    const [source = "", at = "", how] = input.split(":");
    return { source, target: at, readOnly: how !== "rw" };
  }),
);
/** `{"SOURCE": {"bind": "TARGET", "mode": "ro"}}`, as Docker's SDK for Python has it; or `{"SOURCE": "TARGET"}`. */
const bound = v.strictObject({ bind: target, mode: v.optional(mode, "ro") });
const table = v.pipe(
  v.record(text, v.union([target, bound])),
  v.transform((input) =>
    Object.entries(input).map(([source, to]) =>
      typeof to === "string"
        ? { source, target: to, readOnly: true }
        : { source, target: to.bind, readOnly: to.mode === "ro" },
    ),
  ),
);

/** Read-only unless `rw` is asked for. */
export const volumes = v.pipe(
  v.union([v.array(line), table, v.pipe(text, v.parseJson(), v.union([v.array(line), table]))]),
  v.maxLength(64),
  v.description(
    '["data:/data:rw", "/srv/notes:/notes"]: a volume\'s name or a path of the engine\'s machine; read-only without :rw',
  ),
);

const ROOT_HINT = { hint: "Name a folder below it, such as /data." };
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$/;

/** Faults: `invalid`, `forbidden`, `unsupported` (a path, and the engine is elsewhere). */
export async function mountsOf(wanted: readonly VolumeRequest[], call: ToolCall): Promise<Mount[]> {
  const { settings } = call;
  const { endpoint } = await call.engine();
  const mounts: Mount[] = [];
  for (const { source, target: asked, readOnly } of wanted) {
    const Target = posix.normalize(asked);
    if (/^\/*$/.test(Target)) throw new Fault("invalid", "nothing is mounted on the root of a container", ROOT_HINT);
    if (isAbsolute(source)) {
      const Source = await allowedPath(source, readOnly, endpoint, settings);
      mounts.push({ Type: "bind", Source, Target, ReadOnly: readOnly, BindOptions: { Propagation: "rprivate" } });
    } else {
      requireVolumeName(source);
      await judgeVolume(await inspectVolume(await call.engine(), source, call.deadline), readOnly, call);
      mounts.push({ Type: "volume", Source: source, Target, ReadOnly: readOnly });
    }
  }
  return mounts;
}

/** Faults: `invalid`. */
export function requireVolumeName(source: string): void {
  if (VOLUME_NAME.test(source)) return;
  throw new Fault("invalid", `${source} is neither a volume's name nor an absolute path`, {
    hint: "Name a volume, or write the path from / on.",
  });
}

/** Kinds of devices that are no part of the engine's machine. */
const ELSEWHERE = new Set(["tmpfs", "nfs", "nfs4", "cifs", "smb3"]);
const deviceOptions = v.fallback(v.record(v.string(), v.string()), {});

/**
 * A volume whose driver shows a path of the engine's machine is the bind that it stands for, whoever has made it. Faults:
 * `forbidden`, `unsupported`.
 */
export async function judgeVolume(volume: VolumeInfo | undefined, readOnly: boolean, call: ToolCall): Promise<void> {
  const { type = "", device = "", o = "" } = v.parse(deviceOptions, volume?.["Options"]);
  if (!volume || volume.Driver !== "local" || (type === "" && device === "" && o === "")) return;
  const bind = /(^|,)r?bind(,|$)/.test(o);
  if (ELSEWHERE.has(type) && !bind) return;
  if (!isAbsolute(device) || (!bind && !device.startsWith("/dev/")))
    throw new Fault("forbidden", `the volume ${volume.Name} shows files of the engine's machine (${type}, ${o})`, {
      hint: "Take a volume without driver options.",
    });
  await allowedPath(device, readOnly, (await call.engine()).endpoint, call.settings);
}

/** The canonical path, where a container may see it. Writable ones only in a folder that somebody has allowed. */
export async function allowedPath(
  source: string,
  readOnly: boolean,
  endpoint: Endpoint,
  settings: Settings,
): Promise<string> {
  if (!isLocal(endpoint))
    throw new Fault(
      "unsupported",
      `the engine runs on another machine, and ${source} there cannot be checked from here`,
      {
        hint: "Use a named volume.",
      },
    );
  const path = await canonical(source);
  const secret = SECRET_FOLDERS.map((name) => join(homedir(), name));
  const protectedPaths = await Promise.all([...secret, settings.dataDir, ...socketOf(endpoint)].map(canonicalOr));
  const reason = refusal(path, readOnly, protectedPaths);
  if (reason) throw notMounted(shown(source, path), reason);
  if (settings.mountAllowlist.length === 0 && !readOnly)
    throw new Fault("forbidden", `${shown(source, path)} is not mounted writable: no folder is allowed for that`, {
      hint: "Mount it read-only, or take a volume; whoever configures this server names folders in SAFETY_VOLUME_MOUNT_ALLOWLIST.",
    });
  await requireListed(path, shown(source, path), settings);
  return path;
}

async function canonical(source: string): Promise<string> {
  try {
    return await realpath(source);
  } catch (cause) {
    // What is protected is not told whether it exists.
    const reason = refusal(resolve(source), true, []);
    if (reason) throw notMounted(source, reason);
    throw new Fault("invalid", `the path ${source} does not exist or cannot be read`, {
      hint: "A bind needs an existing path of this machine.",
      cause,
    });
  }
}

function socketOf(endpoint: Endpoint): string[] {
  return endpoint.kind === "socket" ? [endpoint.path] : [];
}

function shown(source: string, path: string): string {
  return source === path ? source : `${source} (${path})`;
}
