/**
 * Who is next: one turn for each client that waits, then the next turn of each. Within one client it goes by the order of
 * coming, so a client that asks for a hundred things does not keep another one waiting for its first. Pure.
 */
export class Turns<T> {
  /** By client; the lane whose turn it is comes first. */
  private readonly lanes = new Map<string, T[]>();

  get size(): number {
    let size = 0;
    for (const lane of this.lanes.values()) size += lane.length;
    return size;
  }

  add(client: string, item: T): void {
    const lane = this.lanes.get(client);
    if (lane) lane.push(item);
    else this.lanes.set(client, [item]);
  }

  /** Whose turn it is; nobody else is served before. */
  head(): T | undefined {
    for (const [first] of this.lanes.values()) return first;
    return undefined;
  }

  /** Serves the head: its client comes last from now on. */
  take(): T | undefined {
    for (const [client, lane] of this.lanes) {
      const item = lane.shift();
      this.lanes.delete(client);
      if (lane.length > 0) this.lanes.set(client, lane);
      return item;
    }
    return undefined;
  }

  /** Somebody does not want to wait any more. */
  remove(item: T): boolean {
    for (const [client, lane] of this.lanes) {
      const index = lane.indexOf(item);
      if (index < 0) continue;
      lane.splice(index, 1);
      if (lane.length === 0) this.lanes.delete(client);
      return true;
    }
    return false;
  }

  /** In the order in which they will be served if nobody else comes. */
  list(): T[] {
    const lanes = [...this.lanes.values()];
    const longest = Math.max(0, ...lanes.map((lane) => lane.length));
    return Array.from({ length: longest }, (_, round) => lanes.flatMap((lane) => lane.slice(round, round + 1))).flat();
  }
}
