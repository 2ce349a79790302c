/** The manager's own directory: its key, its REST token, its instance id, its socket and its state. */
import { randomBytes, randomInt } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DATA_FILE, SOCKET_PATH_BYTES_MAX } from "../base/data-dir.ts";
import { Fault } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import { temporaryFolderSync } from "../runtime/temporary.ts";
import type { Caretaker } from "./caretaker.ts";
import { replaceFile } from "../base/files.ts";
import { DataLock } from "./lock.ts";

/** What the name of a folder for a socket begins with. */
const SOCKET_FOLDER = "linkspan-";
const KEY_BYTES = 32;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;
const INSTANCE = /^[a-z0-9]{8}$/;
const INSTANCE_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";

export interface DataDir {
  path: string;
  /** 32 bytes from which bridge tokens are derived. */
  key: Uint8Array;
  /** The bearer token of REST and of the TCP port. */
  token: string;
  /** Part of every name and label that this manager makes: `[a-z0-9]{8}`. */
  instance: string;
  /** Where the manager's unix socket is to be. */
  socketPath: string;
  statePath: string;
  /** Gives the lock back and takes the socket's folder away. Idempotent. */
  close(): void;
}

/**
 * Makes or opens the directory and locks it. Faults: `conflict` (another manager has it), `forbidden` (not ours or not
 * writable). A damaged file is moved aside and made anew: the manager starts, whatever it finds. `caretaker` is told the
 * instance before there is anything of it elsewhere, and dismissed after all else.
 */
export function openDataDir(path: string, log: Log, caretaker?: Caretaker): DataDir {
  makePrivate(path);
  const lock = DataLock.take(path);
  try {
    const token = () => randomBytes(KEY_BYTES).toString("base64url");
    const keep = (name: string, make: () => Uint8Array, valid: (found: Buffer) => boolean) =>
      keepFile(join(path, name), make, valid, log);
    const matches = (pattern: RegExp) => (found: Buffer) => pattern.test(found.toString().trim());
    const key = keep(
      DATA_FILE.key,
      () => randomBytes(KEY_BYTES),
      (found) => found.byteLength === KEY_BYTES,
    );
    const bearer = keep(DATA_FILE.token, () => Buffer.from(`${token()}\n`), matches(TOKEN));
    const instance = keep(DATA_FILE.instance, () => Buffer.from(`${newInstance()}\n`), matches(INSTANCE));
    mkdirSync(join(path, DATA_FILE.logs), { recursive: true, mode: 0o700 });
    caretaker?.remember(instance.toString().trim());
    const socket = placeSocket(path);
    let open = true;
    return {
      path,
      key: new Uint8Array(key),
      token: bearer.toString().trim(),
      instance: instance.toString().trim(),
      socketPath: socket.path,
      statePath: join(path, DATA_FILE.state),
      close() {
        if (!open) return;
        open = false;
        socket.remove();
        lock.release();
        caretaker?.dismiss();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Eight characters: 2.8 × 10^12 ids, enough for the managers that share an engine. */
export function newInstance(): string {
  return Array.from({ length: 8 }, () => INSTANCE_LETTERS[randomInt(INSTANCE_LETTERS.length)]).join("");
}

function makePrivate(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o700);
  } catch (cause) {
    throw new Fault("forbidden", `the data directory ${path} cannot be made or is not ours`, {
      cause,
      hint: "Set LINKSPAN_DATA_DIR to a directory of your own.",
    });
  }
}

/** What the file holds; made if it is missing, made anew (the old one kept beside it) if it is damaged. */
function keepFile(path: string, make: () => Uint8Array, valid: (found: Buffer) => boolean, log: Log): Buffer {
  const found = readIfThere(path);
  if (found && valid(found)) {
    if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
    return found;
  }
  if (found) {
    const aside = `${path}.bad-${Date.now()}`;
    renameSync(path, aside);
    log.warn("a damaged file was moved aside and made anew", { file: path, aside });
  }
  const made = make();
  replaceFile(path, made);
  return Buffer.from(made);
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new Fault("forbidden", `${path} cannot be read`, { cause: error });
  }
}

/** Takes away the socket that a manager which was killed has left, and the folder that was made for it. Under the lock only. */
export function removeSocket(dir: string): void {
  for (const name of [DATA_FILE.socket, DATA_FILE.gateway]) rmSync(join(dir, name), { force: true });
  const pointer = join(dir, DATA_FILE.socketPath);
  const elsewhere = readIfThere(pointer)?.toString().trim();
  rmSync(pointer, { force: true });
  // Nothing else is ever removed, whatever the file says.
  if (elsewhere && basename(elsewhere) === DATA_FILE.socket && basename(dirname(elsewhere)).startsWith(SOCKET_FOLDER)) {
    rmSync(dirname(elsewhere), { recursive: true, force: true });
  }
}

/** A path that fits into a socket address; what is longer goes to a private folder, and a file says where. */
function placeSocket(dir: string): { path: string; remove(): void } {
  const near = join(dir, DATA_FILE.socket);
  const pointer = join(dir, DATA_FILE.socketPath);
  if (Buffer.byteLength(near) <= SOCKET_PATH_BYTES_MAX) {
    rmSync(pointer, { force: true });
    // Left by a manager that was killed; the lock says that nobody listens on it.
    rmSync(near, { force: true });
    return { path: near, remove: () => rmSync(near, { force: true }) };
  }
  removeSocket(dir);
  const path = join(temporaryFolderSync("socket"), DATA_FILE.socket);
  replaceFile(pointer, `${path}\n`);
  return {
    path,
    remove() {
      rmSync(pointer, { force: true });
      rmSync(dirname(path), { recursive: true, force: true });
    },
  };
}
