/** Clients that ask for much and read nothing: on the TCP port, at REST and at a bridge. What they cost is bounded. */
import { Callers, type Figures } from "./callers.ts";
import { Ground, memoryOf } from "./ground.ts";
import { PLAIN } from "./neighbours.ts";

export interface DeafAsked {
  /** At the TCP port; they come again as soon as they are cut. */
  clients: number;
  /** Of the events of the manager and of a server's log, over REST. */
  streams: number;
  ms: number;
}

export interface DeafOutcome {
  /** Connections that were cut because nothing was taken. */
  cut: number;
  /** MiB above what there was before, at the most. */
  manager: number;
  /** Of the bridge that all of them are on. */
  bridge: number;
  witness: Figures;
}

/** Writes as fast as it is read: each line a valid notification. */
const LINE = JSON.stringify({ jsonrpc: "2.0", method: "notifications/message", params: { data: "y".repeat(1000) } });
const LOOK_MS = 100;

export async function deaf(asked: DeafAsked): Promise<DeafOutcome> {
  await using ground = await Ground.open();
  await ground.start("plain", PLAIN);
  const [other = 0] = await ground.bridges();
  await ground.start("flood", { image: "exec:yes", args: [LINE] });
  const bridge = (await ground.bridges()).find((pid) => pid !== other) ?? 0;
  await using witness = await Callers.steady(ground, ["plain"], 20);
  const before = { manager: memoryOf(ground.pid), bridge: memoryOf(bridge) };
  const most = { manager: 0, bridge: 0 };
  const until = performance.now() + asked.ms;
  const clients = Array.from({ length: asked.clients }, () => listen(ground, until));
  const gone = new AbortController();
  const streams = Array.from({ length: asked.streams }, (_, at) => {
    const path = at % 2 === 0 ? "/events?follow=true&limit=1000" : "/servers/plain/logs?follow=true";
    const headers = { authorization: `Bearer ${ground.token}` };
    return fetch(`${ground.restUrl}${path}`, { headers, signal: gone.signal }).catch(() => undefined);
  });
  while (performance.now() < until) {
    await Bun.sleep(LOOK_MS);
    most.manager = Math.max(most.manager, memoryOf(ground.pid));
    most.bridge = Math.max(most.bridge, memoryOf(bridge));
  }
  const cut = (await Promise.all(clients)).reduce((sum, count) => sum + count, 0);
  gone.abort();
  await Promise.all(streams);
  return {
    cut,
    manager: most.manager - before.manager,
    bridge: most.bridge - before.bridge,
    witness: await witness.figures(),
  };
}

/** Attaches and reads nothing, again and again until the time is over; how often it was cut. */
async function listen(ground: Ground, until: number): Promise<number> {
  for (let cut = 0; ; cut += 1) {
    const ended = Promise.withResolvers<void>();
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: ground.tcpPort,
      socket: { data: () => {}, close: () => ended.resolve(), error: () => ended.resolve() },
    });
    socket.write(ground.attach("flood"));
    socket.pause();
    await Promise.race([ended.promise, Bun.sleep(until - performance.now())]);
    if (performance.now() >= until) {
      socket.terminate();
      return cut;
    }
  }
}
