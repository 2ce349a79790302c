/** What there is to do with servers, done by this process itself: for toolsets that the manager hosts. */
import { Deadline } from "../base/deadline.ts";
import type { ToolCalls } from "../gateway/tool-calls.ts";
import type { Manager } from "../manager/manager.ts";
import { REQUEST_MS, type ServerChange, START_MS } from "../model/rest.ts";
import { serverBody } from "../model/server-spec.ts";
import type { ServerView } from "../model/views.ts";
import type { ServersDoor } from "./client/door.ts";
import { parseInput } from "./input.ts";
import type { Metrics } from "./metrics.ts";
import { statusOf } from "./routes/cleanup.ts";

interface House {
  manager: Manager;
  calls: ToolCalls;
  metrics: Metrics;
}

const quiet = () => {};
const soon = (deadline: Deadline | undefined) => deadline ?? Deadline.in(REQUEST_MS);
const started = (deadline: Deadline | undefined) => deadline ?? Deadline.in(START_MS);

export function ownDoor({ manager, calls, metrics }: House): ServersDoor {
  return {
    local: true,
    servers: async () => manager.servers(),
    server: async (name) => manager.server(name),
    async inspect(name, { deadline } = {}) {
      const { raw, health, ...found } = await manager.inspect(name, soon(deadline));
      return { ...found, ...(raw === undefined ? {} : { raw }), ...(health === undefined ? {} : { health }) };
    },
    async start(name, body, { deadline, report = quiet } = {}) {
      const parsed = body && parseInput(serverBody, body, "the server");
      return changed(await manager.start(name, parsed, report, started(deadline)), "server started");
    },
    stop: async (name, { deadline } = {}) => changed(await manager.stop(name, soon(deadline)), "server stopped"),
    restart: async (name, { deadline, report = quiet } = {}) =>
      changed(await manager.restart(name, report, started(deadline)), "server restarted"),
    remove: (name, { deadline, keep = false } = {}) =>
      removeServer({ manager, calls, metrics }, name, soon(deadline), keep),
    async tools(name, { deadline } = {}) {
      manager.server(name);
      return await calls.tools(name, { deadline: started(deadline) });
    },
    async call(name, { tool, arguments: args }, { deadline, report = quiet } = {}) {
      manager.server(name);
      const onProgress = (step: { progress: number; total?: number; message?: string }) =>
        report({ step: tool, detail: step.message, current: step.progress, total: step.total });
      return await calls.call(name, tool, args, { report, onProgress, deadline, signal: deadline?.signal });
    },
    logs: (name, query) => manager.logs(name, { ...query, follow: false }),
    stats: (name, { deadline } = {}) => manager.stats(name, soon(deadline)),
    sessions: async () => manager.sessions(),
    events: async (limit) => manager.events.recent(limit),
    cleanup: (body, { deadline } = {}) => manager.cleanup.run(body, soon(deadline)),
    status: () => statusOf(manager),
  };
}

/** With the session that tool calls of ours have kept open, and the figures of its calls. */
export async function removeServer(
  { manager, calls, metrics }: House,
  name: string,
  deadline: Deadline,
  keep: boolean,
): Promise<void> {
  await calls.letGo(name);
  await manager.remove(name, deadline, keep);
  metrics.forget(name);
}

function changed(view: ServerView, message: string): ServerChange {
  return { ...view, message };
}
