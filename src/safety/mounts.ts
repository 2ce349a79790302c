/** What the lists of folders say about a path that a container is to see. */
import { realpath } from "node:fs/promises";
import { Fault } from "../base/fault.ts";
import { contains, overlaps } from "../docker/bind-rules.ts";
import type { Safety } from "./settings.ts";

/** `path` is canonical, `shown` what people call it. Faults: `forbidden`. */
export async function requireListed(
  path: string,
  shown: string,
  { mountBlocklist, mountAllowlist }: Safety,
): Promise<void> {
  const blocked = (await Promise.all(mountBlocklist.map(canonicalOr))).find((one) => overlaps(path, one));
  if (blocked !== undefined) throw notMounted(shown, `${blocked} is on the blocklist`);
  const allowed = await Promise.all(mountAllowlist.map(canonicalOr));
  if (allowed.length > 0 && !allowed.some((one) => contains(one, path)))
    throw new Fault("forbidden", `${shown} is not mounted: it lies outside the allowed folders`, {
      hint: `Whoever configures this server decides it with SAFETY_VOLUME_MOUNT_ALLOWLIST; now it is ${allowed.join(", ")}.`,
    });
}

export function notMounted(what: string, reason: string): Fault {
  return new Fault("forbidden", `${what} is not mounted: ${reason}`, {
    hint: "Mount a folder with just the files that are needed.",
  });
}

/** Through all links; as it is where there is nothing. */
export function canonicalOr(path: string): Promise<string> {
  return realpath(path).catch(() => path);
}
