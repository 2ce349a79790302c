/** A server whose next process behaves otherwise than the last one: see test/fixtures/moody-server.ts. */
import { expect } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Message, RawFront } from "./raw-front.ts";
import type { Stage } from "./stage.ts";

const MOODY = join(import.meta.dir, "../fixtures/moody-server.ts");
const GATE = join(import.meta.dir, "../fixtures/wait-for-file.ts");

/** What makes a fixture wait at its start until the file exists. */
export function gated(file: string, args: string[]): Record<string, unknown> {
  return { image: `exec:${process.execPath}`, args: ["--preload", GATE, ...args], env: { GATE_FILE: file } };
}

export interface State {
  pid: number;
  methods: string[];
  subscriptions: string[];
  level?: string;
}

export class Moody {
  private constructor(
    readonly name: string,
    private readonly stage: Stage,
    private readonly file: string,
  ) {}

  static async start(stage: Stage, name: string, mood: Record<string, unknown> = {}): Promise<Moody> {
    const moody = new Moody(name, stage, join(stage.dataDir, `${name}.json`));
    await moody.next(mood);
    await stage.start(name, { image: `exec:${process.execPath}`, args: [MOODY, moody.file] });
    return moody;
  }

  /** Its processes say nothing while there is no file of that name. */
  static async gated(stage: Stage, name: string, gate: string, more: Record<string, unknown> = {}): Promise<Moody> {
    const moody = new Moody(name, stage, join(stage.dataDir, `${name}.json`));
    await moody.next({});
    await stage.start(name, { ...gated(gate, [MOODY, moody.file]), ...more });
    return moody;
  }

  /** How processes behave that start from now on. */
  async next(mood: Record<string, unknown>): Promise<void> {
    await Bun.write(this.file, JSON.stringify(mood));
  }

  front(...options: string[]): RawFront {
    return new RawFront(this.stage.front(...options, this.name));
  }

  /** Tool and process of every call that reached a process. */
  async calls(): Promise<string[]> {
    const lines = await readFile(`${this.file}.calls`, "utf8").catch(() => "");
    return lines.split("\n").filter(Boolean);
  }
}

/** The process that serves a front now, as it sees itself. */
export async function stateOf(front: RawFront): Promise<State> {
  return JSON.parse(textOf(await front.call("state"))) as State;
}

export function textOf(answer: Message): string {
  expect(answer.error).toBeUndefined();
  const [{ text = "" } = {}] = (answer.result?.content ?? []) as { text?: string }[];
  return text;
}
