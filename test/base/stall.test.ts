import { expect, test } from "bun:test";
import { withoutStall } from "../../src/base/stall.ts";
import { rejection } from "../support/rejection.ts";

test("a stream that goes on is passed through, however long it is", async () => {
  const steady = async function* () {
    for (let at = 0; at < 5; at++) {
      await Bun.sleep(30);
      yield at;
    }
  };
  expect(await Array.fromAsync(withoutStall(steady(), 100_000, "counting"))).toEqual([0, 1, 2, 3, 4]);
});

test("one that stops is a timeout that says what it was", async () => {
  const stuck = async function* () {
    yield 1;
    await new Promise(() => {});
  };
  const found: number[] = [];
  const read = async () => {
    for await (const one of withoutStall(stuck(), 50, "the backup")) found.push(one);
  };
  expect(await rejection(read())).toMatchObject({ kind: "timeout", message: expect.stringContaining("the backup") });
  expect(found).toEqual([1]);
});

test("the source is closed when its reader leaves, and its failure is passed on", async () => {
  let closed = false;
  const source = async function* () {
    try {
      yield 1;
      throw new Error("broken");
    } finally {
      closed = true;
    }
  };
  for await (const one of withoutStall(source(), 1000, "x")) if (one === 1) break;
  expect(closed).toBeTrue();
  expect(String(await rejection(Array.fromAsync(withoutStall(source(), 1000, "x"))))).toContain("broken");
});
