/**
 * Why a server could not be started, as a sentence. The system says ENOENT for a missing program, a missing
 * interpreter, a missing loader and a missing working directory alike: look which of them it is.
 */
import type { ServerCommand } from "./stdio.ts";

// Loaded only when something has gone wrong.
const fs = () => process.getBuiltinModule("node:fs");

export function explainStartFailure({ argv: [name], env }: ServerCommand, error: unknown): string {
  if (!hasWorkingDirectory()) return "the working directory does not exist";
  const code = codeOf(error);
  if (code === "EAGAIN" || code === "ENOMEM") return "the system starts no more processes (a pids or memory limit)";
  if (code === "EMFILE" || code === "ENFILE") return "no file descriptor is left to start the server with";
  if (code === "E2BIG") return "the arguments and the environment of the server are too long";
  const searched = name.includes("/") ? undefined : (env.PATH ?? "");
  const file =
    searched === undefined
      ? name
      : searched
          .split(process.platform === "win32" ? ";" : ":")
          .map((dir) => `${dir || "."}/${name}`)
          .find(exists);
  if (file === undefined) return `the executable ${name} is in no folder of PATH (${searched})`;
  if (!exists(file)) return `the executable ${file} does not exist`;
  if (isDirectory(file)) return `${file} is a directory, not an executable`;
  if (!isExecutable(file)) return `${file} is not executable (its mode lacks x)`;
  return explainContents(file) ?? `${file} could not be started: ${error instanceof Error ? error.message : error}`;
}

/** e_machine of an ELF file → the name that Bun and Node use. */
const MACHINES: Record<number, string> = {
  3: "ia32",
  40: "arm",
  62: "x64",
  183: "arm64",
  243: "riscv64",
  258: "loong64",
};

function explainContents(file: string): string | undefined {
  const start = readStart(file);
  if (!start) return undefined;
  if (start.toString("latin1", 0, 2) === "#!") {
    const [interpreter = ""] = start.toString("utf8", 2).trim().split(/\s/);
    if (!exists(interpreter)) return `${file} is a script for ${interpreter}, which does not exist`;
    return isExecutable(interpreter) ? undefined : `${file} is a script for ${interpreter}, which is not executable`;
  }
  if (start.toString("latin1", 0, 4) !== "\x7fELF")
    return `${file} is no program: neither a binary nor a script with #!`;
  const number = start[5] === 2 ? start.readUInt16BE(18) : start.readUInt16LE(18);
  const machine = MACHINES[number] ?? `machine ${number}`;
  if (machine !== process.arch) return `${file} is built for ${machine}, but this machine is ${process.arch}`;
  return `${file} cannot run here: its program loader is missing (it may be built for another C library)`;
}

/** The first bytes, up to the end of a `#!` line; undefined where they cannot be read. */
function readStart(file: string): Buffer | undefined {
  let fd: number | undefined;
  try {
    fd = fs().openSync(file, "r");
    const start = Buffer.alloc(256);
    const length = fs().readSync(fd, start);
    const line = start.subarray(0, length).indexOf(10);
    return start.toString("latin1", 0, 2) === "#!" && line > 0 ? start.subarray(0, line) : start;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) fs().closeSync(fd);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function exists(file: string): boolean {
  return fs().statSync(file, { throwIfNoEntry: false }) !== undefined;
}

/** A folder that was removed under us can still be looked at as `.`, but has no path any more. */
function hasWorkingDirectory(): boolean {
  try {
    return process.cwd() !== "";
  } catch {
    return false;
  }
}

function isDirectory(file: string): boolean {
  try {
    return fs().statSync(file).isDirectory();
  } catch {
    return false;
  }
}

function isExecutable(file: string): boolean {
  try {
    fs().accessSync(file, fs().constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
