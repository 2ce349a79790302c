/** Destructive tools and docker_undo on a real engine: what was removed comes back as it was. */
import { afterAll, expect } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { type ContainerInfo, inspectContainer, removeContainer } from "../../src/docker/containers.ts";
import { inspectImage, removeImage } from "../../src/docker/images.ts";
import { inspectNetwork, type NetworkInfo, removeNetwork } from "../../src/docker/networks.ts";
import { inspectVolume, removeVolume } from "../../src/docker/volumes.ts";
import { ENGINE, engineTest } from "../support/engine.ts";
import { expectWorked } from "../support/proofs.ts";
import { busyboxImage } from "../support/images.ts";
import { type ToolsetClient, toolsetClient } from "../support/toolset-client.ts";

const prefix = `linkspan-test-undo-${process.pid}`;
const named = (suffix: string) => `${prefix}-${suffix}`;
/** One of its own: several runs may share an engine. */
const subnet = `10.${239 + (process.pid % 8)}.${Math.floor(process.pid / 8) % 256}.0/24`;
const label = { "linkspan.test": prefix };
const filters = { label: `linkspan.test=${prefix}` };
const DESTRUCTIVE = { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true" };
const deadline = () => Deadline.in(30_000);

afterAll(async () => {
  if (!ENGINE) return;
  for (const one of ["web", "old", "busy", "killed"]) await removeContainer(ENGINE, named(one), deadline());
  for (const one of ["net", "pruned"]) await removeNetwork(ENGINE, named(one), deadline());
  for (const one of ["data", "unused"]) await removeVolume(ENGINE, named(one), deadline());
  for (const tag of ["1", "2", "3"]) await removeImage(ENGINE, `${prefix}:${tag}`, deadline());
});

function engine() {
  if (!ENGINE) throw new Error("no engine");
  return ENGINE;
}

/** Without what is new each time: ids, times, addresses, and paths made from them. */
function normal(info: ContainerInfo | NetworkInfo | undefined): unknown {
  if (!info) throw new Error("it does not exist");
  const id = info.Id;
  const drop =
    /^(Id|Created|CreatedAt|StartedAt|FinishedAt|Pid|IPAddress|MacAddress|EndpointID|NetworkID|SandboxID|SandboxKey|Gateway|GraphDriver|HostPort|LogPath|Log|Containers|ResolvConfPath|HostnamePath|HostsPath|DNSNames)$/;
  return JSON.parse(JSON.stringify(info), (key, value) => {
    if (drop.test(key)) return undefined;
    return typeof value === "string" ? value.replaceAll(id, "ID").replaceAll(id.slice(0, 12), "ID") : value;
  });
}

/** What a client that cannot be asked does: once for the plan, once with its token. */
async function confirmed(session: ToolsetClient, tool: string, args: Record<string, unknown>) {
  const asked = await session.call(tool, args);
  expect([asked.isError, asked.structured.kind]).toEqual([true, "confirmation-required"]);
  return session.call(tool, { ...args, confirmation_token: asked.structured.confirmation_token });
}

engineTest("a container with its files, a volume with its files, a network: removed and back", async () => {
  await using session = await toolsetClient({ env: DESTRUCTIVE });
  const image = await busyboxImage(engine());
  const [container_id, network_id, volume_name] = [named("web"), named("net"), named("data")];
  await session.call("docker_create_network", {
    name: network_id,
    labels: label,
    ipam: { Config: [{ Subnet: subnet }] },
  });
  await session.call("docker_create_volume", { name: volume_name, labels: label });
  const run = await session.call("docker_run_container", {
    image,
    name: container_id,
    entrypoint: ["/bin/busybox"],
    command: [
      "sh",
      "-c",
      "echo in volume > /data/file; /bin/busybox mkdir /etc; echo changed > /etc/added; /bin/busybox sleep 600",
    ],
    environment: { SECRET: "hunter2" },
    volumes: [`${volume_name}:/data:rw`],
    network: network_id,
    ports: ["127.0.0.1:0:80"],
    labels: label,
    memory: "64m",
    restart_policy: "on-failure",
    health_check: { command: ["/bin/busybox", "true"], interval: "1s" },
  });
  expect(run.isError).toBeUndefined();
  await session.call("docker_wait_container", { container_id, condition: "healthy", timeout: 20 });
  const before = {
    container: await inspectContainer(engine(), container_id, deadline()),
    network: await inspectNetwork(engine(), network_id, deadline()),
  };
  const running = await session.call("docker_remove_container", { container_id });
  expect(running.structured.kind).toBe("conflict");
  const inUse = await session.call("docker_remove_volume", { volume_name });
  expect(inUse.structured.kind).toBe("conflict");

  const removed = await confirmed(session, "docker_remove_container", { container_id, force: true });
  expect(removed.structured).toMatchObject({ removed: [{ kind: "container", name: container_id }] });
  const volume = await confirmed(session, "docker_remove_volume", { volume_name });
  const network = await confirmed(session, "docker_remove_network", { network_id });
  expect(await inspectContainer(engine(), container_id, deadline())).toBeUndefined();
  expect(await inspectVolume(engine(), volume_name, deadline())).toBeUndefined();
  expect(JSON.stringify([removed, volume, network])).not.toContain("hunter2");

  const list = await session.call("docker_undo");
  expect(list.structured.bundles).toHaveLength(3);
  for (const { structured } of [network, volume, removed]) {
    const undone = await session.call("docker_undo", { id: structured.undo });
    expect([undone.text, undone.isError]).toEqual([undone.text, undefined]);
  }
  await session.call("docker_wait_container", { container_id, condition: "healthy", timeout: 20 });
  expect(normal(await inspectContainer(engine(), container_id, deadline()))).toEqual(normal(before.container));
  expect(normal(await inspectNetwork(engine(), network_id, deadline()))).toEqual(normal(before.network));
  const read = await session.call("docker_exec_command", {
    container_id,
    command: ["/bin/busybox", "cat", "/data/file", "/etc/added"],
  });
  expect(read.structured.stdout).toBe("in volume\nchanged\n");
  expect((await session.call("docker_undo")).structured.bundles).toEqual([]);
});

engineTest("an image by name and by its last name; undo tells when the name was given away", async () => {
  await using session = await toolsetClient({ env: DESTRUCTIVE });
  const build = (tag: string) =>
    session.call("docker_build_image", {
      tag,
      files: { Dockerfile: "FROM scratch\nCOPY a /\n", a: crypto.randomUUID() },
    });
  const [first, second] = [`${prefix}:1`, `${prefix}:2`];
  const built = await build(first);
  await session.call("docker_tag_image", { image: first, repository: prefix, tag: "2" });
  const name = await confirmed(session, "docker_remove_image", { image: second });
  expect(await inspectImage(engine(), first, deadline())).toBeDefined();
  const whole = await confirmed(session, "docker_remove_image", { image: first });
  expect(await inspectImage(engine(), String(built.structured.id), deadline())).toBeUndefined();
  await session.call("docker_undo", { id: whole.structured.undo });
  expect((await inspectImage(engine(), first, deadline()))?.Id).toBe(String(built.structured.id));
  await build(second);
  const late = await session.call("docker_undo", { id: name.structured.undo });
  expect(late.structured.remarks).toEqual([`${second} names another image by now`]);
});

engineTest("prunes: what the plan has shown, nothing that is in use", async () => {
  await using session = await toolsetClient({ env: DESTRUCTIVE });
  const image = await busyboxImage(engine());
  const sleeper = { image, entrypoint: ["/bin/busybox"], command: ["sleep", "600"], labels: label };
  await session.call("docker_create_volume", { name: named("unused"), labels: label });
  await session.call("docker_run_container", { ...sleeper, name: named("busy") });
  await session.call("docker_create_container", { ...sleeper, name: named("old") });
  const pruned = await confirmed(session, "docker_prune_containers", { filters });
  expect(pruned.structured.removed).toMatchObject([{ name: named("old") }]);
  const volumes = await confirmed(session, "docker_prune_volumes", { filters, all: true });
  expect(JSON.stringify(volumes.structured.removed)).toContain(named("unused"));
  expect(JSON.stringify(volumes.structured.removed)).not.toContain(`"${named("busy")}"`);
  expect((await session.call("docker_prune_volumes", { filters })).structured.removed).toEqual([]);
  expect((await inspectContainer(engine(), named("busy"), deadline()))?.State.Status).toBe("running");
  // One of the steps cannot be done: what was before it is kept, and the rest can be tried again.
  await session.call("docker_create_container", { ...sleeper, name: named("old") });
  const taken = await session.call("docker_undo", { id: pruned.structured.undo });
  expect([taken.structured.kind, taken.isError]).toEqual(["conflict", true]);
  await removeContainer(engine(), named("old"), deadline());
  expect((await session.call("docker_undo", { id: pruned.structured.undo })).isError).toBeUndefined();
  expect((await session.call("docker_undo", { id: volumes.structured.undo })).isError).toBeUndefined();
});

engineTest("backup and restore of a volume, and its undo", async () => {
  await using session = await toolsetClient({ env: DESTRUCTIVE });
  const volume_name = named("data");
  if (!(await inspectVolume(engine(), volume_name, deadline())))
    await session.call("docker_create_volume", { name: volume_name });
  const busy = await session.call("docker_stop_container", { container_id: named("web"), timeout: 0 });
  expect(busy.structured.state ?? busy.structured.kind).toMatch(/exited|not-found/);
  const backup = await session.call("docker_backup_volume", { volume_name, file: "data.tar.gz" });
  expect(backup.structured.bytes).toBeGreaterThan(0);
  const restored = await confirmed(session, "docker_restore_volume", { volume_name, file: "data.tar.gz" });
  expect(restored.structured).toMatchObject({ volume: volume_name, created: false });
  expect((await session.call("docker_undo", { id: restored.structured.undo })).isError).toBeUndefined();
  const archive = join(session.dataDir, "archives", "data.tar.gz");
  await writeFile(join(session.dataDir, "archives", "broken.tar.gz"), (await readFile(archive)).subarray(0, 100));
  const broken = await confirmed(session, "docker_restore_volume", { volume_name, file: "broken.tar.gz" });
  expect(broken.structured.kind).toBe("invalid");
  expect((await session.call("docker_undo")).structured.bundles).toEqual([]);
});

engineTest("a kill, and prunes of what has a label, which nothing else has to fear", async () => {
  await using session = await toolsetClient({ env: DESTRUCTIVE });
  const own = `${prefix}-prune`;
  const mine = { filters: { label: `linkspan.test=${own}` } };
  const labels = { "linkspan.test": own };
  const container_id = named("killed");
  const sleeper = { entrypoint: ["/bin/busybox"], command: ["sleep", "600"] };
  await session.call("docker_run_container", {
    ...sleeper,
    image: await busyboxImage(engine()),
    name: container_id,
    labels,
  });
  const killed = await confirmed(session, "docker_kill_container", { container_id });
  expect([killed.text, killed.structured["state"]]).toEqual([killed.text, "exited"]);
  await session.call("docker_create_network", {
    name: named("pruned"),
    labels,
    ipam: { Config: [{ Subnet: subnet.replace(/^10\.\d+/, `10.${200 + (process.pid % 8)}`) }] },
  });
  const Dockerfile = `FROM scratch\nLABEL linkspan.test=${own}\nCOPY Dockerfile /\n`;
  const image = `${prefix}:3`;
  await session.call("docker_build_image", { files: { Dockerfile }, tag: image });
  const back = async (pruned: { structured: Record<string, unknown> }) => {
    const undone = await session.call("docker_undo", { id: pruned.structured["undo"] });
    expect([undone.text, undone.isError]).toEqual([undone.text, undefined]);
  };
  const names = ({ structured }: { structured: Record<string, unknown> }) =>
    (structured["removed"] as { name: string }[]).map(({ name }) => name);
  const networks = await confirmed(session, "docker_prune_networks", mine);
  expect(names(networks)).toEqual([named("pruned")]);
  await back(networks);
  const images = await confirmed(session, "docker_prune_images", { ...mine, all: true });
  expect(names(images)).toEqual([image]);
  await back(images);
  const all = await confirmed(session, "docker_system_prune", { ...mine, all: true });
  expect(names(all)).toEqual([container_id, named("pruned"), image]);
  await back(all);
  expect((await inspectContainer(engine(), container_id, deadline()))?.State.Status).toBe("created");
});

for (const era of ["legacy", "modern"] as const) {
  engineTest(`a ${era} client that can ask its user: declined, then accepted`, async () => {
    const answers = [false, true];
    const asked: string[] = [];
    await using session = await toolsetClient({
      era,
      env: DESTRUCTIVE,
      elicit(message) {
        asked.push(message);
        return answers.shift() ?? false;
      },
    });
    const volume_name = named(`asked-${era}`);
    await session.call("docker_create_volume", { name: volume_name });
    const declined = await session.call("docker_remove_volume", { volume_name });
    expect(declined).toMatchObject({ isError: true, structured: { kind: "cancelled" } });
    expect(await inspectVolume(engine(), volume_name, deadline())).toBeDefined();
    const accepted = await session.call("docker_remove_volume", { volume_name });
    expect(accepted.structured).toMatchObject({ removed: [{ name: volume_name }] });
    expect(asked).toHaveLength(2);
    expect(asked[0]).toContain(volume_name);
    expect(await inspectVolume(engine(), volume_name, deadline())).toBeUndefined();
  });
}

engineTest("the tools that are shown here have worked", async () => expectWorked(import.meta.path));
