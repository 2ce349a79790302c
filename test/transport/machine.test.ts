/** Any order of messages, cuts, returns, take-overs and ends, between the real ends of a session: see machine/. */
import { test } from "bun:test";
import fc from "fast-check";
import { seeded } from "../support/seed.ts";
import { commands, conclude, Model } from "./machine/commands.ts";
import { World } from "./machine/world.ts";

/** `npm run soak` has more of them. */
const RUNS = Number(process.env.LINKSPAN_MACHINE_RUNS ?? 150);

test("whatever happens to a session, each message arrives once and in order, or the session has one clear end", async () => {
  await fc.assert(
    fc.asyncProperty(commands, async (steps) => {
      using world = new World();
      const model = new Model();
      await fc.asyncModelRun(() => ({ model, real: world }), steps);
      await conclude(model, world);
    }),
    seeded("session machine", RUNS),
  );
}, 600_000);
