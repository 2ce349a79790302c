/** What is going on, on one line of a terminal's stderr that is wiped at the end. Nothing where stderr is no terminal. */
import type { ProgressView } from "../model/views.ts";
import { oneLine, onStderr } from "./terminal.ts";
import { formatBytes } from "./units.ts";

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;
/** What takes less than this is over before one could read what it is. */
const APPEAR_MS = 150;
/** Counts above this are bytes of a download, not steps. */
const STEPS_MAX = 10_000;

export interface ProgressLine {
  report(progress: ProgressView): void;
  /** Wipes the line. Idempotent. */
  end(): void;
}

export function showProgress(stream: NodeJS.WriteStream = process.stderr): ProgressLine {
  if (!stream.isTTY) return { report: () => undefined, end: () => undefined };
  const startedAt = performance.now();
  let shown = "";
  let isDrawn = false;
  let frame = 0;
  const draw = () => {
    if (shown === "" || performance.now() - startedAt < APPEAR_MS) return;
    frame += 1;
    stream.write(`\r\x1b[2K${onStderr.cyan(FRAMES[frame % FRAMES.length] ?? "")} ${shown}`);
    isDrawn = true;
  };
  const timer = setInterval(draw, FRAME_MS);
  timer.unref();
  return {
    report(progress) {
      shown = progressText(progress).slice(0, Math.max(20, (stream.columns || 80) - 4));
    },
    end() {
      clearInterval(timer);
      if (isDrawn) stream.write("\r\x1b[2K");
      isDrawn = false;
      shown = "";
    },
  };
}

/** `pulling image: layer 3 (12 MiB of 80 MiB)` */
export function progressText({ step, detail, current, total }: ProgressView): string {
  const what = oneLine(detail ? `${step}: ${detail}` : step);
  if (current === undefined) return what;
  if (total === undefined) return `${what} (${count(current)})`;
  if (total <= STEPS_MAX) return `${what} (${current} of ${total})`;
  return `${what} (${count(current)} of ${count(total)})`;
}

function count(amount: number): string {
  return amount <= STEPS_MAX ? String(amount) : formatBytes(amount);
}
