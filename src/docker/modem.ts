/** The HTTP client for an endpoint: dockerode's modem, which knows sockets, named pipes and TLS. */
import Docker from "dockerode";
import type { Deadline } from "../base/deadline.ts";
import type { Fault } from "../base/fault.ts";
import type { Endpoint } from "./endpoint.ts";
import { SshTunnel } from "./ssh.ts";

/** A connection of its own for each call: one that is kept may be dead already, as all are after a restart of the engine. */
const EACH_ITS_OWN = { headers: { Connection: "close" } };

export interface Way {
  at(api: string | undefined): Docker;
  /** Why there is no way, where more is known than a connection that was cut. */
  problem(): Fault | undefined;
}

/** Faults: those of a way through SSH. */
export async function wayTo(endpoint: Endpoint, deadline: Deadline): Promise<Way> {
  if (endpoint.kind !== "ssh") return { at: (api) => dockerAt(endpoint, api), problem: () => undefined };
  const tunnel = await SshTunnel.to(endpoint, deadline);
  return { at: (api) => dockerAt({ kind: "socket", path: tunnel.path }, api), problem: () => tunnel.problem };
}

function dockerAt(endpoint: Exclude<Endpoint, { kind: "ssh" }>, api: string | undefined): Docker {
  const common = { ...EACH_ITS_OWN, ...(api === undefined ? {} : { version: `v${api}` }) };
  // An empty host keeps the modem from reading DOCKER_HOST a second time.
  if (endpoint.kind === "socket") return new Docker({ ...common, host: "", socketPath: endpoint.path });
  const { ca, cert, key } = endpoint.tls ?? {};
  const tls = { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
  return new Docker({
    ...common,
    host: endpoint.host,
    port: endpoint.port,
    protocol: endpoint.tls ? "https" : "http",
    ...tls,
  });
}
