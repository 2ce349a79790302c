/** Where events go: to whoever listens, into the database, and what concerns containers into the lifecycle log. */
import { EventLog } from "./events.ts";
import { LifecycleLog } from "./lifecycle.ts";
import type { State } from "./state.ts";

export function openEvents(
  dataDir: string,
  { history }: State,
  containerOf: (server: string) => string | undefined,
): EventLog {
  const events = new EventLog(Date.now, containerOf);
  const lifecycle = new LifecycleLog(dataDir);
  events.remember(history);
  events.listen((event) => history.add(event));
  events.listen((event) => lifecycle.heard(event));
  return events;
}
