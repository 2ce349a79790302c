/** What of an image matters to the container that a server gets of it. */
import type { ImageInfo } from "../../docker/images.ts";
import type { ImageFacts } from "./create.ts";
import { LAUNCH } from "./inject.ts";
import { BUN_RUN_FLAGS } from "../npm/npm.ts";

/** Where images of ours have their files. */
export const APP = "/app";
/** The user that distroless images call `nonroot`; an image of ours has no list of users, and needs none. */
export const NOBODY = "65532:65532";

export function factsOf({ Id: id, Config: config }: ImageInfo): ImageFacts {
  return {
    id,
    entrypoint: config?.Entrypoint ?? [],
    cmd: config?.Cmd ?? [],
    env: config?.Env ?? [],
    user: config?.User ?? "",
    workdir: config?.WorkingDir ?? "",
    labels: config?.Labels ?? {},
    volumes: Object.keys(config?.Volumes ?? {}),
  };
}

/** An image of ours that has nothing but the program: the bridge's own executable, as a Bun, runs it. */
export function programFacts(info: ImageInfo, entry: string): ImageFacts {
  return {
    ...factsOf(info),
    entrypoint: [...LAUNCH, ...BUN_RUN_FLAGS, entry],
    user: NOBODY,
    workdir: APP,
    ownEnv: { HOME: "/tmp", BUN_BE_BUN: "1" },
    ownsCommand: true,
  };
}

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** An image that has a Python, and what we have put beside it in /app. */
export function pythonFacts(info: ImageInfo, entrypoint: string[]): ImageFacts {
  const hasPackages = entrypoint[0]?.startsWith(`${PYTHON_HOME}/`) === true;
  const facts = factsOf(info);
  const path = facts.env.find((line) => line.startsWith("PATH="))?.slice("PATH=".length) || DEFAULT_PATH;
  return {
    ...facts,
    entrypoint,
    user: NOBODY,
    workdir: APP,
    ownEnv: {
      HOME: "/tmp",
      // Programs that the server starts by name are those of its own environment first.
      PATH: `${PYTHON_HOME}/bin:${path}`,
      PYTHONUNBUFFERED: "1",
      PYTHONDONTWRITEBYTECODE: "1",
      ...(hasPackages ? { PYTHONPYCACHEPREFIX: PYTHON_BYTECODE } : {}),
    },
    ownsCommand: true,
  };
}

/** The virtual environment in it, and the bytecode of all that it imports. */
export const PYTHON_HOME = `${APP}/python`;
export const PYTHON_BYTECODE = `${PYTHON_HOME}/bytecode`;
