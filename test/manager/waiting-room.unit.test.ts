/** Who has to go when many clients read nothing. */
import { expect, test } from "bun:test";
import { type Slow, WaitingRoom } from "../../src/manager/waiting-room.ts";

test("whoever has taken nothing for longest is cut when there is no room, and nobody else", () => {
  const room = new WaitingRoom(100);
  const cut: string[] = [];
  const client = (name: string, heldBytes: number): Slow => ({ heldBytes, destroy: () => void cut.push(name) });
  const [first, second] = [client("first", 40), client("second", 40)];
  room.enter(first);
  room.enter(second);
  room.enter(first);
  expect(cut).toEqual([]);
  room.enter(client("third", 40));
  expect(cut).toEqual(["first"]);
  room.leave(second);
  room.enter(client("fourth", 60));
  expect(cut).toEqual(["first"]);
  room.enter(client("too large for any room", 200));
  expect(cut).toEqual(["first", "third", "fourth", "too large for any room"]);
});
