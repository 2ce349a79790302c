/**
 * `linkspan demo`, the main job to look at: the official filesystem server in a container, called through its socket.
 * It stays up until Ctrl-C and then takes everything away again.
 */
import * as v from "valibot";
import type { ManagerClient } from "../api/client/client.ts";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { VERSION } from "../base/version.ts";
import type { Inspection, ToolResult } from "../model/rest.ts";
import type { ServerView } from "../model/views.ts";
import { contentText } from "./call.ts";
import { command, type Services } from "./command.ts";
import { type DemoManager, FIRST_PORT, startManager } from "./demo/manager.ts";
import { clientConfiguration, nextSteps, type Place } from "./demo/next.ts";
import { HELLO_FILE, makeWorkspace, SAMPLE_FILES } from "./demo/sample.ts";
import { type Runtime, SERVER, startServer } from "./demo/server.ts";
import { hardening } from "./hardening.ts";
import { note, oneLine, onStdout, print, printJson, whenReaderGone, withoutControls } from "./terminal.ts";
import { formatMs } from "./units.ts";

const KEPT = "downloaded packages and, on the engine, an image and the bridge's volume";
const CALL_MS = 60_000;

export const demo = command({
  define: (program) =>
    program
      .option("--once", "end right after the calls")
      .option("--runtime <kind>", "docker, process, or auto: Docker where an engine answers (default: auto)"),
  examples: [
    ["linkspan demo", "see it work; Ctrl-C ends it and leaves nothing behind"],
    ["linkspan demo --once", "the same, and end"],
    ["linkspan demo --runtime process", "without Docker: plain processes, no isolation"],
  ],
  options: v.object({
    once: v.optional(v.boolean(), false),
    runtime: v.optional(v.picklist(["auto", "docker", "process"], "expected auto, docker or process"), "auto"),
  }),
  async run({ options: { once, runtime: asked }, json, services }) {
    const say = json ? () => undefined : print;
    const stage: Stage = { once, json, services, say, signal: untilInterrupted() };
    try {
      say(`${onStdout.bold(`Linkspan ${VERSION}`)} starts an MCP server and calls it through its socket\n`);
      const chosen = await chooseRuntime(asked, services, say);
      const trouble = await show(stage, { ...chosen, mayFail: asked === "auto" && chosen.runtime === "docker" });
      if (trouble) {
        sayNoIsolation(say, trouble);
        await show(stage, { runtime: "process", local: true, mayFail: false });
      }
    } catch (thrown) {
      // Ctrl-C in the middle of a start is what was wanted, not a failure.
      if (!stage.signal.aborted || Fault.from(thrown).kind !== "cancelled") throw thrown;
    }
    say("\nAll gone: server, manager, sample folder.");
    say(`Kept for next time: ${KEPT}.`);
  },
});

interface Stage {
  once: boolean;
  json: boolean;
  services: Services;
  say: (text: string) => void;
  signal: AbortSignal;
}

interface Choice {
  runtime: Runtime;
  /** Whether the engine sees this machine's files. */
  local: boolean;
  /** Whether an engine that cannot run the server is a reason to do without it. */
  mayFail: boolean;
}

/** The whole demo on one runtime; resolves with the engine's trouble where it ended for that. */
async function show(stage: Stage, { runtime, local, mayFail }: Choice): Promise<Fault | undefined> {
  const { once, json, services, say, signal } = stage;
  await using workspace = await makeWorkspace();
  const { data, sample } = workspace;
  const startedAt = performance.now();
  await using manager = await startManager(data, runtime, signal);
  const { client, restPort, tcpPort } = manager;
  const taken = restPort === FIRST_PORT ? "" : ` (${FIRST_PORT} is taken)`;
  say(step("Manager", `REST 127.0.0.1:${restPort}, TCP 127.0.0.1:${tcpPort}${taken}`, performance.now() - startedAt));
  const starting = startServer({ client, services, runtime, sample, local, signal });
  const started = await (mayFail ? starting.catch(engineTrouble) : starting);
  if (started instanceof Fault) return started;
  await using server = started;
  const { view, root } = server;
  say(step("Server", view.image, server.tookMs));
  say(detail(place(view)));
  say(detail(`sees ${sample} (${SAMPLE_FILES} files), ${server.how}`));
  const inspection = await client.inspect(SERVER);
  for (const line of lockIn(inspection)) say(detail(line));
  if (runtime === "docker") for (const gap of inspection.gaps) say(weaker(gap.message));
  const here: Place = { data, restPort, tcpPort, server: SERVER, root };
  const calls = await makeCalls(client, root, say, signal);
  if (json) printJson({ runtime, ...here, view, calls, client: JSON.parse(clientConfiguration(here)) });
  else if (!once) print(`\n${nextSteps(here)}\n\n${onStdout.bold("Ctrl-C ends it")} and takes everything away.`);
  if (!once) await waitForEnd(signal, manager);
  return undefined;
}

/** An engine of another kind than this machine, or out of reach, say; anything else is thrown on. */
function engineTrouble(thrown: unknown): Fault {
  const fault = Fault.from(thrown);
  if (["unsupported", "unreachable", "forbidden", "engine-failed"].includes(fault.kind)) return fault;
  throw thrown;
}

function step(what: string, detail: string, tookMs?: number): string {
  const time = tookMs === undefined ? "" : onStdout.dim(`  ${formatMs(tookMs)}`);
  return `${onStdout.green("✓")} ${what.padEnd(9)}${oneLine(detail)}${time}`;
}

/** Docker where an engine answers. What is asked for by name is not replaced by something weaker. */
async function chooseRuntime(asked: Runtime | "auto", services: Services, say: (text: string) => void) {
  if (asked !== "process") {
    try {
      const { version, address, local } = await services.checkEngine();
      say(step("Engine", `Docker ${version} at ${address}`));
      return { runtime: "docker" as const, local };
    } catch (thrown) {
      if (asked === "docker") throw thrown;
      sayNoIsolation(say, Fault.from(thrown));
      return { runtime: "process" as const, local: true };
    }
  }
  sayNoIsolation(say);
  return { runtime: "process" as const, local: true };
}

function sayNoIsolation(say: Stage["say"], because?: Fault): void {
  const mark = onStdout.yellow("!");
  if (because) say(`${mark} Engine   ${oneLine(because.message)}`);
  if (because?.hint) say(detail(because.hint));
  say(`${mark} ${onStdout.bold("No isolation")}: the server runs as a plain process of yours, not in a container.`);
}

function detail(text: string): string {
  return onStdout.dim(`           ${oneLine(text)}`);
}

function weaker(message: string): string {
  return `${onStdout.yellow("!")} Weaker   ${oneLine(message)}`;
}

function place(view: ServerView): string {
  const where = view.runtime === "process" ? "a plain process" : `the container ${view.container ?? view.id ?? ""}`;
  const addresses = view.addresses.map((one) => (one.kind === "tcp" ? `${one.host}:${one.port}` : one.path));
  return `in ${where}, its bridge at ${addresses.join(", ")}`;
}

/** What holds according to the engine, three things a line. */
function lockIn(inspection: Inspection): string[] {
  const shown = ["isolation", "memory", "cpus", "processes", "capabilities", "root", "network"];
  const rows = hardening(inspection).filter(([key = ""]) => shown.includes(key));
  const things = rows.map(([key, value]) => `${key} ${value}`);
  return [things.slice(0, 3), things.slice(3)].filter((line) => line.length > 0).map((line) => line.join(" · "));
}

/** The two calls; resolves with what was asked and answered, and how long each took. */
async function makeCalls(client: ManagerClient, root: string, say: (text: string) => void, signal: AbortSignal) {
  const calls: { tool: string; arguments: Record<string, unknown>; tookMs: number; result: ToolResult }[] = [];
  for (const [tool, path] of [
    ["list_directory", root],
    ["read_text_file", `${root}/${HELLO_FILE}`],
  ] as const) {
    const startedAt = performance.now();
    const body = { tool, arguments: { path } };
    const result = await client.call(SERVER, body, { deadline: Deadline.in(CALL_MS, signal) });
    const tookMs = performance.now() - startedAt;
    calls.push({ ...body, tookMs, result });
    const isFirst = calls.length === 1;
    const answer = result.content.map(contentText).join("\n").trimEnd();
    say(
      `\n${onStdout.cyan("→")} ${onStdout.bold(tool)} path=${path}${onStdout.dim(`  ${formatMs(tookMs)}${isFirst ? ", with the start of the session's process" : ""}`)}`,
    );
    say(withoutControls(answer).replace(/^/gm, "  "));
    if (result.isError) throw new Fault("tool-failed", `${tool} failed: ${answer}`);
  }
  return calls;
}

/** Ends with the signal; throws when the manager ends first. */
async function waitForEnd(signal: AbortSignal, manager: DemoManager): Promise<void> {
  const asked = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  // A pending promise alone does not keep the process alive.
  const alive = setInterval(() => undefined, 60_000);
  const fault = await Promise.race([asked, manager.ended]);
  clearInterval(alive);
  if (fault) throw fault;
}

/**
 * Aborts at Ctrl-C, SIGTERM, a closed terminal, or when nobody reads the output any more. The handlers stay to the end:
 * a second signal must not cut off the clearing away.
 */
function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) note("Already ending; a moment.");
    else controller.abort();
  };
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, stop);
  whenReaderGone(() => controller.abort());
  return controller.signal;
}
