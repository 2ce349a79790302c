import { describe, expect } from "bun:test";
import { randomBytes } from "node:crypto";
import { createContainer, removeContainer, startContainer, waitForEnd } from "../../../src/docker/containers.ts";
import { createNetwork, inspectNetwork, removeNetwork } from "../../../src/docker/networks.ts";
import type { Address } from "../../../src/runtime/runtime.ts";
import { callOnce, openSession } from "../../support/contract-client.ts";
import { DockerBench } from "../../support/docker-bench.ts";
import { engine, engineTest } from "../../support/engine.ts";
import { busyboxImage, scratchImage } from "../../support/images.ts";
import { rejection } from "../../support/rejection.ts";

function tcp(addresses: Address[]): { host: string; port: number } {
  const [address] = addresses;
  if (address?.kind !== "tcp") throw new Error("it has no TCP address");
  return address;
}

/** Whether a container on the network can connect; it says so with its exit code. */
async function reachesFrom(bench: DockerBench, network: string, host: string, port: number): Promise<boolean> {
  const image = await busyboxImage(engine());
  const script = `/bin/busybox nc -w 1 ${host} ${port} </dev/null >/dev/null`;
  const config = { Image: image, Entrypoint: ["/bin/sh", "-c", script], HostConfig: { NetworkMode: network } };
  const id = await createContainer(
    engine(),
    `linkspan-test-${randomBytes(4).toString("hex")}`,
    config,
    bench.deadline(),
  );
  try {
    await startContainer(engine(), id, bench.deadline());
    return (await waitForEnd(engine(), id, bench.deadline())) === 0;
  } finally {
    await removeContainer(engine(), id, bench.deadline());
  }
}

async function gatewayOf(bench: DockerBench, network: string): Promise<string> {
  const found = await inspectNetwork(engine(), network, bench.deadline());
  const gateway = found?.IPAM?.Config?.[0]?.Gateway;
  if (!gateway) throw new Error(`the network ${network} has no gateway`);
  return gateway;
}

describe("who reaches a bridge", () => {
  engineTest("this machine does, at the container's own address, with the right token", async () => {
    await using bench = await DockerBench.open();
    const { addresses, token } = await bench.running({ image: await scratchImage(engine()) });
    expect(tcp(addresses).port).toBe(5465);
    expect(await callOnce(addresses, token, "where")).toMatchObject({ argv: ["/server"] });
    for (const wrong of ["", "wrong", `${token}x`]) {
      expect(await rejection(openSession(addresses, wrong))).toMatchObject({ kind: "unauthenticated" });
    }
  });

  engineTest("no neighbour does, on whatever network of ours or the engine's own", async () => {
    await using bench = await DockerBench.open();
    const image = await scratchImage(engine());
    const none = await bench.running({ image });
    const egress = await bench.running({ image, network: "egress" });
    const networks = [`linkspan-${bench.instance}-none`, `linkspan-${bench.instance}-egress`, "bridge"];
    const tries = [none, egress].flatMap(({ addresses }) =>
      networks.map((network) => ({ network, ...tcp(addresses) })),
    );
    const reached = await Promise.all(
      tries.map(async ({ network, host, port }) => ((await reachesFrom(bench, network, host, port)) ? [network] : [])),
    );
    expect(reached.flat()).toEqual([]);
  });

  engineTest("on a network of somebody else's, neighbours reach it, and need the token", async () => {
    await using bench = await DockerBench.open();
    const name = `linkspan-test-${bench.instance}`;
    const config = { Name: name, Driver: "bridge", Internal: false, Options: {}, Labels: {} };
    await createNetwork(engine(), config, bench.deadline());
    try {
      const { addresses, token, instance } = await bench.running({
        image: await scratchImage(engine()),
        network: name,
      });
      const { host, port } = tcp(addresses);
      expect(await reachesFrom(bench, name, host, port)).toBe(true);
      expect(await callOnce(addresses, token, "where")).toMatchObject({ argv: ["/server"] });
      await bench.runtime.remove(instance.id, bench.deadline());
    } finally {
      await removeNetwork(engine(), name, bench.deadline());
    }
  });

  engineTest("a server on the network none reaches nothing beyond this machine", async () => {
    await using bench = await DockerBench.open();
    await bench.created({ image: await scratchImage(engine()) });
    // A container on the engine's own network stands for the world outside.
    const outside = await bench.running({ image: await scratchImage(engine()), network: "bridge" });
    const { host, port } = tcp(outside.addresses);
    expect(await reachesFrom(bench, "bridge", host, port)).toBe(true);
    expect(await reachesFrom(bench, `linkspan-${bench.instance}-none`, host, port)).toBe(false);
  });

  engineTest(
    "where container addresses are out of reach, a port on loopback is published, and no container reaches it",
    async () => {
      await using bench = await DockerBench.open({ publish: "always" });
      const image = await scratchImage(engine());
      for (const network of ["none", "egress"]) {
        const { addresses, token, instance } = await bench.running({ image, network });
        const { host, port } = tcp(addresses);
        expect(host).toBe("127.0.0.1");
        expect(await callOnce(addresses, token, "where")).toMatchObject({ argv: ["/server"] });
        const { HostConfig } = await bench.description(instance.id);
        expect(HostConfig["PortBindings"]).toEqual({ "5465/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] });
        const gateway = await gatewayOf(bench, HostConfig.NetworkMode);
        expect(await reachesFrom(bench, HostConfig.NetworkMode, gateway, port)).toBe(false);
      }
    },
  );

  engineTest("the host's own network and another container's are refused", async () => {
    await using bench = await DockerBench.open();
    const image = await scratchImage(engine());
    expect(await rejection(bench.created({ image, network: "host" }))).toMatchObject({ kind: "invalid" });
    expect(await rejection(bench.created({ image, network: "linkspan-test-nothing" }))).toMatchObject({
      kind: "not-found",
    });
  });
});
