/** Every server by its name: where its spec came from, and which one a name or a reference means. */
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { similar } from "../base/similar.ts";
import type { ServerView } from "../model/views.ts";
import { nameOfRef } from "../model/ref-name.ts";
import { name as nameSchema, type ServerBody, type ServerSpec, serverBody } from "../model/server-spec.ts";
import { LABEL } from "../runtime/labels.ts";
import type { Labels } from "../runtime/runtime.ts";
import { specHash } from "../runtime/spec-hash.ts";
import { Placements } from "./placements.ts";
import { Server } from "./server.ts";
import type { State } from "./state.ts";
import type { Origin, Surroundings } from "./surroundings.ts";

/** Characters of the hash that tells two servers from one reference apart. */
const SUFFIX_CHARS = 6;
const NAME_CHARS_MAX = 63;

export interface Definition {
  name: string;
  spec: ServerSpec;
  hash: string;
}

export class Registry {
  private readonly servers = new Map<string, Server>();
  /** A spec is replaced, never changed. */
  private readonly hashes = new WeakMap<ServerSpec, string>();
  /** Containers that belong to one session each. */
  readonly placements: Placements;

  constructor(
    private readonly around: Surroundings,
    private readonly state: State,
  ) {
    this.placements = new Placements(around);
  }

  /** The configuration file first: what it declares wins over what was defined over REST under the same name. */
  load(configured: readonly ServerSpec[]): void {
    for (const spec of configured) this.put(spec.name, spec, "config");
    for (const spec of this.state.specs()) {
      if (!this.servers.has(spec.name)) this.put(spec.name, spec, "rest");
      else this.around.log.warn("a stored definition is hidden by the configuration file", { server: spec.name });
    }
  }

  all(): Server[] {
    return [...this.servers.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** What somebody has declared, in the file or over REST, each with the hash of what it runs. */
  definitions(): Definition[] {
    return this.all().flatMap(({ name, spec, origin }) =>
      spec && (origin === "config" || origin === "rest") ? [{ name, spec, hash: this.hash(spec) }] : [],
    );
  }

  /** What runs, or may: a container of a session counts by itself. */
  parts(): Server[] {
    return [...this.all(), ...this.placements.all()];
  }

  /** What a server consists of: itself, or the containers of its sessions. */
  partsOf(server: Server): Server[] {
    return isSpread(server) ? this.placements.of(server.name) : [server];
  }

  /** Whose instance carries these labels. */
  of(labels: Labels): Server | undefined {
    const name = labels[LABEL.server] ?? "";
    return this.placements.find(name, labels[LABEL.session]) ?? this.servers.get(name);
  }

  /** `session`: of what that session has of it. */
  view(server: Server, session?: string): ServerView {
    if (!isSpread(server)) return server.view();
    const whole = this.placements.describe(server.view(), server.pinned);
    if (session === undefined) return whole;
    const gone: ServerView = { ...whole, state: "stopped", reason: "the session's container is gone" };
    return this.placements.find(server.name, session)?.view() ?? gone;
  }

  find(name: string): Server | undefined {
    return this.servers.get(name);
  }

  /** Faults: `not-found`, with a hint that names similar ones. */
  get(name: string): Server {
    const found = this.servers.get(name);
    if (found) return found;
    const close = similar(name, this.servers.keys());
    const hint =
      close.length > 0
        ? `Did you mean ${close.join(" or ")}?`
        : "linkspan ps -a lists the servers; an image needs its tag (alpine:3.20), a package its npm: or pypi:";
    throw new Fault("not-found", `there is no server called ${JSON.stringify(name)}`, { hint });
  }

  /**
   * The server that a client means: a name, or a reference, which is run under a name of its own. The same reference
   * with the same definition means the same server, so that many clients share one container.
   */
  resolve(nameOrRef: string, definition?: Omit<ServerBody, "image">): Server {
    const known = this.servers.get(nameOrRef);
    if (known && !definition) return known;
    if (known || !/[:/@]/.test(nameOrRef)) return this.named(nameOrRef, definition);
    const body = v.safeParse(serverBody, { image: nameOrRef });
    if (!body.success) {
      throw new Fault("invalid", `${JSON.stringify(nameOrRef)} is no reference: ${body.issues[0].message}`);
    }
    const base = nameOfRef(nameOrRef);
    const unnamed = { ...body.output, ...definition };
    const suffix = this.hash({ name: base, ...unnamed }).slice(0, SUFFIX_CHARS);
    const names = [base, `${base.slice(0, NAME_CHARS_MAX - SUFFIX_CHARS - 1)}-${suffix}`];
    for (const name of names) {
      const spec = { name, ...unnamed };
      const there = this.servers.get(name);
      if (!there) return this.put(name, spec, "ref");
      if (there.spec && this.hash(there.spec) === this.hash(spec)) return there;
    }
    throw new Fault("conflict", `the names ${names.join(" and ")} belong to other servers`, {
      hint: `Give ${nameOrRef} a name of its own in linkspan.yaml.`,
    });
  }

  /** The spec that a start asks for. Faults: `invalid` (the name), `conflict` (declared otherwise in the file). */
  check(name: string, body: ServerBody): ServerSpec {
    const valid = v.safeParse(nameSchema, name);
    if (!valid.success)
      throw new Fault("invalid", `${JSON.stringify(name)} cannot be a name: ${valid.issues[0].message}`);
    const spec = { name, ...body };
    const known = this.servers.get(name);
    if (known?.origin === "config" && known.spec && this.hash(known.spec) !== this.hash(spec)) {
      throw new Fault("conflict", `${name} is declared otherwise in the configuration file`, {
        hint: "Change it there, start it without a body, or choose another name.",
      });
    }
    return spec;
  }

  /** Keeps a spec that came over REST, over a restart of the manager, too. */
  define(spec: ServerSpec): Server {
    const known = this.servers.get(spec.name);
    if (known?.origin === "config") return known;
    this.state.put(spec);
    if (!known) return this.put(spec.name, spec, "rest");
    known.origin = "rest";
    return known;
  }

  /** A server that is known only because something of that name runs. */
  discovered(name: string, spec: ServerSpec | undefined, lostSecrets: readonly string[]): Server {
    return this.servers.get(name) ?? this.put(name, spec, "label", lostSecrets);
  }

  /** It is not wanted any more, and stays known, also over a restart of the manager. */
  keep(server: Server): void {
    server.pinned = false;
    if (server.spec) this.define(server.spec);
  }

  /** What the configuration file declares stays known. */
  forget(server: Server): void {
    if (server.origin === "config") return;
    this.servers.delete(server.name);
    this.state.delete(server.name);
  }

  private named(name: string, definition: object | undefined): Server {
    const server = this.get(name);
    if (!definition) return server;
    throw new Fault("usage", `${name} is defined already: it takes no options here`, {
      hint: "Options go with an image, npm:PACKAGE or pypi:PACKAGE; to change the server, use linkspan run or linkspan.yaml.",
    });
  }

  private put(name: string, spec: ServerSpec | undefined, origin: Origin, lostSecrets: readonly string[] = []): Server {
    const server = new Server(name, spec, origin, lostSecrets, this.around);
    this.servers.set(name, server);
    return server;
  }

  private hash(spec: ServerSpec): string {
    const known = this.hashes.get(spec);
    if (known !== undefined) return known;
    const hash = specHash(spec, this.around.ground.key);
    this.hashes.set(spec, hash);
    return hash;
  }
}

/** Whether each session has a container of its own, and no other one runs that all still share. */
export function isSpread({ spec, present }: Server): boolean {
  return spec?.session === "container" && present === undefined;
}

/** Faults: `not-found` when what was found running has no description. */
export function known(server: Server): { server: Server; spec: ServerSpec } {
  if (server.spec) return { server, spec: server.spec };
  throw new Fault("not-found", `the description of ${server.name} is lost`, {
    hint: `Start it again with its whole definition, or remove it: linkspan rm ${server.name}`,
  });
}
