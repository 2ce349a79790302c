/** How the containers of an engine are reached: at their own addresses, or through a port that the engine publishes. */
import { isIP } from "node:net";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { type Endpoint, type Environment, formatEndpoint, isLocal } from "../../docker/endpoint.ts";
import type { Engine } from "../../docker/engine.ts";
import { listNetworks } from "../../docker/networks.ts";
import { isDialable } from "./networks.ts";

const LOOPBACK = "127.0.0.1";

export class Reach {
  constructor(
    private readonly endpoint: Endpoint,
    private readonly env: Environment,
    private readonly publish: "auto" | "always",
  ) {}

  /** Whether container addresses may be within reach at all; each network tells for itself. */
  get mayDial(): boolean {
    return this.publish !== "always" && isLocal(this.endpoint) && process.platform === "linux";
  }

  /** Whether the engine sees the files of this machine. */
  get sharesFiles(): boolean {
    return isLocal(this.endpoint);
  }

  /** Whether some network of the engine is one of this machine's. */
  async canDial(engine: Engine, deadline: Deadline): Promise<boolean> {
    return this.mayDial && (await listNetworks(engine, { driver: ["bridge"] }, deadline)).some(isDialable);
  }

  /** Where a port is published: an engine on another machine must be told, because its loopback is not ours. */
  publishAddress(): string {
    const asked = this.env["LINKSPAN_PUBLISH_ADDRESS"];
    if (asked && isIP(asked) === 0) throw new Fault("usage", `LINKSPAN_PUBLISH_ADDRESS is not an IP address: ${asked}`);
    if (asked) return asked;
    if (isLocal(this.endpoint)) return LOOPBACK;
    throw new Fault("unsupported", `the containers of ${formatEndpoint(this.endpoint)} cannot be dialled from here`, {
      hint: "set LINKSPAN_PUBLISH_ADDRESS to an address of the engine's machine that this machine reaches",
    });
  }
}
