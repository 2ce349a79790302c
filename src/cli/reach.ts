import type { ManagerClient } from "../api/client/client.ts";
import { connectManager } from "../api/client/connect.ts";
import type { Deadline } from "../base/deadline.ts";
import { showProgress } from "./progress.ts";

/** The manager; started in the background where none runs, unless `start` is false (then `unreachable`). */
export async function reach(options: { start?: boolean; deadline?: Deadline } = {}): Promise<ManagerClient> {
  const progress = showProgress();
  try {
    const onStarting = () => progress.report({ step: "starting the manager" });
    return await connectManager({ ...options, onStarting });
  } finally {
    progress.end();
  }
}
