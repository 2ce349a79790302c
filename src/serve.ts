/**
 * The manager's role: puts runtime, manager, REST and TCP port together, and takes them apart in reverse.
 *
 * A manager that ends leaves its servers running: clients that are connected notice nothing, and the next manager takes
 * them over by their labels. `--stop-servers-on-exit` and `--embedded` remove them; a manager that idles out removes
 * those that sessions had started for themselves.
 */
import { randomUUID } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { DATA_FILE, dataDir } from "./base/data-dir.ts";
import { Deadline, sleep } from "./base/deadline.ts";
import { Fault } from "./base/fault.ts";
import { createLog, type Log, SILENT } from "./base/log.ts";
import { type Doors, openDoors, openInside } from "./doors.ts";
import type { EmbeddedManager } from "./front/opening.ts";
import { type Caretaker, startCaretaker } from "./manager/caretaker.ts";
import { type DataDir, openDataDir } from "./manager/data-dir.ts";
import { markBackground, openInPlaceOfBackground } from "./manager/handover.ts";
import { Manager, type ManagerOptions } from "./manager/manager.ts";
import { type Arguments, mergeSettings, readArguments, type Settings, USAGE } from "./manager/settings.ts";
import { type Config, configFault, defaultConfigFile, EMPTY_CONFIG, loadConfig } from "./model/config.ts";
import { type SessionRequest, type SessionRequestInput, sessionRequest } from "./model/session-request.ts";
import { LABEL } from "./runtime/labels.ts";
import { openRuntime } from "./runtime/select.ts";

/** What is in flight at a SIGTERM has this long to end (features.md: stop timeout). */
const DRAIN_MS = 5_000;
/** Then servers, where they are to be removed, this long. */
const REMOVE_MS = 15_000;
const IDLE_POLL_MS = 500;
const LOOK_MS = 5_000;
const SIGNALLED_TWICE = 130;
const NO_ENGINE_HINT =
  "start a container engine, or run servers as plain processes, without isolation: --runtime process";

/** `linkspan serve`. Ends the process itself: nothing that is still open may keep it. */
export async function serveMain(argv: string[]): Promise<number> {
  let code = 0;
  try {
    const asked = readArguments(argv, process.env);
    if (asked.help) process.stdout.write(USAGE);
    else await serve(asked);
  } catch (error) {
    const fault = Fault.from(error);
    process.stderr.write(`linkspan serve: ${fault.message}\n${fault.hint === undefined ? "" : `  ${fault.hint}\n`}`);
    code = fault.faces.exit;
  }
  process.exit(code);
}

async function serve(asked: Arguments): Promise<void> {
  const config = await readConfig(asked.config);
  let settings = mergeSettings(asked.settings, config.manager);
  const log = createLog({ level: settings.logLevel, format: settings.logFormat });
  const signalled = untilSignalled(asked.stdinExit, log);
  const path = asked.dataDir ?? dataDir(process.env);
  const dir = await openGuarded(settings, path, path, async (caretaker) =>
    asked.background
      ? markBackground(openDataDir(path, log, caretaker))
      : await openInPlaceOfBackground(path, log, caretaker),
  );
  if (asked.background && settings.runtime === "auto" && (await processesRun(dir))) {
    settings = mergeSettings({ ...asked.settings, runtime: "process" }, config.manager);
  }
  const manager = await startManager(dir, path, settings, config, log);
  let doors: Doors | undefined;
  let idle = false;
  try {
    doors = openDoors({ manager, settings, config, log, background: asked.background });
    idle = await untilOver(manager, doors, asked.idleExitMs, signalled);
    log.info(idle ? "the manager ends: nobody needs it" : "the manager ends");
  } finally {
    // Whoever comes now is refused; what is in flight still has its manager.
    await doors?.close(Deadline.in(DRAIN_MS));
    if (idle) await manager.removeUnwanted(Deadline.in(REMOVE_MS));
    await manager.close(Deadline.in(REMOVE_MS));
  }
}

/** A manager inside a front, with a data directory of its own: it shares nothing, and takes its servers with it. */
export async function embeddedManager(): Promise<EmbeddedManager> {
  const asked = readArguments([], process.env);
  const config = await readConfig(asked.config);
  const merged = mergeSettings(asked.settings, config.manager);
  // It lives as long as its one client, and looks after its own: the shared manager does the rest.
  const settings = { ...merged, stopServersOnExit: true, cleanupInterval: 0, maxAge: 0 };
  const shared = asked.dataDir ?? dataDir(process.env);
  const own = join(shared, DATA_FILE.embedded, randomUUID().slice(0, 8));
  const dir = await openGuarded(settings, own, shared, async (caretaker) => openDataDir(own, SILENT, caretaker));
  const close = () => {
    dir.close();
    rmSync(own, { recursive: true, force: true });
  };
  // The shared directory is the runtime's: installed packages are kept there for everybody.
  const manager = await startManager({ ...dir, close }, shared, settings, config, SILENT);
  let inside: ReturnType<typeof openInside> | undefined;
  return {
    acquire: async (request, kind, report, deadline) => manager.acquire(parseRequest(request), kind, report, deadline),
    release: (session) => manager.release(session),
    server: (name, session) => manager.server(name, session),
    gateway: () => (inside ??= openInside(manager, settings, config)).path,
    close: async (deadline) => {
      await inside?.close(deadline.within(DRAIN_MS));
      await manager.close(deadline);
    },
  };
}

/** As REST would: the front does not load the schema. Faults: `invalid`. */
function parseRequest(request: SessionRequestInput): SessionRequest {
  const parsed = v.safeParse(sessionRequest, request);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Fault("invalid", `${v.getDotPath(issue) ?? "the request"}: ${issue.message}`);
}

/** Whether an earlier manager of this directory, which somebody had told to, has left servers as plain processes. */
async function processesRun({ path, instance }: ManagerOptions["dataDir"]): Promise<boolean> {
  await using runtime = await openRuntime("process", { instance, dataDir: path });
  const found = await runtime.list({ [LABEL.instance]: instance }, Deadline.in(LOOK_MS)).catch(() => []);
  return found.some(({ state }) => state === "running");
}

/** Whoever is to clean up after a kill is there before there is anything. */
async function openGuarded(
  { runtime }: Settings,
  dir: string,
  runtimeDir: string,
  open: (caretaker: Caretaker | undefined) => Promise<DataDir>,
): Promise<DataDir> {
  const caretaker = startCaretaker({ dir, runtime, runtimeDir });
  try {
    return await open(caretaker);
  } catch (error) {
    caretaker?.dismiss();
    throw error;
  }
}

/** Owns the data directory from here on. */
async function startManager(
  dir: ManagerOptions["dataDir"],
  runtimeDir: string,
  settings: Settings,
  config: Config,
  log: Log,
): Promise<Manager> {
  try {
    const runtime = await openRuntime(settings.runtime, {
      instance: dir.instance,
      dataDir: runtimeDir,
      home: dir.path,
      pythonImage: settings.pythonImage,
    });
    const { allowWeaker, stopServersOnExit, budget } = settings;
    const cleanup = { intervalMs: settings.cleanupInterval, maxAgeMs: settings.maxAge };
    const noEngineHint = settings.runtime === "auto" ? NO_ENGINE_HINT : undefined;
    const { servers } = config;
    return new Manager({
      runtime,
      dataDir: dir,
      servers,
      log,
      allowWeaker,
      stopServersOnExit,
      budget,
      cleanup,
      noEngineHint,
    });
  } catch (error) {
    dir.close();
    throw error;
  }
}

/** Resolves at a signal (false) or when nobody has needed the manager for that long (true). */
async function untilOver(manager: Manager, doors: Doors, idleExitMs: number, signalled: AbortSignal): Promise<boolean> {
  while (!signalled.aborted) {
    await sleep(IDLE_POLL_MS, signalled).catch(() => {});
    // Somebody who follows a log or the events, or has the gateway open, is there, too.
    const listening = doors.pending > 0;
    if (idleExitMs > 0 && !signalled.aborted && manager.idleMs(listening) >= idleExitMs) return true;
  }
  return false;
}

/** The first signal ends the manager in order, the second one at once. So does the end of stdin, where that is asked for. */
function untilSignalled(stdinExit: boolean, log: Log): AbortSignal {
  const controller = new AbortController();
  if (stdinExit) {
    for (const event of ["end", "error"]) {
      process.stdin.once(event, () => {
        log.info("stdin has ended");
        controller.abort();
      });
    }
    process.stdin.resume();
  }
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(SIGNALLED_TWICE);
      controller.abort();
      log.info(`${name} was received`);
    });
  }
  return controller.signal;
}

/** Never the current folder's file: that folder may belong to a project which is not trusted. */
async function readConfig(named: string | undefined): Promise<Config> {
  const file = named ?? defaultConfigFile(process.env);
  if (named === undefined && !existsSync(file)) return EMPTY_CONFIG;
  const result = await loadConfig(file, process.env);
  if (!result.ok) throw configFault(result.errors);
  return result.config;
}
