/**
 * A manager that a front has started in the background makes room for one that somebody starts himself: a service that is
 * restarted must not find its place taken by what a front has started in that second. Servers run on meanwhile.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DATA_FILE } from "../base/data-dir.ts";
import { sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import type { Caretaker } from "./caretaker.ts";
import { type DataDir, openDataDir } from "./data-dir.ts";
import { replaceFile } from "../base/files.ts";

/** The one that goes has 5 s for what is in flight, and some for its engine. */
const ROOM_MS = 15_000;
const POLL_MS = 50;

/**
 * Opens the directory, after the end of a background manager that has it. Faults: those of `openDataDir`; `conflict` when
 * the manager that has it is there to stay.
 */
export async function openInPlaceOfBackground(
  path: string,
  log: Log,
  caretaker: Caretaker | undefined,
): Promise<DataDir> {
  const until = performance.now() + ROOM_MS;
  let asked = false;
  for (;;) {
    try {
      return openDataDir(path, log, caretaker);
    } catch (error) {
      const fault = Fault.from(error);
      const pid = fault.kind === "conflict" ? fault.data?.pid : undefined;
      // Only who holds the lock is signalled: the number of another process would not be in both places.
      if (typeof pid !== "number" || (!asked && pid !== backgroundPid(path)) || performance.now() > until) throw fault;
      if (!asked) log.info("the manager that a front has started in the background makes room", { pid });
      if (!asked) process.kill(pid, "SIGTERM");
      asked = true;
      await sleep(POLL_MS);
    }
  }
}

/** Says that this process, which has the directory, is there for fronts only. */
export function markBackground(dir: DataDir): DataDir {
  const file = join(dir.path, DATA_FILE.background);
  replaceFile(file, String(process.pid));
  return {
    ...dir,
    close() {
      rmSync(file, { force: true });
      dir.close();
    },
  };
}

function backgroundPid(path: string): number | undefined {
  try {
    return Number(readFileSync(join(path, DATA_FILE.background), "utf8"));
  } catch {
    return undefined;
  }
}
