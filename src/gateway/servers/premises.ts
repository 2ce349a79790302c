/** What principals have of one server: of a modern one a home, of a legacy one pools, one for each profile. */
import { Fault } from "../../base/fault.ts";
import type { Params } from "../exchange.ts";
import type { Eras } from "./eras.ts";
import { Home, type Idle } from "./home.ts";
import type { LegacyRole } from "./legacy.ts";
import { Listeners } from "./listeners.ts";
import { Pool } from "./pool.ts";
import { profileOf } from "./questions.ts";

/** Profiles of one principal, and processes of each. */
const PROFILES_MAX = 4;
const PROCESSES_MAX = 4;
const PRINCIPALS_MAX = 1_024;

interface Tenant {
  home: Home | undefined;
  pools: Map<string, Pool>;
  /** A change that one process tells of concerns who listens to another one. */
  listeners: Listeners;
}

export class Premises {
  private readonly tenants = new Map<string, Tenant>();
  private closed = false;

  constructor(
    private readonly eras: Eras,
    readonly idle: Idle,
  ) {}

  home(principal: string): Home {
    const tenant = this.tenant(principal);
    tenant.home ??= new Home(() => this.eras.start("modern"), this.idle);
    return tenant.home;
  }

  /** Faults: `exhausted`. */
  pool(principal: string, capabilities: Params): Pool {
    const tenant = this.tenant(principal);
    const profile = keyOf(profileOf(capabilities));
    const known = tenant.pools.get(profile);
    if (known) return known;
    if (tenant.pools.size >= PROFILES_MAX) this.makeRoom(tenant);
    const role = this.role(principal, capabilities);
    const pool = new Pool({
      start: () => this.eras.start("legacy", role),
      listeners: tenant.listeners,
      max: PROCESSES_MAX,
      idleMs: this.idle.idleMs,
      heedsListeners: true,
    });
    tenant.pools.set(profile, pool);
    return pool;
  }

  /** How a legacy process is opened for a principal's clients with these capabilities. */
  role(principal: string, capabilities: Params): LegacyRole {
    return { capabilities: profileOf(capabilities), listeners: this.tenant(principal).listeners };
  }

  close(): void {
    this.closed = true;
    for (const { home, pools } of this.tenants.values()) {
      home?.close();
      for (const pool of pools.values()) pool.close();
    }
    this.tenants.clear();
  }

  private tenant(principal: string): Tenant {
    if (this.closed) throw new Fault("cancelled", "the gateway is closing");
    const known = this.tenants.get(principal);
    if (known) return known;
    if (this.tenants.size >= PRINCIPALS_MAX) this.forgetIdle();
    const tenant: Tenant = { home: undefined, pools: new Map(), listeners: new Listeners() };
    this.tenants.set(principal, tenant);
    return tenant;
  }

  private makeRoom({ pools }: Tenant): void {
    const idle = [...pools].filter(([, pool]) => pool.idle).toSorted(([, a], [, b]) => a.lastUsedAt - b.lastUsedAt);
    const [oldest] = idle;
    if (!oldest) throw new Fault("exhausted", "too many kinds of clients use the server at the same time");
    const [profile, pool] = oldest;
    pools.delete(profile);
    pool.close();
  }

  private forgetIdle(): void {
    for (const [principal, { home, pools, listeners }] of this.tenants) {
      const idle =
        !home?.process && listeners.size === 0 && [...pools.values()].every((pool) => !pool.process && pool.idle);
      if (idle) this.tenants.delete(principal);
    }
    if (this.tenants.size >= PRINCIPALS_MAX)
      throw new Fault("exhausted", "too many users use the server at the same time");
  }
}

/** The same for the same, whatever the order of its members. */
function keyOf(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
}
