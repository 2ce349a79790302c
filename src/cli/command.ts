/** What one command is: a literal in a file of its own, and a line in the list of commands.ts. */
import type { Command } from "commander";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import type { ProgressView } from "../model/views.ts";

/** What the parts of the program that the CLI must not import do for it; src/main.ts passes them, loaded at first use. */
export interface Services {
  /** Looks at the engine as the manager would. For `doctor`. */
  checkEngine(): Promise<EngineCheck>;
  /** Copies a folder into a new volume of the engine; disposing of it removes the volume. For `demo`. */
  folderVolume(folder: string, name: string): Promise<AsyncDisposable>;
  /** Makes an image with the bridge in it; resolves with its id. */
  wrapImage(request: WrapRequest, report: (progress: ProgressView) => void): Promise<string>;
}

export interface EngineCheck {
  /** The socket or address that was tried, without credentials. */
  address: string;
  version: string;
  api: string;
  os: string;
  arch: string;
  /** Whether container addresses can be dialled from here. */
  direct: boolean;
  /** Whether the engine sees this machine's files, as far as its address tells. */
  local: boolean;
  /** Settings that it takes and does not enforce. */
  unenforced: string[];
  warnings: string[];
}

export interface WrapRequest {
  image: string;
  tag: string;
  args: string[] | undefined;
  tokenFile: string | undefined;
}

export interface Call<O> {
  /** Operands in their order, those after `--` included. */
  args: string[];
  options: O;
  /** Whether a program reads the answer. */
  json: boolean;
  services: Services;
}

export interface CliCommand {
  define(command: Command): void;
  /** What to type, and what it does. */
  examples: [command: string, does: string][];
  /** Resolves with the exit code, 0 when absent. Options are as commander found them. */
  run(call: Call<unknown>): Promise<number | void>;
}

/** A command whose options a valibot schema parses, so that `run` sees values of known types. */
export function command<S extends v.GenericSchema>(literal: {
  define: CliCommand["define"];
  examples: CliCommand["examples"];
  options: S;
  run(call: Call<v.InferOutput<S>>): Promise<number | void>;
}): CliCommand {
  return {
    define: literal.define,
    examples: literal.examples,
    run: (call) => literal.run({ ...call, options: parseOptions(literal.options, call.options) }),
  };
}

function parseOptions<S extends v.GenericSchema>(schema: S, options: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, options);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = v.getDotPath(issue)?.split(".")[0];
  throw new Fault("usage", path ? `${optionName(path)}: ${issue.message}` : issue.message);
}

/** `stopTimeout` → `--stop-timeout`. */
function optionName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** For `.option(flag, text, collect)`: an option that may be given again and again. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}
