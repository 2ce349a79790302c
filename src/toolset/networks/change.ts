/** Tools that make networks and join containers to them. */
import { isIP } from "node:net";
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { ISOLATED_DRIVERS, NETWORK_OPTIONS, PRIVILEGED_DRIVERS } from "../../docker/network-rules.ts";
import { foreignLabels } from "../labels.ts";
import { output } from "../output.ts";
import { tool } from "../tool.ts";
import { containerId, findContainer, nameOf } from "../containers/common.ts";
import { findNetwork, networkFacts, networkId, networkName, networkOf } from "./common.ts";
import { isPrivateSubnet } from "../../docker/subnets.ts";

const driver = v.picklist(ISOLATED_DRIVERS);
const word = v.pipe(v.string(), v.maxLength(1024));
const words = v.record(word, word);
const address = v.pipe(
  v.string(),
  v.check((text) => isIP(text) !== 0, "expected an IP address"),
);
const subnet = v.pipe(
  v.string(),
  v.regex(/^[0-9a-fA-F.:]{2,45}\/\d{1,3}$/, "expected a subnet such as 10.9.0.0/24"),
  v.check(isPrivateSubnet, "expected a private subnet such as 10.9.0.0/24: others are the machine's own ways"),
);
const pool = v.strictObject({ Subnet: v.optional(subnet), IPRange: v.optional(subnet), Gateway: v.optional(address) });
const ipam = v.strictObject({
  Driver: v.optional(v.literal("default")),
  Config: v.optional(v.pipe(v.array(pool), v.maxLength(8)), []),
});
const orText = <S extends v.GenericSchema>(schema: S) => v.union([schema, v.pipe(v.string(), v.parseJson(), schema)]);

const created = v.object({ Id: v.string() });

export const createNetworkTool = tool({
  name: "docker_create_network",
  category: "networks",
  title: "Create a network",
  description:
    "Makes a network. With internal nothing outside is reached from it. Containers on one network find each other by name.",
  level: "moderate",
  time: "quick",
  input: v.strictObject({
    name: networkName,
    driver: v.optional(v.union([driver, v.picklist(PRIVILEGED_DRIVERS)]), "bridge"),
    options: v.optional(orText(words), {}),
    ipam: v.optional(v.pipe(orText(ipam), v.description('{"Config": [{"Subnet": "10.9.0.0/24"}]}'))),
    internal: v.optional(v.boolean(), false),
    labels: v.optional(orText(v.pipe(words, foreignLabels)), {}),
    enable_ipv6: v.optional(v.boolean(), false),
    attachable: v.optional(v.boolean(), false),
  }),
  output: output(networkFacts),
  example: { name: "backend", internal: true },
  async handle({ name, options, ...asked }, call) {
    const foreign = Object.keys(options).find((option) => !NETWORK_OPTIONS.has(option));
    if (foreign !== undefined || (!v.is(driver, asked.driver) && !call.settings.allowPrivileged)) {
      throw new Fault(
        "forbidden",
        foreign === undefined
          ? `the driver ${asked.driver} puts containers on the host's network`
          : `the option ${foreign} is not allowed`,
        {
          hint: `Allowed are ${[...NETWORK_OPTIONS].join(", ")} with bridge or overlay.`,
        },
      );
    }
    const body = {
      Name: name,
      CheckDuplicate: true,
      Driver: asked.driver,
      Internal: asked.internal,
      Attachable: asked.attachable,
      EnableIPv6: asked.enable_ipv6,
      Options: options,
      Labels: asked.labels,
      ...(asked.ipam ? { IPAM: asked.ipam } : {}),
    };
    const request = { what: `creating the network ${name}`, method: "POST", path: "/networks/create", body } as const;
    const { Id } = await (await call.engine()).call(request, created, call.deadline);
    return networkOf(await findNetwork(Id, call));
  },
  text: ({ name, id, subnets }) => `${name} (${id.slice(0, 12)}), ${subnets.join(", ") || "no subnet"}`,
});

const joined = output({ network: v.string(), container: v.string() });
/** An alias is a host name. */
const alias = v.pipe(v.string(), v.regex(/^[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,126}[a-zA-Z0-9])?$/, "expected a host name"));

export const connectContainerTool = tool({
  name: "docker_connect_container",
  category: "networks",
  title: "Connect a container to a network",
  description: "Puts a container on one more network, under its name and the aliases.",
  level: "moderate",
  time: "quick",
  input: v.strictObject({
    network_id: networkId,
    container_id: containerId,
    aliases: v.optional(v.pipe(v.array(alias), v.maxLength(64)), []),
    ipv4_address: v.optional(address),
    ipv6_address: v.optional(address),
    links: v.optional(
      v.pipe(v.array(v.pipe(v.string(), v.regex(/^[a-zA-Z0-9_.-]{1,128}(:[a-zA-Z0-9_.-]{1,128})?$/))), v.maxLength(64)),
      [],
    ),
  }),
  output: joined,
  example: { network_id: "backend", container_id: "web", aliases: ["www"] },
  async handle(
    { network_id, container_id, aliases, ipv4_address: IPv4Address, ipv6_address: IPv6Address, links },
    call,
  ) {
    const network = await findNetwork(network_id, call);
    const container = await findContainer(container_id, call);
    if (network.Driver === "host")
      throw new Fault("forbidden", "the host's own network is not given to a container", {
        hint: "Take another network.",
      });
    const IPAMConfig = { ...(IPv4Address ? { IPv4Address } : {}), ...(IPv6Address ? { IPv6Address } : {}) };
    const body = { Container: container.Id, EndpointConfig: { Aliases: aliases, Links: links, IPAMConfig } };
    const request = {
      what: `connecting ${container_id} to ${network_id}`,
      method: "POST",
      path: `/networks/${network.Id}/connect`,
      body,
    } as const;
    await (await call.engine()).act(request, call.deadline);
    return { network: network.Name, container: nameOf(container) };
  },
  text: ({ network, container }) => `${container} is on ${network}`,
});

export const disconnectContainerTool = tool({
  name: "docker_disconnect_container",
  category: "networks",
  title: "Disconnect a container from a network",
  description: "Takes a container off a network; docker_connect_container puts it back.",
  level: "moderate",
  time: "quick",
  input: v.strictObject({ network_id: networkId, container_id: containerId, force: v.optional(v.boolean(), false) }),
  output: joined,
  example: { network_id: "backend", container_id: "web" },
  async handle({ network_id, container_id, force: Force }, call) {
    const network = await findNetwork(network_id, call);
    const container = await findContainer(container_id, call);
    const body = { Container: container.Id, Force };
    const request = {
      what: `disconnecting ${container_id} from ${network_id}`,
      method: "POST",
      path: `/networks/${network.Id}/disconnect`,
      body,
    } as const;
    await (await call.engine()).act(request, call.deadline);
    return { network: network.Name, container: nameOf(container) };
  },
  text: ({ network, container }) => `${container} is off ${network}`,
});
