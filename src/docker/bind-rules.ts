/** Which paths of the engine's machine no container gets to see. Pure: canonical paths in, a reason or none out. */

/** No container sees these, anything inside them, or anything that contains them. */
const PROTECTED = [
  "/boot",
  "/dev",
  "/etc",
  "/proc",
  "/run",
  "/sys",
  "/var/lib/containerd",
  "/var/lib/containers",
  "/var/lib/docker",
  "/var/run",
];

/** Programs and libraries of the system: a container may read them, never write. */
const READ_ONLY = ["/bin", "/lib", "/lib64", "/sbin", "/usr"];

/** Why a canonical path must not be bound, or undefined. Pure. */
export function refusal(path: string, readOnly: boolean, protect: readonly string[]): string | undefined {
  if (path === "/") return "it is the whole file system";
  const close = [...PROTECTED, ...protect].find((guarded) => overlaps(path, guarded));
  if (close)
    return path === close
      ? "it is protected"
      : `it ${contains(close, path) ? "lies in" : "contains"} ${close}, which is protected`;
  const system = readOnly ? undefined : READ_ONLY.find((guarded) => contains(guarded, path));
  return system && `${system} may only be mounted read-only`;
}

export function overlaps(left: string, right: string): boolean {
  return contains(left, right) || contains(right, left);
}

export function contains(folder: string, path: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
