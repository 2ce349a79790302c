/**
 * Python packages are installed by the Python that is to run them: in a container of the base image, which has the network
 * and pip's settings, runs pip and nothing of a package, and is thrown away. Only what it has made goes into a new image,
 * by way of a container that is never started. So neither passwords nor caches nor logs of the installation are in an image.
 */
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { archiveOf, type Entry } from "../../docker/archive.ts";
import { commitContainer } from "../../docker/commit.ts";
import type { ContainerConfig } from "../../docker/container-config.ts";
import { at, createContainer, putArchive, readPath, startContainer, waitForEnd } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { type ImageInfo, inspectImage } from "../../docker/images.ts";
import { openLogs } from "../../docker/logs.ts";
import { buildLabels, buildName, removeAbandonedBuilds } from "./builds.ts";
import { discardContainer } from "./carrier.ts";
import { ensurePulled } from "./pull.ts";
import { APP, NOBODY, PYTHON_BYTECODE, PYTHON_HOME } from "./facts.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";
import { Locks } from "../locks.ts";
import { ownerLabel } from "../owner.ts";
import {
  ANSWER_BYTES_MAX,
  INSTALLER,
  type PythonAnswer,
  type PythonRequest,
  type PythonWish,
  readAnswer,
  Said,
} from "../pypi/installer.ts";
import { pipSettings } from "../pypi/settings.ts";
import type { Report } from "../runtime.ts";

/** What images with Python are built on, and what is known about versions. */
export class PythonSource {
  /** By reference: the version that the index named last. */
  readonly meant = new Map<string, { version: string; /** `performance.now()`. */ at: number }>();
  /** The same packages are installed once, whatever they are wanted for. */
  readonly locks = new Locks();

  /** The base image's name. */
  constructor(readonly base: string) {}
}

/** The image to build on. Faults: `unsupported` for a program of this machine, and those of a pull. */
export async function pythonBase(engine: Engine, name: string, { report, deadline }: Work): Promise<ImageInfo> {
  if (!name.startsWith("exec:")) return await ensurePulled(engine, name, report, deadline);
  throw new Fault("unsupported", `${name} is a program of this machine, not an image`, {
    hint: "LINKSPAN_PYTHON_IMAGE names an image, such as python:3.13-slim; exec: is for the process runtime",
  });
}

/** In the container that installs. */
const WORK = "/.linkspan-install";
const ANSWER = `${WORK}/answer.json`;
/** In the image: what was installed, with versions and digests. */
const INSTALLED = `${APP}/python.json`;
const MEMORY_BYTES = 1024 * 1024 * 1024;
/** No installation goes on for longer, also when nobody waits any more. */
const INSTALL_S = 900;

export interface Work {
  /** What is installed, for messages. */
  subject: string;
  report: Report;
  deadline: Deadline;
}

/** What pip says that the requirement means. Faults: those of `Said`, `unsupported` (no Python in the image), `timeout`. */
export async function resolveInside(
  engine: Engine,
  base: ImageInfo,
  requirement: string,
  work: Work,
): Promise<{ version: string; sha256: string }> {
  const wish = { action: "resolve", requirements: [requirement], system: false } as const;
  const { packages } = await withInstallation(engine, base, wish, work, async (_, answer) => answer);
  const [found] = packages;
  if (found) return found;
  throw new Fault("not-found", `the package index does not say which version ${requirement} is`);
}

export interface NewImage {
  /** Name and tag. */
  ref: string;
  labels: Record<string, string>;
  entrypoint: string[];
}

/** The image of a base with an environment in it, at `PYTHON_HOME`. `describe` says what it is called once it is installed. */
export async function buildEnvironment(
  engine: Engine,
  base: ImageInfo,
  wish: Omit<PythonWish, "action">,
  describe: (answer: PythonAnswer) => NewImage,
  work: Work,
): Promise<ImageInfo> {
  await removeAbandonedBuilds(engine, work.deadline);
  return await withInstallation(engine, base, { ...wish, action: "install" }, work, async (id, answer) => {
    work.report({ step: "image", detail: `${work.subject}: making the image` });
    const what = `copying ${work.subject} out of the container that installed it`;
    const request = { what, method: "GET", path: at(id, "archive"), query: { path: PYTHON_HOME } } as const;
    return await makeImage(engine, base, describe(answer), work.deadline, async (target) => {
      const bytes = Buffer.from(JSON.stringify(answer));
      await putArchive(engine, target, "/", archiveOf([APP_FOLDER, file(INSTALLED, bytes)]), work.deadline);
      const files = await engine.stream(request, work.deadline, work.deadline.signal);
      await putArchive(engine, target, APP, files, work.deadline);
    });
  });
}

/** A base with files added, as a new image; the container that it is made of is never started. */
export async function makeImage(
  engine: Engine,
  base: ImageInfo,
  { ref, labels, entrypoint }: NewImage,
  deadline: Deadline,
  fill: (container: string) => Promise<void>,
): Promise<ImageInfo> {
  const foreign = Object.keys(base.Config?.Labels ?? {}).map((key) => [key, ""]);
  const config = {
    Image: base.Id,
    Entrypoint: entrypoint,
    Cmd: [],
    User: NOBODY,
    WorkingDir: APP,
    Labels: { ...Object.fromEntries(foreign), ...labels, ...buildLabels() },
    HostConfig: { NetworkMode: "none" },
  };
  const id = await createContainer(engine, buildName(), config, deadline);
  try {
    await fill(id);
    const info = await inspectImage(engine, await commitContainer(engine, id, ref, deadline), deadline);
    if (info) return info;
    throw new Fault("engine-failed", `the image ${ref} is not there right after it was made`);
  } finally {
    await discardContainer(engine, id);
  }
}

/** What is installed in a container's image; undefined where it has no environment. */
export async function installedIn(
  engine: Engine,
  container: string,
  deadline: Deadline,
): Promise<PythonAnswer | undefined> {
  const found = await readPath(engine, container, INSTALLED, ANSWER_BYTES_MAX, deadline);
  return found && readAnswer(found.content.toString("utf8"));
}

async function withInstallation<T>(
  engine: Engine,
  base: ImageInfo,
  wish: PythonWish,
  { subject, report, deadline }: Work,
  work: (container: string, answer: PythonAnswer) => Promise<T>,
): Promise<T> {
  report({ step: wish.action, detail: subject });
  const id = await createContainer(engine, buildName(), installerConfig(base), deadline);
  try {
    await putArchive(engine, id, "/", archiveOf(installerFiles(wish, deadline)), deadline);
    await start(engine, id, base, deadline);
    const said = new Said(subject, report);
    // Read while it runs, for the progress; all of it is there once the log ends.
    const log = await openLogs(engine, id, { follow: true }, deadline, deadline.signal);
    for await (const { text } of log) said.hear(text);
    if ((await waitForEnd(engine, id, deadline)) !== 0) throw deadline.passed ? deadline.fault(subject) : said.fault();
    const answer = await readPath(engine, id, ANSWER, ANSWER_BYTES_MAX, deadline);
    return await work(id, readAnswer(answer?.content.toString("utf8") ?? ""));
  } finally {
    await discardContainer(engine, id);
  }
}

function installerConfig(base: ImageInfo): ContainerConfig {
  return {
    Image: base.Id,
    Entrypoint: ["python3", "-I", `${WORK}/install.py`, `${WORK}/request.json`],
    Cmd: [],
    User: "0:0",
    WorkingDir: WORK,
    // Nothing is made of this one: it can say, as other helpers do, whose it is.
    Labels: { [LABEL.managedBy]: MANAGED_BY, [LABEL.carrier]: "install", [LABEL.owner]: ownerLabel() },
    Healthcheck: { Test: ["NONE"] },
    HostConfig: {
      Memory: MEMORY_BYTES,
      MemorySwap: MEMORY_BYTES,
      PidsLimit: 256,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      Init: true,
      RestartPolicy: { Name: "no" },
      LogConfig: { Type: "json-file", Config: { "max-size": "2m", "max-file": "1" } },
    },
  };
}

function installerFiles(wish: PythonWish, deadline: Deadline): Entry[] {
  const { environment, files } = pipSettings(WORK);
  const request: PythonRequest = {
    ...wish,
    folder: PYTHON_HOME,
    work: WORK,
    answer: ANSWER,
    bytecode: PYTHON_BYTECODE,
    seconds: Math.min(INSTALL_S, Math.ceil(deadline.remainingMs / 1000)),
    environment: { ...environment, PIP_NO_CACHE_DIR: "1" },
  };
  return [
    APP_FOLDER,
    { kind: "folder", name: WORK.slice(1), mode: 0o700 },
    file(`${WORK}/install.py`, Buffer.from(INSTALLER)),
    file(`${WORK}/request.json`, Buffer.from(JSON.stringify(request))),
    ...[...files].map(([name, bytes]) => file(`${WORK}/${name}`, bytes)),
  ];
}

async function start(engine: Engine, id: string, base: ImageInfo, deadline: Deadline): Promise<void> {
  try {
    await startContainer(engine, id, deadline);
  } catch (cause) {
    if (!/executable file not found|no such file/i.test(Fault.from(cause).message)) throw cause;
    throw new Fault("unsupported", `the image ${base.RepoTags?.[0] ?? base.Id} has no python3`, {
      cause,
      hint: "LINKSPAN_PYTHON_IMAGE names the image that Python servers are built on, such as python:3.13-slim",
    });
  }
}

const APP_FOLDER = { kind: "folder", name: APP.slice(1) } as const;

function file(path: string, bytes: Uint8Array): Entry {
  return { kind: "bytes", name: path.slice(1), bytes };
}
