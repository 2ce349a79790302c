/**
 * What a promise is rejected with; throws if it is not.
 *
 * Instead of `await expect(promise).rejects…`: that of bun:test does not wait as `await` does, but runs the event loop within
 * the call until the promise is settled. Where it is called while the loop tells its readers what is readable, the rest of
 * those are not told, and are not watched any longer: what other child processes write to their pipes is never read, and who
 * waits for it waits for ever. `rejection.test.ts` shows it. Sockets are not affected. That the call blocks is known upstream:
 * https://github.com/oven-sh/bun/issues/14950.
 */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const settled = await promise.then(
    (value: unknown) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ("error" in settled) return settled.error;
  throw new Error(`expected a rejection, got ${Bun.inspect(settled.value)}`);
}
