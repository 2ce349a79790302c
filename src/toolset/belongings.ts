/** What one client of a toolset has for itself: logins to registries, and the servers that it has created. */
import type { Workshop } from "../create/workshop.ts";
import { Logins } from "./registry/logins.ts";

/** Clients with something of their own; whoever was here longest ago loses it. */
const OWNERS_MAX = 64;

export class Belongings {
  readonly logins = new Logins();
  private making: Promise<Workshop> | undefined;

  constructor(private readonly make: () => Promise<Workshop>) {}

  /** Made at the first use, as it brings an MCP client. */
  created(): Promise<Workshop> {
    return (this.making ??= this.make());
  }

  /** Ends the servers. Never throws. */
  async close(): Promise<void> {
    await (await this.making?.catch(() => undefined))?.close();
  }
}

/** By the name of who has them: a session, or what a client without one calls itself. */
export class Owners {
  private readonly byName = new Map<string, Belongings>();

  constructor(private readonly make: () => Promise<Workshop>) {}

  of(name: string): Belongings {
    const found = this.byName.get(name) ?? new Belongings(this.make);
    this.byName.delete(name);
    this.byName.set(name, found);
    const [oldest] = this.byName.keys();
    if (this.byName.size > OWNERS_MAX && oldest !== undefined) void this.leave(oldest);
    return found;
  }

  /** Whoever it was has gone. Never throws. */
  async leave(name: string): Promise<void> {
    const found = this.byName.get(name);
    this.byName.delete(name);
    await found?.close();
  }

  /** Never throws. */
  async close(): Promise<void> {
    await Promise.all([...this.byName.keys()].map((name) => this.leave(name)));
  }
}
