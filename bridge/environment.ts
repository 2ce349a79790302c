/** The environment of a server process: what the container gives, less what is meant for the bridge alone. */
import * as v from "valibot";
import { BRIDGE_ENV } from "./wire.ts";

const childEnv = v.pipe(v.string(), v.parseJson(), v.record(v.string(), v.string()));

/**
 * Names that would steer a Bun or Node program, or the loader. Where an image sets one, whoever creates the container
 * blanks it for the bridge's sake; blank, it must not reach the server either.
 */
const STEERING = /^(BUN_|LD_|DYLD_|NODE_|MIMALLOC_|MALLOC_|GLIBC_TUNABLES$|JSC_)/;
const OURS = /^LINKSPAN_/;

/** `own` is the bridge's environment; `LINKSPAN_CHILD_ENV` in it is a JSON object that is laid over. Throws if it is not. */
export function serverEnvironment(
  own: Record<string, string | undefined>,
  secrets: Record<string, string> = {},
): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(own)) {
    if (value === undefined || OURS.test(name) || name in BRIDGE_ENV || (value === "" && STEERING.test(name))) continue;
    env[name] = value;
  }
  return { ...env, ...childEnvironment(own.LINKSPAN_CHILD_ENV), ...secrets };
}

function childEnvironment(json: string | undefined): Record<string, string> {
  if (!json) return {};
  const result = v.safeParse(childEnv, json);
  // The value may hold secrets: the message says nothing of it.
  if (!result.success) throw new Error("LINKSPAN_CHILD_ENV is no JSON object of strings");
  return result.output;
}
