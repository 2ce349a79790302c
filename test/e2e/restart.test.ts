/** The manager is restarted under load: stdio clients notice nothing, and no container is restarted or made. */
import { expect } from "bun:test";
import { engineTest } from "../support/engine.ts";
import { SEED } from "../support/seed.ts";
import { failuresOf, restarts } from "./restarts.ts";

engineTest(
  "killed, ended, upgraded and downgraded under load: no call fails, no container is restarted, none is added",
  async () => {
    process.stderr.write(`restarts of the manager: LINKSPAN_SEED=${SEED}\n`);
    const rounds = 6;
    const outcome = await restarts({ seed: SEED, rounds, lanes: 3 });
    expect(failuresOf(outcome, rounds)).toEqual([]);
    // Both bridges' versions answered: the older one under the newer manager, and the other way round.
    expect(outcome.ends.join()).toMatch(/upgrade.*downgrade/);
  },
  120_000,
);
