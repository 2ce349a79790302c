import type { ManagerClient } from "../api/client/client.ts";
import { connectManager, type ConnectOptions } from "../api/client/connect.ts";
import { showProgress } from "./progress.ts";

type ReachOptions = Pick<ConnectOptions, "start" | "deadline" | "idleExitS">;

/** The manager; started in the background where none runs, unless `start` is false (then `unreachable`). */
export async function reach(options: ReachOptions = {}): Promise<ManagerClient> {
  const progress = showProgress();
  try {
    const onStarting = () => progress.report({ step: "starting the manager" });
    return await connectManager({ ...options, onStarting });
  } finally {
    progress.end();
  }
}
