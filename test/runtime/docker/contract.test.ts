import { join } from "node:path";
import { Deadline } from "../../../src/base/deadline.ts";
import { inspectContainer, listContainers, removeContainer, signalContainer } from "../../../src/docker/containers.ts";
import { listImages, removeImage } from "../../../src/docker/images.ts";
import { listNetworks } from "../../../src/docker/networks.ts";
import { LABEL } from "../../../src/runtime/labels.ts";
import { engine, ENGINE, engineTest } from "../../support/engine.ts";
import { until } from "../../support/until.ts";
import { runtimeContract } from "../contract.ts";

const deadline = () => Deadline.in(30_000);

// An image of an earlier run has the same package and version, but maybe another server in it.
if (ENGINE) {
  const old = await listImages(ENGINE, ["linkspan.npm.package=linkspan-contract-server"], deadline());
  for (const { Id } of old) await removeImage(ENGINE, Id, deadline()).catch(() => {});
}

runtimeContract({
  kind: "docker",
  module: join(import.meta.dir, "../../support/docker-subject.ts"),
  test: engineTest,
  timeoutMs: 60_000,
  killOutside: async ({ instance }) => {
    await signalContainer(engine(), instance.id, "SIGKILL", deadline());
  },
  removeOutside: async ({ instance }) => {
    await removeContainer(engine(), instance.id, deadline());
    await until("the removal", async () => !(await inspectContainer(engine(), instance.id, deadline())));
  },
  leftovers: async ({ instance }) => {
    const mine = { label: [`${LABEL.instance}=${instance}`] };
    const containers = await listContainers(engine(), mine, deadline());
    const networks = await listNetworks(engine(), mine, deadline());
    return [...containers.map(({ Id }) => Id), ...networks.map(({ Name }) => Name)];
  },
});
