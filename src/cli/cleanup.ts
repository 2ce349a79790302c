import * as v from "valibot";
import { findManager, remoteManager } from "../api/client/connect.ts";
import { dataDir } from "../base/data-dir.ts";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { CleanupItem } from "../model/cleanup.ts";
import { command } from "./command.ts";
import { showProgress } from "./progress.ts";
import { reach } from "./reach.ts";
import { deadlineOf, TIMEOUT_FLAG, timeoutOption } from "./servers.ts";
import { note, onStdout, oneLine, print, printJson } from "./terminal.ts";
import { formatMs } from "./units.ts";

/** A manager that was started for one cleanup ends as soon as it is done. */
const ONCE_IDLE_EXIT_S = 1;
const LOOK_MS = 5_000;

export const cleanup = command({
  define: (program) =>
    program
      .option("--once", "where no manager runs, leave none running")
      .option("--dry-run", "only show what would be removed")
      .option("--force", "also orphans that do not answer, and the containers that --image names")
      .option("--image <image>", "with --force: containers of this image that were left by other means than Linkspan")
      .option(TIMEOUT_FLAG, "give up after this long, such as 30s"),
  examples: [
    ["linkspan cleanup --dry-run", "what is left over, and why it may go"],
    ["linkspan cleanup", "remove it; a manager that runs does so every five minutes"],
    ["linkspan cleanup --once", "the same from cron, without a manager afterwards"],
    ["linkspan cleanup --force --image mcp/files", "also what `docker run mcp/files` has left behind"],
  ],
  options: v.object({
    once: v.optional(v.boolean(), false),
    dryRun: v.optional(v.boolean(), false),
    force: v.optional(v.boolean(), false),
    image: v.optional(v.string()),
    timeout: timeoutOption,
  }),
  async run({ options: { once, dryRun, force, image, timeout }, json }) {
    if (image !== undefined && !force) {
      throw new Fault("usage", "--image needs --force", {
        hint: "What Linkspan has not made is removed by force only.",
      });
    }
    const client = await reach(once && !(await managerRuns()) ? { idleExitS: ONCE_IDLE_EXIT_S } : {});
    const progress = showProgress();
    progress.report({ step: dryRun ? "looking" : "cleaning up" });
    const report = await client
      .cleanup({ dryRun, force, ...(image === undefined ? {} : { image }) }, deadlineOf(timeout))
      .finally(() => progress.end());
    const { removed, failed, kept, tookMs } = report;
    if (json) printJson(report);
    else {
      for (const item of removed) print(itemLine(item));
      const verb = dryRun ? "would be removed" : "removed";
      note(`${removed.length} ${verb}, ${kept} kept, in ${formatMs(tookMs)}.`);
    }
    const [first] = failed;
    if (!first) return;
    throw new Fault("engine-failed", `${failed.length} could not be removed: ${first.name}: ${first.why}`, {
      data: { failed },
    });
  },
});

/** `linkspan-a1b2c3d4-files (container): its manager is gone, and nobody uses it` */
export function itemLine({ name, kind, why }: CleanupItem): string {
  return `${onStdout.bold(oneLine(name))} (${kind}): ${oneLine(why)}`;
}

async function managerRuns(): Promise<boolean> {
  if (remoteManager(process.env)) return true;
  return (await findManager(dataDir(), Deadline.in(LOOK_MS))) !== undefined;
}
