/** A clock that stands still until a test moves it: timers, monotonic time and chance, for everything in the process. */

interface Timer {
  at: number;
  everyMs: number | undefined;
  run(): void;
}

type Handle = { readonly number: number; unref(): Handle; ref(): Handle };

export class VirtualClock implements Disposable {
  /** Monotonic milliseconds. */
  now = 1_000;
  private readonly timers = new Map<number, Timer>();
  private last = 0;
  private readonly restore: () => void;

  constructor() {
    const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis;
    const { now } = performance;
    const { timeout } = AbortSignal;
    const { random } = Math;
    this.restore = () => {
      Object.assign(globalThis, { setTimeout, setInterval, clearTimeout, clearInterval });
      Object.assign(performance, { now });
      Object.assign(AbortSignal, { timeout });
      Object.assign(Math, { random });
    };
    const clear = (handle: Handle | undefined) => void this.timers.delete(handle?.number ?? 0);
    Object.assign(globalThis, {
      setTimeout: (run: () => void, ms = 0) => this.add(run, ms, undefined),
      setInterval: (run: () => void, ms = 0) => this.add(run, ms, ms),
      clearTimeout: clear,
      clearInterval: clear,
    });
    Object.assign(performance, { now: () => this.now });
    Object.assign(Math, { random: () => 0.5 });
    Object.assign(AbortSignal, {
      timeout: (ms: number) => {
        const controller = new AbortController();
        this.add(() => controller.abort(), ms, undefined);
        return controller.signal;
      },
    });
  }

  /** Lets the time pass, timer by timer, with all that each of them sets off. */
  async advance(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      let due: [number, Timer] | undefined;
      for (const entry of this.timers) if (entry[1].at <= end && (!due || entry[1].at < due[1].at)) due = entry;
      if (!due) break;
      const [number, timer] = due;
      this.now = Math.max(this.now, timer.at);
      if (timer.everyMs === undefined) this.timers.delete(number);
      else timer.at = this.now + timer.everyMs;
      timer.run();
      await settled();
    }
    this.now = end;
    await settled();
  }

  [Symbol.dispose](): void {
    this.timers.clear();
    this.restore();
  }

  private add(run: () => void, ms: number, everyMs: number | undefined): Handle {
    const number = ++this.last;
    this.timers.set(number, { at: this.now + Math.max(0, ms), everyMs, run });
    const handle: Handle = { number, unref: () => handle, ref: () => handle };
    return handle;
  }
}

/** After all promises that are settled by now have had their say. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
