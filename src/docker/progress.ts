/** The progress stream of pulls, builds and imports: one JSON object per line; errors come inside it with status 200. */
import type { Readable } from "node:stream";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { withoutStall } from "../base/stall.ts";
import { messageFault } from "./faults.ts";

export interface Step {
  /** `Downloading`, `Extracting`, a line of a build. */
  text: string;
  /** Bytes over all layers, where the engine says them. */
  current?: number;
  total?: number;
}
export type ReportStep = (step: Step) => void;

const progressLine = v.object({
  id: v.optional(v.string()),
  status: v.optional(v.string()),
  stream: v.optional(v.string()),
  error: v.optional(v.string()),
  errorDetail: v.optional(v.object({ message: v.optional(v.string()) })),
  progressDetail: v.optional(v.nullable(v.object({ current: v.optional(v.number()), total: v.optional(v.number()) }))),
  aux: v.optional(v.object({ ID: v.optional(v.string()) })),
});

/** The longest line that an engine may send; a longer one ends the reading with a fault. */
const LINE_MAX = 1024 * 1024;

const IMAGE_ID = /^(sha256:)?[0-9a-f]{64}$/;

/**
 * Reads to the end. Returns the image id that a build or an import has said, if it has. With `stallMs` it ends with a
 * `timeout` fault when nothing new is said for so long.
 */
export async function readProgress(
  stream: Readable,
  what: string,
  report: ReportStep,
  stallMs?: number,
): Promise<string | undefined> {
  const layers = new Map<string, { current: number; total: number }>();
  let imageId: string | undefined;
  const lines = linesOf(stream, what);
  for await (const line of stallMs === undefined ? lines : withoutStall(lines, stallMs, what)) {
    const parsed = v.safeParse(progressLine, parseJson(line));
    if (!parsed.success) continue;
    const { id, status, error, errorDetail, progressDetail, aux } = parsed.output;
    if (error !== undefined) throw messageFault(errorDetail?.message ?? error, what);
    imageId = aux?.ID ?? imageId;
    const text = (status ?? parsed.output.stream ?? "").trim();
    // An import says the id as its last status.
    if (IMAGE_ID.test(text)) imageId = text;
    if (text === "") continue;
    if (id !== undefined && progressDetail?.total) {
      layers.set(id, { current: progressDetail.current ?? 0, total: progressDetail.total });
      report({ text, ...sum(layers) });
    } else {
      report({ text });
    }
  }
  return imageId;
}

function sum(layers: Map<string, { current: number; total: number }>): { current: number; total: number } {
  let current = 0;
  let total = 0;
  for (const layer of layers.values()) {
    current += layer.current;
    total += layer.total;
  }
  return { current, total };
}

/** Lines of a stream that the engine sends as JSON objects, without their ends; the last may have none. */
export async function* linesOf(stream: Readable, what: string): AsyncIterable<string> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LINE_MAX)
      throw new Fault("engine-failed", `${what}: the engine sent a line of more than ${LINE_MAX} characters`);
    for (const line of lines) if (line.trim() !== "") yield line;
  }
  if (rest.trim() !== "") yield rest;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
