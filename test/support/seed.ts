/** The seed of the random tests in this run: `LINKSPAN_SEED` repeats a run that failed. Printed where it is used. */
export const SEED = Number(process.env.LINKSPAN_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Parameters for fast-check's `assert`, after printing what repeats the run. */
export function seeded(name: string, numRuns: number): { seed: number; numRuns: number } {
  process.stderr.write(`random test "${name}": LINKSPAN_SEED=${SEED}\n`);
  return { seed: SEED, numRuns };
}
