/** The seed of the random tests in this run: `LINKSPAN_SEED` repeats a run that failed. Printed where it is used. */
export const SEED = Number(process.env.LINKSPAN_SEED ?? Math.floor(Math.random() * 2 ** 31));

/**
 * Parameters for fast-check's `assert`, after printing what repeats the run. `LINKSPAN_PATH`, from the report of a failure,
 * goes to the shortest case at once.
 */
export function seeded(name: string, numRuns: number): { seed: number; numRuns: number; path?: string } {
  process.stderr.write(`random test "${name}": LINKSPAN_SEED=${SEED}\n`);
  const path = process.env.LINKSPAN_PATH;
  return { seed: SEED, numRuns, ...(path ? { path } : {}) };
}
