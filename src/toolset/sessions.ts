/** Sessions of HTTP clients: so many, and none that has been silent for long. */

const SESSIONS_MAX = 64;
const IDLE_MS = 30 * 60_000;
const SWEEP_MS = 60_000;

interface Session<T> {
  transport: T;
  /** Monotonic, ms. */
  usedAt: number;
  /** Its stream of events is open: the client is there. */
  listens: boolean;
}

export class Sessions<T extends { close(): Promise<void> }> {
  private readonly byId = new Map<string, Session<T>>();
  private readonly sweeping = setInterval(() => this.sweep(), SWEEP_MS).unref();

  /** The one that was used longest ago gives its place up. */
  add(id: string, transport: T): void {
    if (this.byId.size >= SESSIONS_MAX) {
      const [oldest] = [...this.byId].toSorted(([, a], [, b]) => a.usedAt - b.usedAt);
      if (oldest) void this.end(oldest[0]);
    }
    this.byId.set(id, { transport, usedAt: performance.now(), listens: false });
  }

  use(id: string, { method, signal }: Request): T | undefined {
    const found = this.byId.get(id);
    if (!found) return undefined;
    found.usedAt = performance.now();
    if (method === "GET") {
      found.listens = true;
      signal.addEventListener("abort", () => (found.listens = false), { once: true });
    }
    return found.transport;
  }

  drop(id: string | undefined): void {
    if (id !== undefined) this.byId.delete(id);
  }

  async close(): Promise<void> {
    clearInterval(this.sweeping);
    await Promise.all([...this.byId.keys()].map((id) => this.end(id)));
  }

  private async end(id: string): Promise<void> {
    const found = this.byId.get(id);
    this.byId.delete(id);
    await found?.transport.close();
  }

  private sweep(): void {
    const since = performance.now() - IDLE_MS;
    for (const [id, { usedAt, listens }] of this.byId) if (usedAt < since && !listens) void this.end(id);
  }
}
