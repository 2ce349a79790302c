/** Who wants to hear of what, among those who listen to legacy processes: one client's own, or a principal's pool. */
import { Fault } from "../../base/fault.ts";
import type { Description, Filter, Note, Params } from "../exchange.ts";
import { member } from "./message.ts";

/** Listens at once, and resources that they name together. */
const LISTENERS_MAX = 1_024;
const RESOURCES_MAX = 1_024;

/** What listeners need of a process. */
export interface Listened {
  readonly description: Description;
  /** False where the server will not. */
  subscribe(uri: string): Promise<boolean>;
  unsubscribe(uri: string): void;
}

interface Listener {
  granted: Filter;
  hear(note: Note): void;
  /** Absent for one that goes on with the next process. */
  ended: (() => void) | undefined;
}

export const LIST_CHANGED = {
  toolsListChanged: { method: "notifications/tools/list_changed", capability: "tools" },
  promptsListChanged: { method: "notifications/prompts/list_changed", capability: "prompts" },
  resourcesListChanged: { method: "notifications/resources/list_changed", capability: "resources" },
} as const;

const KINDS = ["toolsListChanged", "promptsListChanged", "resourcesListChanged"] as const;
export const RESOURCE_UPDATED = "notifications/resources/updated";

export class Listeners {
  private readonly listeners = new Set<Listener>();
  /** How many listeners want each resource. */
  private readonly wanted = new Map<string, number>();
  private readonly processes = new Set<Listened>();
  /** A process has ended since anybody was told of changes. */
  private missed = false;

  get size(): number {
    return this.listeners.size;
  }

  /** How many resources are subscribed to. */
  get resources(): number {
    return this.wanted.size;
  }

  /** `ended` is given by those who listen anew themselves. Faults: `exhausted`. */
  async add(
    process: Listened,
    filter: Filter,
    hear: (note: Note) => void,
    signal: AbortSignal,
    ended: (() => void) | undefined,
  ): Promise<Filter> {
    const { resourceSubscriptions: uris = [], ...kinds } = filter;
    if (this.listeners.size >= LISTENERS_MAX || this.wanted.size + uris.length > RESOURCES_MAX) {
      throw new Fault("exhausted", "too much is listened to on this server");
    }
    const granted = grantable(kinds, process.description.capabilities);
    const listener: Listener = { granted, hear, ended };
    this.listeners.add(listener);
    signal.addEventListener("abort", () => this.remove(listener), { once: true });
    if (signal.aborted) this.remove(listener);
    const taken = await Promise.all(uris.map((uri) => this.want(uri, process)));
    const kept = uris.filter((_, index) => taken[index]);
    if (signal.aborted) for (const uri of kept) this.release(uri);
    else if (uris.length > 0) granted.resourceSubscriptions = kept;
    return { ...granted };
  }

  /** A process that has just been opened. */
  joined(process: Listened): void {
    this.processes.add(process);
    for (const uri of this.wanted.keys()) void process.subscribe(uri);
    if (!this.missed) return;
    this.missed = false;
    // What has changed while nobody was there to tell.
    for (const { granted, hear } of this.listeners) {
      for (const kind of KINDS) if (granted[kind]) hear({ method: LIST_CHANGED[kind].method, params: {} });
      for (const uri of granted.resourceSubscriptions ?? []) hear({ method: RESOURCE_UPDATED, params: { uri } });
    }
  }

  /** It has ended. Whoever cannot go on with the next one is told when there is none left. */
  left(process: Listened): void {
    if (!this.processes.delete(process)) return;
    this.missed = this.listeners.size > 0;
    if (this.processes.size > 0) return;
    for (const listener of this.listeners) {
      if (!listener.ended) continue;
      this.remove(listener);
      listener.ended();
    }
  }

  /** True if it was something that listeners hear of. */
  hear(method: string, params: Params): boolean {
    if (method === RESOURCE_UPDATED) {
      const { uri } = params;
      if (typeof uri !== "string") return true;
      for (const { granted, hear } of this.listeners) {
        if (granted.resourceSubscriptions?.some((one) => covers(one, uri))) hear({ method, params });
      }
      return true;
    }
    const kind = KINDS.find((one) => LIST_CHANGED[one].method === method);
    if (!kind) return false;
    for (const { granted, hear } of this.listeners) if (granted[kind]) hear({ method, params });
    return true;
  }

  private async want(uri: string, process: Listened): Promise<boolean> {
    const count = this.wanted.get(uri) ?? 0;
    this.wanted.set(uri, count + 1);
    if (count > 0) return true;
    const [taken] = await Promise.all([
      process.subscribe(uri),
      ...this.others(process).map((one) => one.subscribe(uri)),
    ]);
    if (!taken) this.release(uri);
    return taken;
  }

  private others(process: Listened): Listened[] {
    return [...this.processes].filter((one) => one !== process);
  }

  private remove(listener: Listener): void {
    if (!this.listeners.delete(listener)) return;
    for (const uri of listener.granted.resourceSubscriptions ?? []) this.release(uri);
  }

  private release(uri: string): void {
    const count = (this.wanted.get(uri) ?? 0) - 1;
    if (count > 0) {
      this.wanted.set(uri, count);
      return;
    }
    if (!this.wanted.delete(uri)) return;
    for (const process of this.processes) process.unsubscribe(uri);
  }
}

/** A server may tell of a part of what was subscribed to (2025-11-25, resources). */
function covers(wanted: string, uri: string): boolean {
  return (
    uri === wanted || (uri.startsWith(wanted) && (wanted.endsWith("/") || "/#?".includes(uri.charAt(wanted.length))))
  );
}

/** Those kinds that the server says it tells of. */
export function grantable(filter: Filter, capabilities: Params): Filter {
  const granted: Filter = {};
  for (const kind of KINDS) {
    if (filter[kind] && member(capabilities, LIST_CHANGED[kind].capability).listChanged === true) granted[kind] = true;
  }
  return granted;
}
