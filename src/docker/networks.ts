/** The engine's network calls. */
import * as v from "valibot";
import type { Deadline } from "../base/deadline.ts";
import { type Filters, orAbsent } from "./containers.ts";
import type { Engine } from "./engine.ts";

const stringMap = v.optional(v.nullable(v.record(v.string(), v.string())));

const networkInfo = v.looseObject({
  Id: v.string(),
  Name: v.string(),
  Created: v.optional(v.string(), ""),
  Driver: v.string(),
  Internal: v.optional(v.boolean(), false),
  Labels: stringMap,
  Options: stringMap,
  /** Of containers that run; told by `inspectNetwork` only. */
  Containers: v.optional(v.nullable(v.record(v.string(), v.unknown()))),
  IPAM: v.optional(
    v.looseObject({
      Config: v.optional(
        v.nullable(v.array(v.looseObject({ Subnet: v.optional(v.string()), Gateway: v.optional(v.string()) }))),
      ),
    }),
  ),
});
export type NetworkInfo = v.InferOutput<typeof networkInfo>;

export interface NetworkConfig {
  Name: string;
  Driver: string;
  Internal: boolean;
  Options: Record<string, string>;
  Labels: Record<string, string>;
  Attachable?: boolean;
  EnableIPv6?: boolean;
  IPAM?: { Config: { Subnet?: string; IPRange?: string; Gateway?: string }[] };
}

/** Makes a network; `conflict` where the name is taken. Engines check that only as well as they can: see `findNetworks`. */
export async function createNetwork(engine: Engine, config: NetworkConfig, deadline: Deadline): Promise<string> {
  const request = {
    what: `creating the network ${config.Name}`,
    method: "POST",
    path: "/networks/create",
    body: { ...config, CheckDuplicate: true },
  } as const;
  return (await engine.call(request, v.object({ Id: v.string() }), deadline)).Id;
}

export async function inspectNetwork(
  engine: Engine,
  ref: string,
  deadline: Deadline,
): Promise<NetworkInfo | undefined> {
  const path = `/networks/${encodeURIComponent(ref)}`;
  return orAbsent(engine.call({ what: `inspecting the network ${ref}`, method: "GET", path }, networkInfo, deadline));
}

export async function listNetworks(engine: Engine, filters: Filters, deadline: Deadline): Promise<NetworkInfo[]> {
  const query = { filters: JSON.stringify(filters) };
  return engine.call(
    { what: "listing networks", method: "GET", path: "/networks", query },
    v.array(networkInfo),
    deadline,
  );
}

/** Removing what is gone is no error; one in use is a `forbidden` or `conflict` fault, as the engine says it. */
export async function removeNetwork(engine: Engine, id: string, deadline: Deadline): Promise<void> {
  await orAbsent(
    engine.act(
      { what: `removing the network ${id}`, method: "DELETE", path: `/networks/${encodeURIComponent(id)}` },
      deadline,
    ),
  );
}
