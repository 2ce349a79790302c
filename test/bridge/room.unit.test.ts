/** How much may wait for one reader when many do not read. */
import { expect, test } from "bun:test";
import { Room } from "../../bridge/room.ts";
import { LIMITS } from "../../bridge/wire.ts";

test("a few slow readers have all the room they want; hundreds share what there is, and each has a little", () => {
  let now = 0;
  const room = new Room(() => (now += 20));
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
  for (const reader of readers) reader.waitingBytes = 0;
  expect(room.each(readers)).toBe(LIMITS.queueBytes);
});
