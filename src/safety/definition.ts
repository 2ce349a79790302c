/** What a server's definition asks for beyond what every container has, against what is allowed. */
import { Fault } from "../base/fault.ts";
import { canonicalOr, requireListed } from "./mounts.ts";
import type { Safety } from "./settings.ts";

/** What is looked at of a definition. */
export interface Asked {
  image: string;
  capAdd?: readonly string[] | undefined;
  volumes?: readonly { source: string }[] | undefined;
}

/** Faults: `forbidden`. */
export async function requireDefinition({ image, capAdd = [], volumes = [] }: Asked, safety: Safety): Promise<void> {
  requireContained(image, safety);
  if (capAdd.length > 0 && !safety.allowPrivileged) throw privileged("a capability is not given to a server");
  for (const { source } of volumes) {
    if (!source.startsWith("/")) continue;
    const path = await canonicalOr(source);
    await requireListed(path, source === path ? source : `${source} (${path})`, safety);
  }
}

/** A program of the machine has all the rights of its user: as much as a privileged container. Faults: `forbidden`. */
export function requireContained(image: string, { allowPrivileged }: Safety): void {
  if (/^exec:/i.test(image) && !allowPrivileged) throw privileged("a program of the machine itself is not run");
}

function privileged(message: string): Fault {
  return new Fault("forbidden", message, {
    hint: "Take an image or npm:PACKAGE without that; whoever configures this server decides it with SAFETY_ALLOW_PRIVILEGED_CONTAINERS=true.",
  });
}
