/** Changes of containers as levels: whatever happens, what is yielded is the container as it is then. */
import { Deadline, sleep } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { Filters } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { type EngineEvent, openEvents } from "../../docker/events.ts";
import type { Instance, Outage } from "../runtime.ts";
import { endedForMemory } from "./instance.ts";

/** Of one call of the engine inside the watch. */
const CALL_MS = 10_000;
/** From a lost event stream to the next try; the engine may be restarting. */
const RETRY_MS = 500;
/** A new stream begins this long before the last event that was seen: seconds, by the engine's clock. */
const OVERLAP_S = 2;
/** A stream that was silent for so long may be dead without a word, as after a change of networks: what is there is compared. */
const SILENCE_MS = 20_000;

export interface Source {
  /** A connection that has just been made: the engine may be another one since the last stream. */
  engine(deadline: Deadline): Promise<Engine>;
  list(deadline: Deadline): Promise<Instance[]>;
  inspect(id: string, deadline: Deadline): Promise<Instance | undefined>;
}

/**
 * Until the signal aborts. Never ends because the engine went away: it is looked for again, and what was missed is found
 * by listing. `outage` hears why the engine cannot be followed now, and `undefined` when it can.
 */
export async function* watchContainers(
  source: Source,
  filters: Filters,
  signal: AbortSignal,
  outage: Outage = () => {},
  silenceMs = SILENCE_MS,
): AsyncIterable<Instance> {
  const known = new Map<string, Instance>();
  let lastTime: number | undefined;
  while (!signal.aborted) {
    const round = new AbortController();
    const either = AbortSignal.any([signal, round.signal]);
    let follows = false;
    try {
      const engine = await source.engine(Deadline.in(CALL_MS, signal));
      const since = lastTime === undefined ? undefined : lastTime - OVERLAP_S;
      const events = await openEvents(
        engine,
        { ...filters, type: ["container"] },
        since,
        Deadline.in(CALL_MS, signal),
        either,
      );
      // Listed after the stream is open, so that nothing falls between the two.
      yield* reconcile(source, known, signal);
      follows = true;
      outage(undefined);
      for await (const event of withBeats(events, silenceMs)) {
        if (event === BEAT) {
          follows = false;
          yield* reconcile(source, known, signal);
          follows = true;
          continue;
        }
        lastTime = event.time;
        if (MEANINGFUL.test(event.Action)) yield* refresh(source, known, event, signal);
      }
    } catch (error) {
      // Cut or refused: the next round lists what is there. A cut alone is no outage, if that succeeds.
      if (!follows && !signal.aborted) outage(Fault.from(error).message);
    } finally {
      round.abort();
    }
    await sleep(RETRY_MS, signal).catch(() => {});
  }
}

/** The kernel's kill and the end of the container, by the engine's clock. */
const OOM_TO_END_MS = 5_000;

const BEAT = Symbol("nothing for a while");

/** The same, with a beat whenever nothing has come for so long. */
async function* withBeats<T>(source: AsyncIterable<T>, silenceMs: number): AsyncIterable<T | typeof BEAT> {
  const iterator = source[Symbol.asyncIterator]();
  for (let next = iterator.next(); ;) {
    const silence = Promise.withResolvers<typeof BEAT>();
    const timer = setTimeout(() => silence.resolve(BEAT), silenceMs);
    const got = await Promise.race([next, silence.promise]).finally(() => clearTimeout(timer));
    if (got === BEAT) {
      yield BEAT;
      continue;
    }
    if (got.done) return;
    yield got.value;
    next = iterator.next();
  }
}

/** Docker's word and Podman's. */
const REMOVED = /^(destroy|remove)$/;
/** `exec_*` events come with every health check and change nothing. */
const MEANINGFUL = /^(create|start|die|stop|kill|oom|pause|unpause|restart|rename|update|destroy|remove|health_status)/;

async function* reconcile(source: Source, known: Map<string, Instance>, signal: AbortSignal): AsyncIterable<Instance> {
  const now = await source.list(Deadline.in(CALL_MS, signal));
  const present = new Set(now.map(({ id }) => id));
  for (const instance of now) {
    const before = known.get(instance.id);
    known.set(instance.id, { ...instance, ...(before?.oomAt ? { oomAt: before.oomAt } : {}) });
    if (!before || !sameLevel(before, instance)) yield instance;
  }
  for (const [id, instance] of known) {
    if (present.has(id)) continue;
    known.delete(id);
    yield lost(instance);
  }
}

async function* refresh(
  source: Source,
  known: Map<string, Instance>,
  event: EngineEvent,
  signal: AbortSignal,
): AsyncIterable<Instance> {
  const { ID: id } = event.Actor;
  const before = known.get(id);
  const found = REMOVED.test(event.Action) ? undefined : await source.inspect(id, Deadline.in(CALL_MS, signal));
  if (!found) {
    known.delete(id);
    if (before) yield lost(before);
    return;
  }
  const oomAt = event.Action === "oom" ? event.time * 1000 : before?.oomAt;
  const seen = oomAt === undefined ? found : { ...found, oomAt };
  // Of an end right after that it is the reason, also when another event speaks of it later.
  const recent = oomAt !== undefined && event.time * 1000 - oomAt < OOM_TO_END_MS;
  const again = before?.exit?.reason === "oom" && before.incarnation === found.incarnation;
  const instance = recent || again ? endedForMemory(seen) : seen;
  known.set(id, instance);
  if (!before || !sameLevel(before, instance)) yield instance;
}

function lost(instance: Instance): Instance {
  return { ...instance, state: "lost", addresses: [] };
}

function sameLevel(left: Instance, right: Instance): boolean {
  return Bun.deepEquals({ ...left, labels: {} }, { ...right, labels: {} });
}
