/**
 * The user's credentials for a registry, from where `docker login` puts them: config.json, or the credential helper that it
 * names. They are sent to the engine in a header, never logged and never in a URL.
 */
import { homedir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Environment } from "./endpoint.ts";

/** Under which Docker Hub is written down. */
const HUB = "https://index.docker.io/v1/";
/** A helper may ask a keychain, which may ask a human. */
const HELPER_MS = 20_000;
/** The user name by which a helper says that the secret is an identity token. */
const TOKEN_USER = "<token>";

const text = v.optional(v.string());
const config = v.object({
  auths: v.optional(v.record(v.string(), v.object({ auth: text, identitytoken: text }))),
  credHelpers: v.optional(v.record(v.string(), v.string())),
  credsStore: text,
});
const secret = v.object({ Username: v.string(), Secret: v.string() });

/** Base64 for the engine's X-Registry-Auth, or undefined where the user has no credentials for the image's registry. */
export async function registryAuth(image: string, env: Environment, deadline: Deadline): Promise<string | undefined> {
  const registry = registryOf(image);
  const path = join(env["DOCKER_CONFIG"] || join(env["HOME"] || homedir(), ".docker"), "config.json");
  const found = await readConfig(path);
  if (!found) return undefined;
  const helper = found.credHelpers?.[registry] ?? found.credsStore;
  if (helper) return askHelper(helper, registry, env, deadline);
  const { auth, identitytoken } = found.auths?.[registry] ?? {};
  if (identitytoken) return encodeAuth({ identitytoken, serveraddress: registry });
  if (!auth) return undefined;
  const plain = Buffer.from(auth, "base64").toString();
  const colon = plain.indexOf(":");
  return encodeAuth({ username: plain.slice(0, colon), password: plain.slice(colon + 1), serveraddress: registry });
}

/** The registry's name as config.json has it: a first part with a dot, a colon or `localhost`, else Docker Hub. */
export function registryOf(image: string): string {
  const [first = "", ...rest] = image.split("/");
  if (rest.length === 0 || !(/[.:]/.test(first) || first === "localhost")) return HUB;
  return first === "docker.io" || first === "index.docker.io" ? HUB : first;
}

async function readConfig(path: string): Promise<v.InferOutput<typeof config> | undefined> {
  const file = Bun.file(path);
  if (!(await file.exists())) return undefined;
  // A broken file must not keep anybody from public images.
  const parsed = v.safeParse(config, await file.json().catch(() => undefined));
  return parsed.success ? parsed.output : undefined;
}

async function askHelper(
  name: string,
  registry: string,
  env: Environment,
  deadline: Deadline,
): Promise<string | undefined> {
  if (!/^[A-Za-z0-9_.-]+$/.test(name)) return undefined;
  const program = `docker-credential-${name}`;
  const path = Bun.which(program, { PATH: env["PATH"] ?? "" });
  if (!path) return undefined;
  const child = Bun.spawn([path, "get"], {
    stdin: Buffer.from(registry),
    stdout: "pipe",
    stderr: "ignore",
    env: { ...env },
  });
  try {
    const answer = await deadline.within(HELPER_MS).race(`asking ${program}`, child.stdout.text());
    // It exits with 1 and a sentence where it knows nothing of the registry.
    if ((await child.exited) !== 0) return undefined;
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), secret), answer);
    if (!parsed.success) throw new Fault("unauthenticated", `${program} gave no credentials`);
    const { Username: username, Secret: password } = parsed.output;
    if (username === TOKEN_USER) return encodeAuth({ identitytoken: password, serveraddress: registry });
    return encodeAuth({ username, password, serveraddress: registry });
  } finally {
    child.kill("SIGKILL");
  }
}

/** X-Registry-Auth: the engine wants base64 for URLs. */
export function encodeAuth(credentials: Record<string, string>): string {
  return Buffer.from(JSON.stringify(credentials)).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}
