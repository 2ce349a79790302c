/** What the reaper sees of a Docker engine beside servers: networks of managers, and containers that are not ours. */
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { type ContainerInfo, inspectContainer, listContainers } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { inspectImage } from "../../docker/images.ts";
import { inspectNetwork, listNetworks, removeNetwork } from "../../docker/networks.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";
import type { Instance, Leftovers, OwnedNetwork } from "../runtime.ts";

/** Of tools that keep track of their containers themselves: removing one would only make them start another. */
const FOREIGN = /^(com\.docker\.(compose|swarm|stack)\.|io\.kubernetes\.|io\.podman\.compose\.)/;

export interface DockerAccess {
  engine(deadline: Deadline): Promise<Engine>;
  instanceOf(info: ContainerInfo): Instance;
  /** Whether the engine runs on this machine. */
  local: boolean;
}

export function dockerLeftovers({ engine: connect, instanceOf, local }: DockerAccess): Leftovers {
  return {
    async networks(deadline): Promise<OwnedNetwork[]> {
      const engine = await connect(deadline);
      const listed = await listNetworks(engine, { label: [`${LABEL.managedBy}=${MANAGED_BY}`] }, deadline);
      const found = await Promise.all(listed.map(({ Id }) => inspectNetwork(engine, Id, deadline)));
      return found.flatMap((network) => {
        if (!network) return [];
        const { Id: id, Name: name, Labels: labels, Containers: containers } = network;
        return [{ id, name, labels: labels ?? {}, users: Object.keys(containers ?? {}) }];
      });
    },

    async removeNetwork(id, deadline) {
      await removeNetwork(await connect(deadline), id, deadline);
    },

    async strangers(image, deadline) {
      if (!local) {
        throw new Fault(
          "unsupported",
          "the engine runs on another machine, and who uses its containers cannot be seen",
          {
            hint: "run linkspan cleanup --force on that machine",
          },
        );
      }
      const engine = await connect(deadline);
      // Not the engine's filter `ancestor`: that means images built on this one, too.
      const [known, listed] = await Promise.all([
        inspectImage(engine, image, deadline),
        listContainers(engine, {}, deadline),
      ]);
      const theirs = listed.filter(({ Labels: labels, Image, ImageID }) => {
        if (Image !== image && Image !== `${image}:latest` && ImageID !== known?.Id) return false;
        const names = Object.keys(labels ?? {});
        return labels?.[LABEL.managedBy] !== MANAGED_BY && !names.some((name) => FOREIGN.test(name));
      });
      const found = await Promise.all(theirs.map(({ Id }) => inspectContainer(engine, Id, deadline)));
      return found.flatMap((info) => (info ? [instanceOf(info)] : []));
    },
  };
}
