/** A bridge that goes away, or moves, while its old address swallows every packet. */
import { expect, test } from "bun:test";
import { Deadline, sleep } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { attachAgain } from "../../src/transport/attach.ts";
import type { Dial } from "../../src/transport/dial.ts";
import { rejection } from "../support/rejection.ts";

const HELD = { session: "one", received: 0, incarnation: "a" };
const at = (host: string) => ({ addresses: [{ kind: "tcp", host, port: 1 } as const], token: "t" });

/** `old` swallows everything, any other address refuses the session. */
function swallowing() {
  const dialled: string[] = [];
  const dial: Dial = async ({ addresses: [address] }, deadline) => {
    const host = address?.kind === "tcp" ? address.host : "";
    dialled.push(host);
    if (host !== "old") throw new Fault("not-found", `${host} has no such session`);
    await sleep(60_000, deadline.signal).catch(() => {});
    throw deadline.fault("the connection");
  };
  return { dial, dialled };
}

test("a bridge that is known to be gone ends the dial to where it was", async () => {
  const { dial, dialled } = swallowing();
  let asked = 0;
  const whereabouts = async () => ((asked += 1) === 1 ? at("old") : undefined);
  expect(await attachAgain({ ...at("old"), whereabouts }, HELD, Deadline.in(30_000), dial)).toBeUndefined();
  // Not another one after the first has had all its time.
  expect(dialled).toEqual(["old"]);
});

test("a bridge that has moved is dialled where it is now", async () => {
  const { dial, dialled } = swallowing();
  let asked = 0;
  const whereabouts = async () => at((asked += 1) === 1 ? "old" : "new");
  const again = attachAgain({ ...at("old"), whereabouts }, HELD, Deadline.in(30_000), dial);
  expect(await rejection(again)).toMatchObject({ kind: "not-found", message: "new has no such session" });
  expect(dialled).toEqual(["old", "new"]);
});

test("a look that fails ends nothing", async () => {
  const { dial, dialled } = swallowing();
  let asked = 0;
  const whereabouts = async () => {
    if ((asked += 1) === 2) throw new Fault("internal", "the look failed");
    return at(dialled.length === 0 ? "old" : "new");
  };
  const again = attachAgain({ ...at("old"), whereabouts }, HELD, Deadline.in(30_000), dial);
  expect(await rejection(again)).toMatchObject({ kind: "not-found" });
  expect(dialled).toEqual(["old", "new"]);
});
