import { Deadline } from "./deadline.ts";

/**
 * A stream whose next piece never takes longer than this; then it ends with a `timeout` fault. A long stream has no
 * other deadline: how long it takes is its reader's business.
 */
export async function* withoutStall<T>(source: AsyncIterable<T>, stallMs: number, what: string): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    while (true) {
      const next = await Deadline.in(stallMs).race(`${what}: the next piece`, iterator.next());
      if (next.done) return;
      yield next.value;
    }
  } finally {
    // One that hangs does not answer this either.
    iterator.return?.().catch(() => {});
  }
}
