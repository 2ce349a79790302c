/** The log of a process server: lines with their time, in two files that never grow beyond a size. */
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, readSync, renameSync, writeSync } from "node:fs";
import { sleep } from "../../base/deadline.ts";
import type { LogLine, LogOptions } from "../runtime.ts";

/** Of each of the two files. A full one becomes the old one, and the old one goes. */
const LOG_BYTES_MAX = 4 * 1024 * 1024;
const LINE_BYTES_MAX = 64 * 1024;
const FOLLOW_MS = 100;
const NEWLINE = 0x0a;

/** Appends `MILLISECONDS TEXT` lines. Synchronous on purpose: a slow disk holds the writer back, nothing is queued. */
export class LogWriter {
  private fd: number;
  private size: number;

  constructor(
    private readonly file: string,
    private readonly maxBytes = LOG_BYTES_MAX,
  ) {
    this.fd = openSync(file, "a", 0o600);
    this.size = fstatSync(this.fd).size;
  }

  write(lines: Uint8Array[]): void {
    if (lines.length === 0) return;
    const stamp = Buffer.from(`${Date.now()} `);
    const block = Buffer.concat(lines.flatMap((line) => [stamp, line, Buffer.from("\n")]));
    try {
      if (this.size > 0 && this.size + block.byteLength > this.maxBytes) this.turn();
      writeSync(this.fd, block);
      this.size += block.byteLength;
    } catch {
      // A full disk costs log lines, never the server: its output must go on being read.
    }
  }

  close(): void {
    closeSync(this.fd);
  }

  private turn(): void {
    const full = this.fd;
    try {
      renameSync(this.file, `${this.file}.1`);
      this.fd = openSync(this.file, "a", 0o600);
      closeSync(full);
    } catch {
      // The folder is not what it was; what must hold is the size.
      ftruncateSync(this.fd, 0);
    }
    this.size = 0;
  }
}

/** Chunks of a stream → complete lines; one that is too long is cut, its rest is dropped. */
export class LogLines {
  private parts: Uint8Array[] = [];
  private bytes = 0;

  push(chunk: Uint8Array): Uint8Array[] {
    const lines: Uint8Array[] = [];
    let at = 0;
    for (;;) {
      const newline = chunk.indexOf(NEWLINE, at);
      this.keep(chunk.subarray(at, newline < 0 ? chunk.byteLength : newline));
      if (newline < 0) return lines;
      lines.push(...this.end());
      at = newline + 1;
    }
  }

  /** The last line, where it has no newline. */
  end(): Uint8Array[] {
    const line = Buffer.concat(this.parts);
    this.parts = [];
    this.bytes = 0;
    return line.byteLength === 0 ? [] : [line];
  }

  private keep(part: Uint8Array): void {
    const room = LINE_BYTES_MAX - this.bytes;
    if (room <= 0 || part.byteLength === 0) return;
    this.parts.push(part.subarray(0, room));
    this.bytes += Math.min(room, part.byteLength);
  }
}

/** The last lines of the log, oldest first. */
export function lastLines(file: string, count: number): LogLine[] {
  const lines = [`${file}.1`, file].flatMap((name) => parse(readWhole(name)));
  return count >= lines.length ? lines : lines.slice(lines.length - count);
}

/** The lines that are there, then with `follow` those that come, until the signal aborts or `running` says no. */
export async function* readLog(file: string, options: LogOptions, running: () => boolean): AsyncIterable<LogLine> {
  const follower = new Follower(file);
  try {
    const before = [...parse(readWhole(`${file}.1`)), ...follower.next()];
    yield* options.tail === undefined ? before : before.slice(Math.max(0, before.length - options.tail));
    while (options.follow && !options.signal.aborted) {
      // Asked before reading: what was written up to its end is then read, and nothing comes after.
      const goesOn = running();
      yield* follower.next();
      if (!goesOn) return;
      await sleep(FOLLOW_MS, options.signal).catch(() => {});
    }
  } finally {
    follower.close();
  }
}

/** Reads on where it stopped, over a turn of the files. */
class Follower {
  private fd: number | undefined;
  private inode = 0;
  private rest = "";
  private readonly decoder = new TextDecoder();
  private readonly buffer = Buffer.alloc(64 * 1024);

  constructor(private readonly file: string) {}

  next(): LogLine[] {
    const newer = this.openNewer();
    // The old file is complete once it has lost its name.
    const lines = this.fd === undefined ? [] : this.readOn(this.fd);
    if (newer === undefined) return lines;
    this.close();
    this.fd = newer;
    return [...lines, ...this.readOn(newer)];
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  /** The file that has the name now, where it is another one than the one being read. */
  private openNewer(): number | undefined {
    let fd: number;
    try {
      fd = openSync(this.file, "r");
    } catch {
      return undefined;
    }
    const { ino } = fstatSync(fd);
    if (this.fd !== undefined && ino === this.inode) {
      closeSync(fd);
      return undefined;
    }
    this.inode = ino;
    return fd;
  }

  private readOn(fd: number): LogLine[] {
    let text = this.rest;
    for (;;) {
      const count = readSync(fd, this.buffer);
      if (count === 0) break;
      text += this.decoder.decode(this.buffer.subarray(0, count), { stream: true });
    }
    const end = text.lastIndexOf("\n") + 1;
    this.rest = text.slice(end);
    return parse(text.slice(0, end));
  }
}

function readWhole(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function parse(text: string): LogLine[] {
  return text.split("\n").flatMap((line) => {
    const space = line.indexOf(" ");
    const at = Number(line.slice(0, space));
    return space > 0 && Number.isFinite(at) ? [{ at, text: line.slice(space + 1) }] : [];
  });
}
