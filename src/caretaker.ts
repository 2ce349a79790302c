/**
 * `linkspan caretaker DIR RUNTIME RUNTIMEDIR PID START [INSTANCE]`: the role in which a manager's caretaker cleans up after
 * it (src/manager/caretaker.ts starts it). It says nothing: nobody is there to read it but the lifecycle log.
 */
import * as v from "valibot";
import { Deadline, sleep } from "./base/deadline.ts";
import { Fault } from "./base/fault.ts";
import { removeEmbeddedDir } from "./manager/embedded-dirs.ts";
import { borrowLock, lockCaretaker, managerRuns } from "./manager/lock.ts";
import { type Deceased, type Outcome, Vigil } from "./manager/vigil.ts";
import { LABEL } from "./runtime/labels.ts";
import { processIdentity } from "./runtime/process/identity.ts";
import type { Runtime, RuntimeKind } from "./runtime/runtime.ts";
import { openRuntime } from "./runtime/select.ts";

const POLL_MS = 100;
const LOOK_MS = 5_000;
/** Who cleans up after other managers has the lock for moments. */
const BORROWED_MS = 15_000;
/** An earlier caretaker that has seen a manager come, and did not see it go, ends within this time. */
const EARLIER_MS = 3_000;

const charge = v.tuple([
  v.string(),
  v.picklist(["auto", "docker", "process"]),
  v.string(),
  v.pipe(v.string(), v.transform(Number)),
  v.string(),
]);
const known = v.pipe(v.string(), v.regex(/^[a-z0-9]{8}$/));

/** Ends the process itself: with 0 when nothing is left to do, with 1 when something had to be left to the next manager. */
export async function caretakerMain(argv: string[]): Promise<number> {
  const parsed = v.safeParse(charge, argv.slice(0, 5));
  if (!parsed.success) return 2;
  const [dir, kind, runtimeDir, pid, start] = parsed.output;
  const gone = v.safeParse(processIdentity, { pid, start });
  if (!gone.success) return 2;
  // The pipe that only the manager's process holds: it ends with that. At once where the shell has waited already.
  const said = (await Bun.stdin.text()).trim();
  const instance = argv[5] || said;
  const outcome = v.is(known, instance)
    ? await look({ dir, instance, process: gone.output }, kind, runtimeDir)
    : removeBeginnings(dir);
  process.exit(outcome === "given-up" ? 1 : 0);
}

async function look(gone: Deceased, kind: RuntimeKind | "auto", runtimeDir: string): Promise<Outcome> {
  using own = await within(EARLIER_MS, () => lockCaretaker(gone.dir));
  // Another one is at work already.
  if (!own || (await isFollowed(gone))) return "succeeded";
  await using runtime = await runtimeOf(gone, kind, runtimeDir);
  return await new Vigil(runtime, gone).run();
}

/** It was killed before it had a name, and so before it could make anything. */
function removeBeginnings(dir: string): Outcome {
  removeEmbeddedDir(dir);
  return "clean";
}

/** A manager that was left the choice runs on with processes where some were left to it. */
async function runtimeOf({ dir, instance }: Deceased, kind: RuntimeKind | "auto", dataDir: string): Promise<Runtime> {
  const options = { instance, dataDir, home: dir };
  if (kind !== "auto") return await openRuntime(kind, options);
  const processes = await openRuntime("process", options);
  const found = await processes.list({ [LABEL.instance]: instance }, Deadline.in(LOOK_MS)).catch(() => []);
  return found.length > 0 ? processes : await openRuntime("docker", options);
}

/** Whether another manager runs on the directory already. Also removes the number of the one that is gone. */
async function isFollowed({ dir, process: { pid } }: Deceased): Promise<boolean> {
  try {
    const found = await within(BORROWED_MS, () => {
      const lock = borrowLock(dir);
      lock?.[Symbol.dispose]();
      const follower = managerRuns(dir);
      return lock ? "nobody" : follower !== undefined && follower !== pid ? "somebody" : undefined;
    });
    return found !== "nobody";
  } catch (error) {
    // The directory is gone, and no manager can come up on it.
    if (error instanceof Fault) return false;
    throw error;
  }
}

async function within<T>(ms: number, attempt: () => T | undefined): Promise<T | undefined> {
  for (const until = performance.now() + ms; ;) {
    const found = attempt();
    if (found !== undefined || performance.now() > until) return found;
    await sleep(POLL_MS);
  }
}
