/** What makes a watched resource change: lines of a log, samples of statistics, events of the engine. */
import { Deadline, sleep } from "../../base/deadline.ts";
import { at, inspectContainer, listContainers } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { openEvents } from "../../docker/events.ts";
import { openLogs } from "../../docker/logs.ts";
import { linesOf } from "../../docker/progress.ts";
import type { Watching } from "./resource.ts";

/** For an answer to begin. */
const OPEN_MS = 30_000;
/** Between two looks at a container whose streams end at once, as they do with log drivers that keep nothing. */
const PAUSE_MS = 1_000;
/** Containers of one service whose logs are followed. */
const FOLLOWED_MAX = 50;

type Follow = (engine: Engine, id: string, watching: Watching, terminal: boolean) => Promise<void>;

/** As long as the container exists: `follow` while it runs, its next start otherwise. */
export async function followContainer(id: string, watching: Watching, follow: Follow): Promise<void> {
  const { signal, changed } = watching;
  const engine = await watching.call.engine();
  while (!signal.aborted) {
    const round = new AbortController();
    try {
      const ended = AbortSignal.any([signal, round.signal]);
      // Before the look at its state, so that no start comes between the two.
      const events = await openEvents(
        engine,
        { container: [id], event: ["start", "destroy"] },
        undefined,
        Deadline.in(OPEN_MS),
        ended,
      );
      const info = await inspectContainer(engine, id, Deadline.in(OPEN_MS));
      if (!info) return changed();
      if (info.State.Status === "running") await follow(engine, id, { ...watching, signal: ended }, info.Config.Tty);
      else await first(events);
      changed();
    } finally {
      round.abort();
    }
    await sleep(PAUSE_MS, signal).catch(() => {});
  }
}

/** Until the container ends. */
export async function followLog(
  engine: Engine,
  id: string,
  { signal, changed }: Watching,
  terminal: boolean,
): Promise<void> {
  const lines = await openLogs(engine, id, { tail: 0, follow: true, terminal }, Deadline.in(OPEN_MS), signal);
  for await (const _ of lines) changed();
}

/** Until the container ends: one sample a second. */
export async function followStats(engine: Engine, id: string, { signal, changed }: Watching): Promise<void> {
  const what = "measuring the container";
  const request = { what, method: "GET", path: at(id, "stats"), query: { stream: true } } as const;
  const samples = await engine.stream(request, Deadline.in(OPEN_MS), signal);
  for await (const _ of linesOf(samples, what)) changed();
}

/** Everything that happens to the containers with these labels, but what is run in them. Ends with the signal only. */
export async function followProject(label: string[], { call, signal, changed }: Watching): Promise<void> {
  const filters = { type: ["container"], label };
  const events = await openEvents(await call.engine(), filters, undefined, Deadline.in(OPEN_MS), signal);
  for await (const { Action } of events) if (!Action.startsWith("exec_")) changed();
}

/** The logs of all containers with these labels, of those that start later, too. Ends with the signal only. */
export async function followLogsOf(label: string[], watching: Watching): Promise<void> {
  const engine = await watching.call.engine();
  const following = new Map<string, Promise<void>>();
  const begin = (id: string) => {
    if (following.has(id) || following.size >= FOLLOWED_MAX) return;
    const followed = followOne(engine, id, watching).catch(() => {});
    following.set(
      id,
      followed.finally(() => following.delete(id)),
    );
  };
  const filters = { type: ["container"], label, event: ["start", "die"] };
  const events = await openEvents(engine, filters, undefined, Deadline.in(OPEN_MS), watching.signal);
  const running = await listContainers(engine, { label, status: ["running"] }, Deadline.in(OPEN_MS));
  for (const { Id } of running) begin(Id);
  for await (const { Action, Actor } of events) {
    watching.changed();
    if (Action === "start") begin(Actor.ID);
  }
}

async function followOne(engine: Engine, id: string, watching: Watching): Promise<void> {
  const info = await inspectContainer(engine, id, Deadline.in(OPEN_MS));
  if (info) await followLog(engine, id, watching, info.Config.Tty);
}

async function first(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items) return;
}
