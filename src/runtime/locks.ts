import type { Deadline } from "../base/deadline.ts";

/** One at a time per key, inside this process. Waiting counts against the caller's own deadline. */
export class Locks {
  private readonly last = new Map<string, Promise<unknown>>();

  async run<T>(key: string, deadline: Deadline, work: () => Promise<T>): Promise<T> {
    const before = this.last.get(key);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const turn = (before ?? Promise.resolve()).then(() => released);
    this.last.set(key, turn);
    try {
      if (before) await deadline.race(`waiting for ${key}`, before);
      return await work();
    } finally {
      release();
      if (this.last.get(key) === turn) this.last.delete(key);
    }
  }
}
