/**
 * The audit log: one JSON line per call, append-only, 0600, rotated by size. Who, which tool, the shape of the arguments
 * (names and types, never values), the decision, and what it was about.
 */
import { appendFile, chmod, lstat, mkdir, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { Fault } from "../base/fault.ts";

const FILE_BYTES_MAX = 10 * 1024 * 1024;
/** `audit.jsonl`, `audit.jsonl.1` … */
const FILES_MAX = 5;
/** Arguments whose values name an object and are no secrets. */
const OBJECTS = new Set([
  "container_id",
  "image",
  "image_name",
  "network_id",
  "volume_name",
  "name",
  "project",
  "service",
  "service_id",
  "id",
  "uri",
]);
const OBJECT_CHARS_MAX = 256;
/** Of what a client calls itself and a tool: nobody can fill the log with one line. */
const NAME_CHARS_MAX = 128;

/** `begun`: something is about to change; the line with the outcome follows. */
export type Decision = "begun" | "allowed" | "denied" | "refused" | "asked" | "confirmed" | "failed";

export interface AuditEntry {
  who: string;
  tool: string;
  args: unknown;
  decision: Decision;
  /** Of a call that failed. */
  fault?: string;
  ms: number;
}

interface Waiting {
  line: string;
  done: PromiseWithResolvers<void>;
}

export class AuditLog {
  private waiting: Waiting[] = [];
  private writing = false;

  /** `hide`: for names that have a password in them. */
  constructor(
    private readonly file: string,
    private readonly hide: (text: string) => string = (text) => text,
  ) {}

  /** In the order of calling. Resolves when it is written; fails when it cannot be. */
  write({ who, tool, args, decision, fault, ms }: AuditEntry): Promise<void> {
    const line = JSON.stringify({
      at: new Date().toISOString(),
      who: who.slice(0, NAME_CHARS_MAX),
      tool: tool.slice(0, NAME_CHARS_MAX),
      decision,
      objects: objectsOf(args, this.hide),
      shape: shapeOf(args),
      ...(fault === undefined ? {} : { fault }),
      ms: Math.round(ms),
    });
    const done = Promise.withResolvers<void>();
    this.waiting.push({ line: `${line}\n`, done });
    if (!this.writing) void this.drain();
    return done.promise;
  }

  /** What comes during a write goes with the next one: many calls at once wait for few writes. */
  private async drain(): Promise<void> {
    this.writing = true;
    for (let batch = this.waiting.splice(0); batch.length > 0; batch = this.waiting.splice(0)) {
      try {
        await this.append(batch.map(({ line }) => line).join(""));
        for (const { done } of batch) done.resolve();
      } catch (error) {
        for (const { done } of batch) done.reject(error);
      }
    }
    this.writing = false;
  }

  private async append(lines: string): Promise<void> {
    const found = await lstat(this.file).catch(() => undefined);
    if (found && !found.isFile()) throw new Fault("forbidden", `${this.file} is no file`);
    if (!found) await mkdir(dirname(this.file), { recursive: true, mode: 0o700 });
    if (found && found.size + lines.length > FILE_BYTES_MAX) await this.rotate();
    await appendFile(this.file, lines, { mode: 0o600 });
    // One that somebody else made, or copied back, may be open to others.
    if (found && (found.mode & 0o077) !== 0) await chmod(this.file, 0o600);
  }

  private async rotate(): Promise<void> {
    for (let number = FILES_MAX - 1; number > 0; number -= 1) {
      const from = number === 1 ? this.file : `${this.file}.${number - 1}`;
      await rename(from, `${this.file}.${number}`).catch(() => {});
    }
  }
}

function objectsOf(args: unknown, hide: (text: string) => string): Record<string, string> {
  const entries = Object.entries(isRecord(args) ? args : {});
  return Object.fromEntries(
    entries.flatMap(([key, value]) =>
      OBJECTS.has(key) && typeof value === "string" ? [[key, hide(value.slice(0, OBJECT_CHARS_MAX))]] : [],
    ),
  );
}

/** `{"container_id":"string","environment":{"object":2}}` */
function shapeOf(args: unknown): Record<string, unknown> {
  const entries = Object.entries(isRecord(args) ? args : {}).slice(0, 64);
  return Object.fromEntries(entries.map(([key, value]) => [key.slice(0, 64), typeOf(value)]));
}

function typeOf(value: unknown): unknown {
  if (Array.isArray(value)) return { array: value.length };
  if (isRecord(value)) return { object: Object.keys(value).length };
  return value === null ? "null" : typeof value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
