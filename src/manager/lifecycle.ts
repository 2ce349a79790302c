/**
 * The lifecycle of containers as lines that people and log collectors read: `[timestamp] [EVENT] [container] message`
 * with START, REUSE, CONNECT, CLEANUP and ERROR, in a file of the data directory and in the system's log.
 */
import { appendFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { DATA_FILE } from "../base/data-dir.ts";
import type { EventView } from "../model/views.ts";
import { Syslog } from "./syslog.ts";

type Mark = "START" | "REUSE" | "CONNECT" | "CLEANUP" | "ERROR";

const FILE_NAME = "lifecycle.log";
const FILE_BYTES_MAX = 1024 * 1024;
/** Beside the one that is written. */
const OLD_FILES = 3;
const MESSAGE_CHARS_MAX = 1_000;
/** A server process that ends like this was not asked to: signals that we send are above. */
const EXIT_CODE_MAX = 127;

/** What an event means for the lifecycle of its container. Keeps in mind how servers have begun. */
export class Lifecycle {
  /** `found`: it runs already, and was not made by a start of ours. */
  private readonly coming = new Map<string, "made" | "found">();

  marks(event: EventView): Mark[] {
    const { kind, server = "", data = {} } = event;
    switch (kind) {
      case "server.creating":
        this.coming.set(server, "made");
        return [];
      case "server.starting":
        if (!this.coming.has(server)) this.coming.set(server, "found");
        return [];
      case "server.ready":
        return this.arrived(server);
      case "server.stopped":
        this.coming.delete(server);
        return [];
      case "session.opened":
        return data.reused === true ? ["REUSE", "CONNECT"] : ["CONNECT"];
      case "server.removed":
      case "cleanup.removed":
        return ["CLEANUP"];
      case "server.failed":
        this.coming.delete(server);
        return ["ERROR"];
      case "server.unhealthy":
      case "cleanup.failed":
        return ["ERROR"];
      case "process.ended":
        return hasFailed(data) ? ["ERROR"] : [];
      default:
        return [];
    }
  }

  /** One that was unhealthy and is well again has been there all the time. */
  private arrived(server: string): Mark[] {
    const how = this.coming.get(server);
    this.coming.delete(server);
    return how === undefined ? [] : [how === "made" ? "START" : "REUSE"];
  }
}

export class LifecycleLog {
  private readonly lifecycle = new Lifecycle();
  private readonly file: string;
  private bytes: number;

  constructor(
    dataDir: string,
    private readonly syslog = new Syslog(),
  ) {
    this.file = join(dataDir, DATA_FILE.logs, FILE_NAME);
    this.bytes = sizeOf(this.file);
  }

  heard(event: EventView): void {
    for (const mark of this.lifecycle.marks(event)) {
      const text = `[${mark}] [${event.container ?? event.server ?? "-"}] ${oneLine(event.message)}`;
      this.write(`[${new Date(event.at).toISOString()}] ${text}\n`);
      this.syslog.send(mark === "ERROR" ? "error" : mark === "CLEANUP" ? "notice" : "info", text);
    }
  }

  /** A log that cannot be written must not keep the manager from its work; the events are in the database, too. */
  private write(line: string): void {
    try {
      if (this.bytes >= FILE_BYTES_MAX) this.rotate();
      appendFileSync(this.file, line, { mode: 0o600 });
      this.bytes += Buffer.byteLength(line);
    } catch {
      this.bytes = sizeOf(this.file);
    }
  }

  private rotate(): void {
    rmSync(`${this.file}.${OLD_FILES}`, { force: true });
    for (let number = OLD_FILES - 1; number >= 0; number -= 1) {
      const from = number === 0 ? this.file : `${this.file}.${number}`;
      if (sizeOf(from) > 0) renameSync(from, `${this.file}.${number + 1}`);
    }
    this.bytes = 0;
  }
}

function hasFailed({ oom, code }: Record<string, unknown>): boolean {
  return oom === true || (typeof code === "number" && code > 0 && code <= EXIT_CODE_MAX);
}

/** A server's own words may be in it: nothing in them may look like another line or steer a terminal. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").slice(0, MESSAGE_CHARS_MAX);
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch {
    return 0;
  }
}
