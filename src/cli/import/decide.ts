/** What becomes of each server of somebody else's configuration, and why. */
import { imageRef, name as serverName } from "../../model/server-spec.ts";
import * as v from "valibot";
import { problemWith } from "./config.ts";
import { dockerRun } from "./docker-run.ts";
import { type Decision, environment, inOrder, type Making, present, Refusal, safeArguments } from "./draft.ts";
import { launched, type Launched, programName } from "./launchers.ts";
import { isSecretValue, Variables } from "./secrets.ts";
import type { Wish } from "./wish.ts";

export interface Choices {
  /** Names that linkspan.yaml has already. */
  taken: ReadonlySet<string>;
  inClear: boolean;
}

export function decide(wishes: readonly Wish[], { taken, inClear }: Choices): Decision[] {
  const variables = new Variables();
  const used = new Set<string>();
  return wishes.map((wish) => {
    const name = freeName(nameFor(wish.name), used);
    used.add(name);
    const making: Making = { name, variables, inClear, notes: [] };
    if (name !== wish.name) making.notes.push(`it is called ${name} here: names have a-z 0-9 _ . - only`);
    const decision = { name, was: wish.name, ...decided(making, wish, taken) };
    return inClear ? decision : { ...decision, notes: withoutSecrets(decision.notes, wish) };
  });
}

function decided(making: Making, wish: Wish, taken: ReadonlySet<string>): Pick<Decision, "kind" | "body" | "notes"> {
  const reason = leftOut(wish, making.name, taken);
  if (reason !== undefined) return { kind: "left out", notes: [reason] };
  try {
    const { kind, body } = become(making, wish);
    if (wish.disabled) making.notes.push("it was switched off there; here it starts at its first use");
    const text = JSON.stringify(body);
    if (!making.inClear && secretsOf(wish).some((secret) => text.includes(JSON.stringify(secret).slice(1, -1)))) {
      throw new Refusal("something that looks like a secret is where no reference can stand for it");
    }
    const problem = problemWith(body);
    if (problem !== undefined) throw new Refusal(`linkspan.yaml cannot say it: ${problem}`);
    return { kind, body: inOrder(body), notes: making.notes };
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    return { kind: "left out", notes: [thrown.message] };
  }
}

/** Values of the wish that must not be written down anywhere, wherever in it they are. */
function secretsOf({ words, env }: Wish): string[] {
  const parts = [...words, ...Object.values(env)].flatMap((word) => [
    word,
    ...word.split("=").slice(1),
    word.split("=").slice(1).join("="),
  ]);
  return [...new Set(parts.filter(isSecretValue))].toSorted((a, b) => b.length - a.length);
}

function withoutSecrets(notes: readonly string[], wish: Wish): string[] {
  return notes.map((note) => secretsOf(wish).reduce((text, secret) => text.replaceAll(secret, "***"), note));
}

function leftOut(wish: Wish, name: string, taken: ReadonlySet<string>): string | undefined {
  if (wish.ours) return "it starts Linkspan itself";
  if (taken.has(name)) return `linkspan.yaml has a server ${name} already, which stays as it is`;
  if (wish.words.length > 0 && wish.words[0] !== "") return undefined;
  if (wish.url === undefined) return "it names no program";
  return `it is at ${origin(wish.url)}: Linkspan runs servers, clients connect to such a one themselves`;
}

/** Without path, query and user: they may hold keys. */
function origin(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : "another address";
}

function become(making: Making, wish: Wish): Launched {
  const words = unwrapped(wish.words);
  const container = dockerRun(making, words, wish.env);
  if (container) return container;
  try {
    const packaged = launched(making, words, wish.env);
    if (packaged) return packaged;
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    making.notes.length = 0;
    making.notes.push(`it stays a process: ${thrown.message}`);
  }
  return processOf(making, words, wish);
}

/** `cmd /c npx …`, as configurations for Windows have it. */
function unwrapped(words: readonly string[]): readonly string[] {
  const isShell = programName(words[0] ?? "") === "cmd" && /^\/c$/i.test(words[1] ?? "");
  return isShell && words.length > 2 ? words.slice(2) : words;
}

function processOf(making: Making, words: readonly string[], wish: Wish): Launched {
  const [program = "", ...args] = words;
  const image = `exec:${program}`;
  if (!v.is(imageRef, image))
    throw new Refusal(`${program} has white space in it, which a reference cannot have; make a link to it`);
  if (/^[A-Za-z]:[\\/]/.test(program)) throw new Refusal(`${program} is a program of Windows`);
  making.notes.push("it runs as a process of this machine, without a container: only with manager.runtime: process");
  if (wish.cwd !== undefined && !wish.cwd.startsWith("/"))
    making.notes.push(`the folder ${wish.cwd} was left out: it is relative`);
  const body = {
    image,
    ...present("args", safeArguments(making, args)),
    ...environment(making, wish.env),
    ...(wish.cwd?.startsWith("/") ? { workdir: wish.cwd } : {}),
  };
  return { kind: "process", body };
}

/** Always a valid name of a server. */
export function nameFor(text: string): string {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9_.-]+/g, "-")
    .replace(/^[^a-z0-9]+|-+$/g, "")
    .slice(0, 60);
  return v.is(serverName, name) ? name : "server";
}

function freeName(name: string, used: ReadonlySet<string>): string {
  for (let count = 2; used.has(name) && count < 1000; count += 1) {
    const next = `${name.replace(/-\d+$/, "")}-${count}`;
    if (!used.has(next)) return next;
  }
  return name;
}
