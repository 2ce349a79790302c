/** Ports and volumes of a service: the short forms as the long ones. */
import { isIP } from "node:net";
import { posix } from "node:path";
import * as v from "valibot";
import { mapping, size, text, whole, yes } from "./fields.ts";

const PORT =
  /^(?:(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(\d{1,5}(?:-\d{1,5})?)?:)?(\d{1,5}(?:-\d{1,5})?)(?:\/(tcp|udp|sctp))?$/;
const RANGE_MAX = 1_000;

export interface Port {
  /** Inside the container. */
  target: number;
  /** `8080`, or `8080-8090` for any of these; absent: a free one. */
  published?: string | undefined;
  host_ip?: string | undefined;
  protocol: string;
  /** The rest is shown, and means nothing outside a swarm. */
  mode?: "host" | "ingress" | undefined;
  name?: string | undefined;
  app_protocol?: string | undefined;
}

const address = v.pipe(
  text,
  v.check((input) => isIP(input) !== 0, "expected an IP address"),
);
const range = v.pipe(
  text,
  v.regex(/^\d{1,5}(-\d{1,5})?$/, "expected a port"),
  v.check((input) => bounds(input).every((port) => port <= 65_535), "expected ports up to 65535"),
);

const longPort = v.pipe(
  mapping({
    name: v.optional(text),
    target: whole(1, 65_535),
    published: v.optional(range),
    host_ip: v.optional(address),
    protocol: v.optional(v.picklist(["tcp", "udp", "sctp"]), "tcp"),
    app_protocol: v.optional(text),
    mode: v.optional(v.picklist(["host", "ingress"])),
  }),
  v.transform((port): Port[] => [port]),
);

const shortPort = v.pipe(
  text,
  v.rawTransform<string, Port[]>(({ dataset, addIssue, NEVER }) => {
    const ports = expandPort(dataset.value);
    if (typeof ports !== "string") return ports;
    addIssue({ message: ports });
    return NEVER;
  }),
);

export const ports = v.pipe(
  v.array(v.union([shortPort, longPort], ({ issues }) => issues?.[0]?.message ?? "expected a port")),
  v.maxLength(256),
  v.transform((input) => input.flat()),
);

function expandPort(line: string): Port[] | string {
  const [whole, ip, outside, inside = "", protocol = "tcp"] = PORT.exec(line) ?? [];
  if (whole === undefined) return "expected 8080:80, 127.0.0.1:8080:80 or 80/udp";
  const host_ip = ip?.replace(/[[\]]/g, "");
  if (host_ip !== undefined && isIP(host_ip) === 0) return "expected an IP address";
  const [from, to] = bounds(inside);
  if (from < 1 || to > 65_535 || to < from || to - from > RANGE_MAX) return "expected ports from 1 to 65535";
  if (outside !== undefined && bounds(outside).some((port) => port > 65_535)) return "expected ports up to 65535";
  const [first, last] = outside === undefined ? [0, 0] : bounds(outside);
  // One port inside and several outside: any of them will do.
  if (outside !== undefined && from === to) return [{ target: from, published: outside, host_ip, protocol }];
  if (outside !== undefined && last - first !== to - from) return "the two ranges have different lengths";
  return Array.from({ length: to - from + 1 }, (_, index) => ({
    target: from + index,
    published: outside === undefined ? undefined : String(first + index),
    host_ip,
    protocol,
  }));
}

function bounds(range: string): [number, number] {
  const [from = 0, to = from] = range.split("-").map(Number);
  return [from, to];
}

export interface VolumeUse {
  type: "bind" | "volume" | "tmpfs";
  /** A volume's name in the file, or a path. Absent: a volume without a name. */
  source?: string | undefined;
  target: string;
  read_only: boolean;
  nocopy: boolean;
  bind?: { create_host_path?: boolean | undefined } | undefined;
  tmpfs?: { size?: number | undefined; mode?: number | undefined } | undefined;
}

/** Without `..` and a slash at its end, so that one place has one name. */
const clean = (path: string) => posix.normalize(path).replace(/(?<=.)\/$/, "");
const target = v.pipe(
  text,
  v.regex(/^\/[^\0]*$/, "expected an absolute path inside the container"),
  v.transform(clean),
);
/** Modes of the short form that change nothing for Linux engines, or that an engine takes anyway. */
const HARMLESS = new Set(["rw", "ro", "nocopy", "cached", "delegated", "consistent", "z", "Z"]);

const longVolume = v.pipe(
  mapping({
    type: v.picklist(["bind", "volume", "tmpfs"], "expected bind, volume or tmpfs"),
    source: v.optional(text),
    target,
    read_only: v.optional(yes, false),
    consistency: v.optional(text),
    bind: v.optional(
      mapping({
        propagation: v.optional(v.picklist(["private", "rprivate"], "a propagation to the host is not allowed")),
        create_host_path: v.optional(yes),
        selinux: v.optional(v.picklist(["z", "Z"])),
      }),
    ),
    volume: v.optional(mapping({ nocopy: v.optional(yes, false) })),
    tmpfs: v.optional(mapping({ size: v.optional(size), mode: v.optional(whole(0, 0o7777)) })),
  }),
  v.check(({ type, source }) => type !== "bind" || source !== undefined, "a bind needs a source"),
  v.check(({ type, source }) => type !== "tmpfs" || source === undefined, "a tmpfs has no source"),
  v.transform(({ type, source, target: to, read_only, volume, bind, tmpfs }): VolumeUse => ({
    type,
    source,
    target: to,
    read_only,
    nocopy: volume?.nocopy ?? false,
    ...(bind?.create_host_path === undefined ? {} : { bind: { create_host_path: bind.create_host_path } }),
    ...(tmpfs ? { tmpfs } : {}),
  })),
);

const shortVolume = v.pipe(
  text,
  v.rawTransform<string, VolumeUse>(({ dataset, addIssue, NEVER }) => {
    const use = volumeOf(dataset.value);
    if (typeof use !== "string") return use;
    addIssue({ message: use });
    return NEVER;
  }),
);

export const volumeUses = v.pipe(
  v.array(v.union([shortVolume, longVolume], ({ issues }) => issues?.[0]?.message ?? "expected a volume")),
  v.maxLength(64),
  v.check(
    (uses) => !uses.some((use) => posix.normalize(use.target) === "/"),
    "nothing is mounted on a container's root",
  ),
);

function volumeOf(line: string): VolumeUse | string {
  const parts = line.split(":");
  const [source, to = source, modes = ""] = parts;
  if (source === undefined || to === undefined || parts.length > 3 || !to.startsWith("/"))
    return "expected SOURCE:/TARGET or SOURCE:/TARGET:ro";
  const words = modes === "" ? [] : modes.split(",");
  const foreign = words.find((word) => !HARMLESS.has(word));
  if (foreign !== undefined)
    return /^r?(shared|slave)$/.test(foreign)
      ? "a propagation to the host is not allowed"
      : `there is no mode ${foreign}`;
  if (parts.length > 1 && source.startsWith("~")) return "write the path from / on, or relative to the file";
  const type = parts.length > 1 && /^[./]/.test(source) ? "bind" : "volume";
  return {
    type,
    source: parts.length > 1 ? source : undefined,
    target: clean(to),
    read_only: words.includes("ro"),
    nocopy: words.includes("nocopy"),
  };
}
