/** A container's log: the engine's multiplexed stream, taken apart into lines. */
import type { Readable } from "node:stream";
import type { Deadline } from "../base/deadline.ts";
import { at } from "./containers.ts";
import type { Engine } from "./engine.ts";
import { linesOf } from "./progress.ts";

export interface ContainerLogLine {
  /** Unix milliseconds. */
  at: number;
  source: "stdout" | "stderr";
  text: string;
}

export interface LogRequest {
  /** Last lines to begin with; all when absent. */
  tail?: number | undefined;
  follow?: boolean;
  /** Unix seconds. */
  since?: number | undefined;
  until?: number | undefined;
  /** The container has a terminal: its log is plain text without frames, and all of it stdout. */
  terminal?: boolean;
}

/** Kept of one line; the rest of a longer one is dropped. */
const LINE_MAX = 64 * 1024;
/** The engine's frame header: stream type, three zero bytes, length of the payload. */
const HEADER = 8;

/** Opens the log. `signal` ends a followed one. */
export async function openLogs(
  engine: Engine,
  id: string,
  { tail, follow, since, until, terminal = false }: LogRequest,
  deadline: Deadline,
  signal: AbortSignal,
): Promise<AsyncIterable<ContainerLogLine>> {
  const query = {
    stdout: true,
    stderr: true,
    timestamps: true,
    follow: follow ?? false,
    tail: tail ?? "all",
    since,
    until,
  };
  const stream = await engine.stream(
    { what: `reading the log of ${id}`, method: "GET", path: at(id, "logs"), query },
    deadline,
    signal,
  );
  return terminal ? plainLines(stream) : demultiplex(stream);
}

export interface ServiceLogLine extends ContainerLogLine {
  /** Empty where the service has a terminal: its lines do not say whose they are. */
  task: string;
}

/** The log of all tasks of a swarm's service, one after the other as their nodes answer. `until` means nothing to a swarm. */
export async function openServiceLogs(
  engine: Engine,
  id: string,
  { tail, follow, since, terminal = false }: Omit<LogRequest, "until">,
  deadline: Deadline,
  signal: AbortSignal,
): Promise<AsyncIterable<ServiceLogLine>> {
  const lines = { stdout: true, stderr: true, timestamps: true, details: true };
  const query = { ...lines, follow: follow ?? false, tail: tail ?? "all", since };
  const path = `/services/${encodeURIComponent(id)}/logs`;
  const request = { what: `reading the log of the service ${id}`, method: "GET", path, query } as const;
  const stream = await engine.stream(request, deadline, signal);
  return byTask(terminal ? plainLines(stream) : demultiplex(stream));
}

/** With details the engine writes `name=value,…` and a space in front of each frame's text; the task is among them. */
async function* byTask(lines: AsyncIterable<ContainerLogLine>): AsyncIterable<ServiceLogLine> {
  for await (const line of lines) {
    const [details, task = ""] = /^\S*com\.docker\.swarm\.task\.id=([a-z0-9]+)\S* /.exec(line.text) ?? [];
    // A line of more than one frame has them at the beginning of each.
    yield { ...line, task, text: details === undefined ? line.text : line.text.replaceAll(details, "") };
  }
}

/** Frames → lines. The engine sends a frame for each 16 KiB of a line, each with the time in front. */
export async function* demultiplex(stream: Readable): AsyncIterable<ContainerLogLine> {
  const open = new Map<ContainerLogLine["source"], ContainerLogLine>();
  for await (const { source, bytes } of framesOf(stream)) {
    const payload = bytes.toString("utf8");
    const space = payload.indexOf(" ");
    const time = Date.parse(payload.slice(0, space));
    const begun = open.get(source);
    const text = payload.slice(space + 1).replace(/\r?\n$/, "");
    const line = begun ?? { at: Number.isNaN(time) ? Date.now() : time, source, text: "" };
    if (line.text.length < LINE_MAX) line.text = (line.text + text).slice(0, LINE_MAX);
    if (payload.endsWith("\n")) {
      open.delete(source);
      yield line;
    } else {
      open.set(source, line);
    }
  }
  for (const line of open.values()) yield line;
}

/** A terminal's output: the time in front of each line, and nothing else that would tell where one begins. */
async function* plainLines(stream: Readable): AsyncIterable<ContainerLogLine> {
  for await (const line of linesOf(stream, "reading the log")) {
    const space = line.indexOf(" ");
    const time = Date.parse(line.slice(0, space));
    const text = line.slice(space + 1).replace(/\r$/, "");
    yield { at: Number.isNaN(time) ? Date.now() : time, source: "stdout", text: text.slice(0, LINE_MAX) };
  }
}

/** The engine's limit of a log message is 16 KiB and the time; a frame beyond this is no log stream. */
const FRAME_MAX = 1024 * 1024;

/** Frames of a multiplexed stream; a character may be in two of them. */
export async function* framesOf(
  stream: Readable,
): AsyncIterable<{ source: ContainerLogLine["source"]; bytes: Buffer }> {
  let pending: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    let start = 0;
    while (pending.length - start >= HEADER) {
      const length = pending.readUInt32BE(start + 4);
      if (length > FRAME_MAX) return;
      const end = start + HEADER + length;
      if (pending.length < end) break;
      yield {
        source: pending[start] === 2 ? "stderr" : "stdout",
        bytes: pending.subarray(start + HEADER, end),
      };
      start = end;
    }
    pending = pending.subarray(start);
  }
}
