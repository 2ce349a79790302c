/**
 * An image with the bridge baked in, for where the bridge's volume cannot be: other machines, registries, plain
 * `docker run`. The files are those of the volume, at the same place; the image's own entrypoint follows the bridge's.
 */
import * as v from "valibot";
import { BRIDGE_ENV, BRIDGE_PORT } from "../../../bridge/wire.ts";
import { dataDir } from "../../base/data-dir.ts";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { archiveOf, entriesOf } from "../../docker/archive.ts";
import { commitContainer } from "../../docker/commit.ts";
import type { ContainerConfig } from "../../docker/container-config.ts";
import { createContainer, putArchive, removeContainer } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { nameOfRef } from "../../model/ref-name.ts";
import { serverSpec } from "../../model/server-spec.ts";
import type { BridgeFiles } from "./bridge-files.ts";
import type { ImageFacts } from "./create.ts";
import { ensureImage } from "./images.ts";
import { splitEnvironment } from "./environment.ts";
import { PythonSource } from "./python-build.ts";
import { BRIDGE_HOME, HEALTH_COMMAND, LAUNCH } from "./inject.ts";
import { LABEL } from "../labels.ts";
import { PYTHON_IMAGE } from "../pypi/ref.ts";
import type { Report } from "../runtime.ts";

export interface WrapRequest {
  /** An image, `npm:PACKAGE[@VERSION]` or `pypi:PACKAGE[@VERSION]`. */
  image: string;
  tag: string;
  /** Instead of the image's own arguments. */
  args: string[] | undefined;
  /** Where the container will find the token; absent: whoever reaches the port is served. */
  tokenFile: string | undefined;
}

/** Resolves with the new image's id. Faults: `invalid` where there is nothing to run, or a bridge in it already. */
export async function wrapImage(
  engine: Engine,
  files: BridgeFiles,
  request: WrapRequest,
  report: Report,
  deadline: Deadline,
): Promise<string> {
  const { image, tag, args } = request;
  const spec = v.parse(serverSpec, { name: nameOfRef(image), image });
  const base = process.env["LINKSPAN_PYTHON_IMAGE"] || PYTHON_IMAGE;
  const sources = { dataDir: dataDir(), python: new PythonSource(base) };
  const facts = await ensureImage(engine, spec, sources, report, deadline);
  if (facts.entrypoint[0] === LAUNCH[0] && facts.entrypoint.includes("bridge")) {
    throw new Fault("invalid", `${image} has a bridge in it already`, {
      hint: "Wrap the image that it was made from.",
    });
  }
  if (facts.entrypoint.length + (args ?? facts.cmd).length === 0) {
    throw new Fault("invalid", `the image ${image} says nothing about what to run`, { hint: "Name it after --" });
  }
  const id = await createContainer(engine, undefined, wrapped(facts, request), deadline);
  try {
    report({ step: "wrap", detail: `copying the bridge into ${tag}` });
    const home = BRIDGE_HOME.slice(1);
    const loader = (await entriesOf(files.loader)).map((entry) => ({ ...entry, name: `${home}/${entry.name}` }));
    const executable = { kind: "file", name: `${home}/linkspan`, path: files.executable, mode: 0o755 } as const;
    const folder = { kind: "folder", name: home } as const;
    await putArchive(engine, id, "/", archiveOf([folder, ...loader, executable]), deadline);
    return await commitContainer(engine, id, tag, deadline);
  } finally {
    await removeContainer(engine, id, deadline);
  }
}

function wrapped(facts: ImageFacts, { image, args, tokenFile }: WrapRequest): ContainerConfig {
  const access = tokenFile === undefined ? ["--insecure"] : ["--token-file", tokenFile];
  const { bridge } = splitEnvironment(facts.env, {}, facts.ownEnv);
  return {
    Image: facts.id,
    Entrypoint: [...LAUNCH, "bridge", "--listen", `0.0.0.0:${BRIDGE_PORT}`, ...access, "--", ...facts.entrypoint],
    Cmd: args ?? facts.cmd,
    Env: Object.entries({ ...bridge, ...BRIDGE_ENV }).map(([name, value]) => `${name}=${value}`),
    ...(facts.user === "" ? {} : { User: facts.user }),
    ...(facts.workdir === "" ? {} : { WorkingDir: facts.workdir }),
    Labels: { ...withoutOurs(facts.labels), "linkspan.wrapped": image },
    Healthcheck: { Test: HEALTH_COMMAND },
    StopSignal: "SIGTERM",
    ExposedPorts: { [`${BRIDGE_PORT}/tcp`]: {} },
    HostConfig: { NetworkMode: "none" },
  };
}

/** An image of ours is found again by its labels: the wrapped one is the user's, and must not be taken for it. */
function withoutOurs(labels: Record<string, string>): Record<string, string> {
  const ours = Object.keys(labels).filter((key) => key === LABEL.managedBy || key.startsWith("linkspan."));
  return Object.fromEntries(ours.map((key) => [key, ""]));
}
