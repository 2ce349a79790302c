/** One piece of work after the other, in the order of asking; a failure does not stop those behind it. */
export class Queue {
  private tail: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  run<T>(work: () => Promise<T>): Promise<T> {
    this.waiting += 1;
    const result = this.tail.then(work);
    this.tail = result
      .catch(() => {})
      .finally(() => {
        this.waiting -= 1;
      });
    return result;
  }

  get idle(): boolean {
    return this.waiting === 0;
  }
}
