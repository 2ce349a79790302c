/** `docker run …` as a server of linkspan.yaml. */
import { type Container, FLAGS } from "./docker-flags.ts";
import { type Body, environment, type Making, present, Refusal, safeArguments } from "./draft.ts";
import { programName, type Launched } from "./launchers.ts";

/** Undefined where the words are no `docker run`. Throws Refusal with the reason where it must not be taken over. */
export function dockerRun(making: Making, words: readonly string[], env: Record<string, string>): Launched | undefined {
  if (!["docker", "podman", "nerdctl"].includes(programName(words[0] ?? ""))) return undefined;
  const rest = words[1] === "container" ? words.slice(2) : words.slice(1);
  if (rest[0] !== "run") return undefined;
  return containerOf(making, rest.slice(1), env);
}

/** What follows `docker run`: options, image, arguments. */
export function containerOf(making: Making, words: readonly string[], outer: Record<string, string>): Launched {
  const body: Body = { image: "" };
  const container: Container = { making, body, outer: { ...outer }, env: {}, volumes: [] };
  const at = readOptions(container, words);
  const [image, ...args] = words.slice(at);
  if (image === undefined) throw new Refusal("no image is named");
  if (/^(npm|pypi|exec|code):/i.test(image)) throw new Refusal(`${image} would be no image here`);
  const { network, command, ...others } = body;
  if (network === undefined) {
    making.notes.push(
      "network: egress, as docker run has it when nothing is said; remove the line if it need not reach the outside",
    );
  }
  for (const key of Object.keys(container.outer)) making.notes.push(`${key} was for docker itself and was left out`);
  return {
    kind: "image",
    body: {
      ...others,
      image,
      ...(command === undefined ? {} : { command }),
      ...present("args", safeArguments(making, args)),
      ...environment(making, container.env),
      ...present("volumes", container.volumes),
      network: network ?? "egress",
    },
  };
}

/** Reads options until the first word that is none; its index. */
export function readOptions(container: Container, words: readonly string[]): number {
  let at = 0;
  while (at < words.length) {
    const word = words[at] ?? "";
    if (word === "--") return at + 1;
    if (!/^-./.test(word)) return at;
    at += 1;
    if (word.startsWith("--")) at += long(container, word, words[at]);
    else at += short(container, word, words[at]);
  }
  return at;
}

/** How many more words it took. */
function long(container: Container, word: string, next: string | undefined): number {
  const [, name = word, attached] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
  const flag = known(name);
  if (flag.switch) {
    if (attached !== "false") flag.apply?.(container);
    return 0;
  }
  flag.apply?.(container, attached ?? needed(name, next));
  return attached === undefined ? 1 : 0;
}

/** `-i`, `-it`, `-e K=V`, `-eK=V`, `-ie K=V`. */
function short(container: Container, word: string, next: string | undefined): number {
  for (let at = 1; at < word.length; at += 1) {
    const name = `-${word[at] ?? ""}`;
    const flag = known(name);
    if (flag.switch) {
      flag.apply?.(container);
      continue;
    }
    const attached = word.slice(at + 1).replace(/^=/, "");
    flag.apply?.(container, attached || needed(name, next));
    return attached ? 0 : 1;
  }
  return 0;
}

function known(name: string) {
  const flag = Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined;
  if (!flag) throw new Refusal(`${name} is no option of docker run that is known here`);
  return flag;
}

function needed(name: string, value: string | undefined): string {
  if (value === undefined) throw new Refusal(`${name} has no value`);
  return value;
}
