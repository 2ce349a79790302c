/**
 * Which variables must not reach the bridge: the executable is also a Bun, a dynamically linked program and a Linkspan, so an
 * environment that an image or a server controls could steer it (`BUN_BE_BUN=1` would make it run anything). Such
 * names are blanked for the bridge, and their values given to the server through LINKSPAN_CHILD_ENV.
 */
const STEERING = /^(BUN_|LD_|NODE_|LINKSPAN_|MIMALLOC_|MALLOC_|GLIBC_TUNABLES$|JSC_)/;

/** JSON object: what the bridge adds to the environment of its server. */
export const CHILD_ENV = "LINKSPAN_CHILD_ENV";

export type Variables = Record<string, string>;

export interface Split {
  /** For the create call; it replaces what the image says. */
  bridge: Variables;
  /** For the server alone. */
  child: Variables;
}

/** The image's environment is the engine's to give; of it only the steering names matter here. The spec wins over it. */
export function splitEnvironment(image: readonly string[], spec: Variables, own: Variables = {}): Split {
  const bridge: Variables = {};
  const child: Variables = {};
  const fromImage = image.map((line): [string, string] => {
    const equals = line.indexOf("=");
    return equals < 0 ? [line, ""] : [line.slice(0, equals), line.slice(equals + 1)];
  });
  for (const [name, value] of [
    ...fromImage.filter(([name]) => STEERING.test(name)),
    ...Object.entries({ ...own, ...spec }),
  ]) {
    if (STEERING.test(name)) {
      bridge[name] = "";
      child[name] = value;
    } else {
      bridge[name] = value;
    }
  }
  if (Object.keys(child).length > 0) bridge[CHILD_ENV] = JSON.stringify(child);
  else if (CHILD_ENV in bridge) bridge[CHILD_ENV] = "{}";
  return { bridge, child };
}
