/** Clients on lines that this process answers: which of the servers they want, and the channel to it. */
import { LineEnd, type LineWire } from "../../transport/line-end.ts";
import type { Gateways, Upstream } from "../exchange.ts";
import { LineChannel } from "./lines.ts";
import type { Seal } from "./seal.ts";

/** What a client says when it comes (docs/wire.md). */
export type Attach = ConstructorParameters<typeof LineEnd>[1];

/** Whoever can open the manager's own socket, or knows its token, is the user that it belongs to. */
const PRINCIPAL = "local";

/** Faults: `not-found` for an unknown server or group. */
export function receiveGuest(gateways: Gateways, seal: Seal, attach: Attach, wire: LineWire): LineEnd {
  const { name, upstream } = wanted(gateways, attach);
  const end = new LineEnd(wire, attach);
  const carrier = {
    write: (text: string) => end.send(text),
    pause: () => end.pause(),
    resume: () => end.resume(),
    end: () => end.end(),
  };
  const channel = new LineChannel({ upstream, seal, name, principal: PRINCIPAL, carrier });
  end.open({
    line: (text) => channel.receive(text),
    drained: () => channel.drained(),
    finished: () => channel.finish(),
    closed: () => void channel.close(),
  });
  return end;
}

function wanted(gateways: Gateways, { server = "*", group }: Attach): { name: string; upstream: Upstream } {
  if (server !== "*") return { name: `server:${server}`, upstream: gateways.one(server) };
  return { name: `all:${group ?? ""}`, upstream: gateways.all({ group }) };
}
