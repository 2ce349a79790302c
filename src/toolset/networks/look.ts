/** Tools that look at networks. */
import * as v from "valibot";
import { listNetworks } from "../../docker/networks.ts";
import { filterLists, filters } from "../filters.ts";
import { inOrder, output, page, paged, paging } from "../output.ts";
import { tool } from "../tool.ts";
import { findNetwork, networkFacts, networkId, networkOf } from "./common.ts";

export const listNetworksTool = tool({
  name: "docker_list_networks",
  category: "networks",
  title: "List networks",
  description: "The engine's networks: id, name, driver, subnets, labels.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ filters, ...paging }),
  output: output({ networks: v.array(v.object(networkFacts)), ...paged }),
  example: { filters: { driver: "bridge" } },
  async handle({ filters: asked, ...paging }, call) {
    const found = await listNetworks(await call.engine(), filterLists(asked), call.deadline);
    const { items, ...rest } = page(
      inOrder(found, ({ Name, Id }) => `${Name} ${Id}`),
      paging,
    );
    return { networks: items.map(networkOf), ...rest };
  },
  text: ({ networks, total }) =>
    [
      `${total} networks`,
      ...networks.map(
        ({ id, name, driver, subnets }) => `${id.slice(0, 12)}  ${name}  ${driver}  ${subnets.join(", ")}`,
      ),
    ].join("\n"),
});

export const inspectNetworkTool = tool({
  name: "docker_inspect_network",
  category: "networks",
  title: "Inspect a network",
  description:
    "Everything the engine knows about one network, with the running containers that are on it and their addresses.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ network_id: networkId }),
  output: output({
    ...networkFacts,
    network: v.pipe(v.record(v.string(), v.unknown()), v.description("The engine's own answer")),
  }),
  example: { network_id: "bridge" },
  async handle({ network_id }, call) {
    const network = await findNetwork(network_id, call);
    return { ...networkOf(network), network };
  },
  text: ({ name, driver, subnets, network }) =>
    `${name}: ${driver}, ${subnets.join(", ") || "no subnet"}, ${Object.keys(network["Containers"] ?? {}).length} containers`,
});
