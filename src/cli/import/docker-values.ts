/** Values of `docker run` that have a form of their own: variables and volumes. */
import { resolve } from "node:path";
import { variablesOfFile } from "../../base/words.ts";
import { Refusal } from "./draft.ts";
import type { Container } from "./docker-flags.ts";
import { literal } from "./references.ts";

/** Words of `-e`, or the file of `--env-file`. */
export function variablesOf(from: string[] | string, container: Container): Record<string, string> {
  if (typeof from === "string") return ofFile(from, container);
  return Object.fromEntries(
    from.flatMap((word) => {
      const at = word.indexOf("=");
      if (at >= 0) return [[word.slice(0, at), word.slice(at + 1)]];
      const given = container.outer[word];
      delete container.outer[word];
      // Without a value in the client's file it came from the client's own environment.
      return [[word, given ?? `\${${word}}`]];
    }),
  );
}

function ofFile(file: string, { making }: Container): Record<string, string> {
  try {
    const found = Object.entries(variablesOfFile(file));
    return Object.fromEntries(found.map(([key, value]) => [key, literal(value)]));
  } catch {
    making.notes.push(`--env-file ${file} was left out: it cannot be read from here`);
    return {};
  }
}

const SOCKETS = /(^|\/)(docker|podman|containerd|crio)\.sock$|^\/(var\/)?run\/?$/;
const ROOTS = ["/", "/etc", "/proc", "/sys", "/dev", "/boot", "/var", "/root", "/usr"];

/** `SOURCE:TARGET[:OPTIONS]` as linkspan.yaml has it: what could be written stays so, because that was said. */
export function volumeOf(text: string, { making }: Container): string {
  const windows = /^([A-Za-z]:[\\/][^:]*):(.*)$/.exec(text);
  if (windows)
    throw new Refusal(
      `-v ${text}: a path of Windows cannot be mounted; name a volume, or a path of the engine's machine`,
    );
  const [first = "", target, options = ""] = text.split(/:(?![^{]*\})/);
  if (target === undefined) throw new Refusal(`-v ${text} has no name: what it keeps would be lost; give it one`);
  const source = /^\.{1,2}(\/|$)/.test(first) ? resolve(first) : first.replace(/^~(?=\/)/, () => "${HOME}");
  if (SOCKETS.test(source)) throw new Refusal(`-v ${text} gives it the whole engine, and with it the machine`);
  if (ROOTS.includes(source.replace(/(?<=.)\/+$/, "")))
    throw new Refusal(`-v ${text} gives it the machine's own files`);
  if (source !== first) making.notes.push(`${first} is ${source}: linkspan.yaml has no folder that it is relative to`);
  return `${source}:${target}${options.split(",").includes("ro") ? "" : ":rw"}`;
}
