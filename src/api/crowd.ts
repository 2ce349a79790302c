/**
 * Keeps the API's port shut while this process has hardly any descriptors left. Bun's server has no cap on its connections,
 * and at the system's own its accept loop spins. Who is connected is served on; whoever comes is refused by the system.
 */
import { Descriptors } from "../base/descriptors.ts";
import type { Deadline } from "../base/deadline.ts";
import type { SocketChannel } from "./mcp/socket.ts";

export type Server = Bun.Server<SocketChannel | undefined>;

export interface CrowdOptions {
  /** The same port each time. */
  listen(): Server;
  /** Hears when the port is shut, and when it is open again. */
  onChange(open: boolean): void;
  descriptors?: { readonly scarce: boolean };
}

const POLL_MS = 250;

export class CrowdedPort {
  /** The last one is open, unless it is `shut`; those before still answer what they were asked. */
  private readonly servers = new Set<Server>();
  private readonly timer: ReturnType<typeof setInterval>;
  private open: Server | undefined;

  constructor(private readonly options: CrowdOptions) {
    const descriptors = options.descriptors ?? new Descriptors();
    this.reopen();
    this.timer = setInterval(() => {
      if (this.open && descriptors.scarce) this.shut(this.open);
      else if (!this.open && !descriptors.scarce) this.tryAgain();
    }, POLL_MS);
  }

  get pending(): number {
    let sum = 0;
    for (const server of this.servers) sum += server.pendingRequests;
    return sum;
  }

  /** Lets what is under way end until the deadline, then cuts it. Idempotent. */
  async close(deadline: Deadline): Promise<void> {
    clearInterval(this.timer);
    this.open = undefined;
    const ended = [...this.servers].map((server) => endServer(server, deadline));
    this.servers.clear();
    await Promise.all(ended);
  }

  private shut(server: Server): void {
    this.open = undefined;
    void server.stop(false).then(() => this.servers.delete(server));
    this.options.onChange(false);
  }

  private tryAgain(): void {
    try {
      this.reopen();
      this.options.onChange(true);
    } catch {
      // Somebody has taken the port meanwhile, or the last descriptors have gone: the next look may find it free.
    }
  }

  private reopen(): void {
    this.open = this.options.listen();
    this.servers.add(this.open);
  }
}

/** Lets requests under way end until the deadline, then cuts them. */
export async function endServer(server: Server, deadline: Deadline): Promise<void> {
  await deadline.race("the end of requests", server.stop(false)).catch(() => server.stop(true));
}
