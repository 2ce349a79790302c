/** How much may wait for one reader when many do not read. */
import { expect, test } from "bun:test";
import { Room } from "../../bridge/room.ts";
import { LIMITS } from "../../bridge/wire.ts";

test("a few slow readers have all the room they want; hundreds share what there is, and each has a little", () => {
  let now = 0;
  const collected: number[] = [];
  const room = new Room(
    () => (now += 20),
    () => collected.push(now),
  );
  const readers = Array.from({ length: 256 }, () => ({ waitingBytes: 0 }));
  expect(room.each(readers)).toBe(LIMITS.queueBytes);
  // Each in turn fills what it may have, as one that never reads does.
  for (let round = 0; round < 5; round += 1) {
    for (const reader of readers) reader.waitingBytes = Math.max(reader.waitingBytes, room.each(readers));
  }
  const [first, last] = [readers[0]?.waitingBytes, readers.at(-1)?.waitingBytes];
  expect([first, last]).toEqual([LIMITS.queueBytes, LIMITS.queueBytesMin]);
  const sum = readers.reduce((all, { waitingBytes }) => all + waitingBytes, 0);
  expect(sum).toBeLessThan(LIMITS.queuesBytes + readers.length * LIMITS.queueBytesMin);
  // While much waits, and not for every chunk: it takes the whole heap.
  expect(collected.length).toBeGreaterThan(1);
  for (const [index, at] of collected.slice(1).entries()) expect(at - (collected[index] ?? 0)).toBeGreaterThan(500);
  for (const reader of readers) reader.waitingBytes = 0;
  collected.length = 0;
  now += 1_000;
  expect(room.each(readers)).toBe(LIMITS.queueBytes);
  expect(collected).toEqual([]);
});
