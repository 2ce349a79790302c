/** Which files of a folder make its project where none is named: the names that `docker compose` looks for, in its order. */
import { resolve } from "node:path";
import { Fault } from "../base/fault.ts";
import { parseDotenv } from "./dotenv.ts";
import type { ComposeText, LoadRequest } from "./load.ts";

const NAMES = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVER = [
  "compose.override.yml",
  "compose.override.yaml",
  "docker-compose.override.yml",
  "docker-compose.override.yaml",
];

/** The project's file and the one that is laid over it; or those that COMPOSE_FILE names. Faults: `not-found`, those of `read`. */
export async function filesOf(
  folder: string,
  { env, read }: Pick<LoadRequest, "env" | "read">,
): Promise<ComposeText[]> {
  const named = env["COMPOSE_FILE"] ?? (await fromDotenv(folder, read));
  if (named) {
    const paths = named.split(env["COMPOSE_PATH_SEPARATOR"] ?? ":").map((path) => resolve(folder, path));
    return Promise.all(paths.map(async (path) => ({ path, text: await read(path) })));
  }
  const first = await firstOf(folder, NAMES, read);
  if (!first)
    throw new Fault("not-found", `there is no compose file in ${folder}`, {
      hint: `It is looked for as ${NAMES.join(", ")}; name it where it has another name.`,
    });
  const over = await firstOf(folder, OVER, read);
  return over ? [first, over] : [first];
}

async function fromDotenv(folder: string, read: LoadRequest["read"]): Promise<string | undefined> {
  const parsed = parseDotenv((await textOf(resolve(folder, ".env"), read)) ?? "", () => undefined);
  return parsed.ok ? parsed.values["COMPOSE_FILE"] : undefined;
}

async function firstOf(folder: string, names: readonly string[], read: LoadRequest["read"]) {
  for (const name of names) {
    const path = resolve(folder, name);
    const text = await textOf(path, read);
    if (text !== undefined) return { path, text };
  }
  return undefined;
}

async function textOf(path: string, read: LoadRequest["read"]): Promise<string | undefined> {
  return read(path).catch((error: unknown) => {
    if (error instanceof Fault && error.kind === "not-found") return undefined;
    throw error;
  });
}
