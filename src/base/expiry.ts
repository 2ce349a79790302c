/** An end at a time of day, for what is valid until then. */

/** Longer timers fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Aborts the controller at `atMs` (since 1970), to the second or so; keeps no process alive. */
export function abortAt(controller: AbortController, atMs: number): void {
  const leftMs = atMs - Date.now();
  if (leftMs <= 0) return controller.abort();
  const timer = setTimeout(() => abortAt(controller, atMs), Math.min(leftMs, TIMER_MS_MAX));
  timer.unref();
  controller.signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
}
