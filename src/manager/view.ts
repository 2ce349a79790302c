/** What is shown of a server; nothing of its environment, nothing secret. Pure. */
import type { ServerSpec } from "../model/server-spec.ts";
import type { ServerView } from "../model/views.ts";
import { LABEL } from "../runtime/labels.ts";
import type { Instance, RuntimeKind } from "../runtime/runtime.ts";
import type { Condition } from "./instances.ts";

export interface Seen {
  name: string;
  /** Undefined when an instance was found whose description cannot be read. */
  spec: ServerSpec | undefined;
  instance: Instance | undefined;
  condition: Condition;
  sessions: number;
  runtime: RuntimeKind;
}

const UNKNOWN = "unknown";
const MASK = "***";

export function viewOf({ name, spec, instance, condition, sessions, runtime }: Seen): ServerView {
  const { state, reason } = condition;
  const exists = instance !== undefined;
  const addresses = instance?.addresses ?? [];
  return {
    name,
    image: spec?.image ?? UNKNOWN,
    state,
    ...(reason === undefined ? {} : { reason }),
    runtime,
    ...(exists ? { id: instance.id, container: instance.name } : {}),
    addresses,
    sessions,
    network: spec?.network ?? UNKNOWN,
    ...(addresses.length > 0 && exists ? { since: instance.since } : {}),
  };
}

export function maskSecrets(spec: ServerSpec): ServerSpec {
  return { ...spec, secrets: Object.fromEntries(Object.keys(spec.secrets).map((name) => [name, MASK])) };
}

/** The engine's description without our sealed label: nobody can read it, and it would fill the screen. */
export function maskSealed(raw: unknown): unknown {
  if (Array.isArray(raw)) return raw.map(maskSealed);
  if (typeof raw !== "object" || raw === null) return raw;
  return Object.fromEntries(
    Object.entries(raw).map(([name, value]) => [name, name === LABEL.sealed ? MASK : maskSealed(value)]),
  );
}
