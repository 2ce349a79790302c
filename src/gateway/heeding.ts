import { Fault } from "../base/fault.ts";

/** What the work gives, or a `cancelled` fault as soon as nobody waits for it. The work itself goes on, for others. */
export function heeding<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Fault("cancelled", "the request was cancelled"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
