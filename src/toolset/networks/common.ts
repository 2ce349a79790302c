/** What the tools about networks share. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { inspectNetwork, type NetworkInfo } from "../../docker/networks.ts";
import type { ToolCall } from "../tool.ts";

export const networkName = v.pipe(
  v.string(),
  v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/, "expected letters, digits, _ . and -, a letter or digit first"),
);
export const networkId = v.pipe(networkName, v.description("The network's name or id"));

/** Faults: `not-found`. */
export async function findNetwork(ref: string, call: ToolCall): Promise<NetworkInfo> {
  const found = await inspectNetwork(await call.engine(), ref, call.deadline);
  if (found) return found;
  throw new Fault("not-found", `there is no network ${ref}`, { hint: "docker_list_networks shows those that exist." });
}

export const networkFacts = {
  id: v.string(),
  name: v.string(),
  driver: v.string(),
  internal: v.pipe(v.boolean(), v.description("Nothing outside is reached from it")),
  subnets: v.array(v.string()),
  labels: v.record(v.string(), v.string()),
};

export function networkOf({ Id: id, Name: name, Driver: driver, Internal: internal, IPAM, Labels }: NetworkInfo) {
  const subnets = (IPAM?.Config ?? []).flatMap(({ Subnet }) => (Subnet ? [Subnet] : []));
  return { id, name, driver, internal, subnets, labels: Labels ?? {} };
}
