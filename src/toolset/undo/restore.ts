/** Makes again what a step of a recovery bundle says. What is there already under the same name is a conflict. */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { createGunzip } from "node:zlib";
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { at, inspectContainer, putArchive, removeContainer, startContainer } from "../../docker/containers.ts";
import { Deadline } from "../../base/deadline.ts";
import { encodeRef, inspectImage, splitRef } from "../../docker/images.ts";
import { inspectNetwork } from "../../docker/networks.ts";
import { readProgress } from "../../docker/progress.ts";
import { createService, inspectService } from "../../docker/services.ts";
import { inspectVolume, removeVolume } from "../../docker/volumes.ts";
import { BackupReader } from "../../model/backup-read.ts";
import { workOf } from "../created/common.ts";
import type { ToolCall } from "../tool.ts";
import { changePlaces, succeeds } from "./successor.ts";
import type { ContainerStep, ImageStep, NetworkStep, ServiceStep, UndoStep, VolumeStep } from "./steps.ts";

const CLEAN_MS = 20_000;
const created = v.object({ Id: v.string() });

/** Resolves with a remark on what is not as it was, if anything. */
export async function redo(step: UndoStep, folder: string, call: ToolCall): Promise<string | undefined> {
  switch (step.kind) {
    case "container":
      return redoContainer(step, folder, call);
    case "network":
      return redoNetwork(step, call);
    case "volume":
      return redoVolume(step, folder, call);
    case "image":
      return redoImage(step, folder, call);
    case "service":
      return redoService(step, call);
    case "created-server":
      await (await call.created()).restore(step.name, step.source, workOf(call));
      return undefined;
    case "saved-server":
      await (await call.created()).saved.restore(step.saved);
      return undefined;
    case "server":
      await (await call.servers()).start(step.name, undefined, { deadline: call.deadline });
      return undefined;
  }
}

async function redoContainer(step: ContainerStep, folder: string, call: ToolCall): Promise<string | undefined> {
  const engine = await call.engine();
  const { name } = step;
  const successor = await inspectContainer(engine, name, call.deadline);
  if (!successor) return makeContainer(step, folder, call);
  if (!succeeds(successor, step)) throw taken("container", name);
  return changePlaces(successor, () => makeContainer(step, folder, call), call);
}

async function makeContainer(step: ContainerStep, folder: string, call: ToolCall): Promise<string | undefined> {
  const engine = await call.engine();
  const { name, networks, image_id } = step;
  // Under its name where that still means the same.
  const named = typeof step.config["Image"] === "string" ? step.config["Image"] : image_id;
  const same = (await inspectImage(engine, named, call.deadline))?.Id === image_id;
  const config = { ...step.config, Image: same ? named : image_id };
  const [first, ...others] = networks;
  const NetworkingConfig = { EndpointsConfig: first ? { [first.name]: first.endpoint } : {} };
  const request = {
    what: `creating the container ${name}`,
    method: "POST",
    path: "/containers/create",
    query: { name },
    body: { ...config, NetworkingConfig },
  } as const;
  const { Id } = await engine.call(request, created, call.deadline);
  try {
    for (const { name: network, endpoint } of others) {
      const body = { Container: Id, EndpointConfig: endpoint };
      await engine.act(
        {
          what: `connecting ${name} to ${network}`,
          method: "POST",
          path: `/networks/${encodeURIComponent(network)}/connect`,
          body,
        },
        call.deadline,
      );
    }
    for (const { file, folder: target } of step.files)
      await putArchive(engine, Id, target, createReadStream(join(folder, file)).pipe(createGunzip()), call.deadline);
    if (step.running) await startContainer(engine, Id, call.deadline);
    if (step.paused)
      await engine.act({ what: `pausing ${name}`, method: "POST", path: at(Id, "pause") }, call.deadline);
  } catch (error) {
    await removeContainer(engine, Id, Deadline.in(CLEAN_MS)).catch(() => {});
    throw error;
  }
  const remarks = [
    ...(same ? [] : [`${named} is another image by now: ${name} has the one that it had`]),
    ...(step.deleted.length === 0
      ? []
      : [
          `${step.deleted.length} files that had been deleted in ${name} are there again: ${step.deleted.slice(0, 5).join(", ")}`,
        ]),
  ];
  return remarks.join("; ") || undefined;
}

async function redoNetwork({ name, config }: NetworkStep, call: ToolCall): Promise<undefined> {
  const engine = await call.engine();
  if (await inspectNetwork(engine, name, call.deadline)) throw taken("network", name);
  await engine.act(
    { what: `creating the network ${name}`, method: "POST", path: "/networks/create", body: config },
    call.deadline,
  );
}

async function redoService({ name, spec }: ServiceStep, call: ToolCall): Promise<string | undefined> {
  const engine = await call.engine();
  if (await inspectService(engine, name, call.deadline)) throw taken("service", name);
  const { warnings } = await createService(engine, spec, call.deadline);
  return warnings.length > 0 ? warnings.join("; ") : undefined;
}

async function redoVolume(
  { name, driver: Driver, options: DriverOpts, labels: Labels, file, replace = false }: VolumeStep,
  folder: string,
  call: ToolCall,
): Promise<undefined> {
  const engine = await call.engine();
  const found = await inspectVolume(engine, name, call.deadline);
  if (found && !replace) throw taken("volume", name);
  if (!found) {
    const body = { Name: name, Driver, DriverOpts, Labels };
    const what = `creating the volume ${name}`;
    await engine.act({ what, method: "POST", path: "/volumes/create", body }, call.deadline);
  }
  if (file === undefined) return;
  try {
    // Links that led out of it led out of it before.
    const reader = new BackupReader(createReadStream(join(folder, file)), { outwardLinks: true });
    await (await call.volumes()).replace(name, reader.parts(), call.signal);
  } catch (error) {
    if (!found) await removeVolume(engine, name, Deadline.in(CLEAN_MS)).catch(() => {});
    throw error;
  }
}

async function redoImage({ id, tags, file }: ImageStep, folder: string, call: ToolCall): Promise<string | undefined> {
  const engine = await call.engine();
  if (file !== undefined && !(await inspectImage(engine, id, call.deadline))) {
    const what = "loading an image";
    const archive = createReadStream(join(folder, file)).pipe(createGunzip());
    const stream = await engine.stream(
      { what, method: "POST", path: "/images/load", query: { quiet: true }, archive },
      call.deadline,
      call.signal,
    );
    await readProgress(stream, what, call.report);
  }
  const moved: string[] = [];
  for (const ref of tags) {
    const other = await inspectImage(engine, ref, call.deadline);
    if (other && other.Id !== id) moved.push(ref);
    else
      await engine.act(
        { what: `tagging ${ref}`, method: "POST", path: `/images/${encodeRef(id)}/tag`, query: splitRef(ref) },
        call.deadline,
      );
  }
  return moved.length > 0 ? `${moved.join(", ")} names another image by now` : undefined;
}

function taken(kind: string, name: string): Fault {
  return new Fault("conflict", `there is a ${kind} ${name} again`, {
    hint: "Rename or remove that one first; the bundle is kept.",
  });
}
