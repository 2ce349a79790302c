/** `exec:PROGRAM`: a program of this machine, an absolute path or a name in PATH. Only processes can be that. */
const SCHEME = "exec:";

/** Undefined where the reference is of another kind. */
export function execProgram(image: string): string | undefined {
  return image.startsWith(SCHEME) && image.length > SCHEME.length ? image.slice(SCHEME.length) : undefined;
}
