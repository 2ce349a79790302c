/**
 * `linkspan demo`, the main job to look at: the official filesystem server in a container, called through its socket.
 * It stays up until Ctrl-C and then takes everything away again.
 */
import * as v from "valibot";
import type { ManagerClient } from "../api/client/client.ts";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { VERSION } from "../base/version.ts";
import type { ToolResult } from "../model/rest.ts";
import type { ServerBodyInput } from "../model/server-spec.ts";
import type { ServerView } from "../model/views.ts";
import { contentText } from "./call.ts";
import { command, type Services } from "./command.ts";
import { type DemoManager, startManager } from "./demo/manager.ts";
import { clientConfiguration, nextSteps, type Place } from "./demo/next.ts";
import { HELLO_FILE, makeWorkspace, SAMPLE_FILES } from "./demo/sample.ts";
import { showProgress } from "./progress.ts";
import { note, oneLine, onStdout, print, printJson, whenReaderGone, withoutControls } from "./terminal.ts";
import { formatMs } from "./units.ts";

const IMAGE = "npm:@modelcontextprotocol/server-filesystem";
const SERVER = "files";
/** Where a container sees the sample folder. */
const MOUNT = "/data";
/** A first start may have to download the server's package. */
const START_MS = 300_000;
const CALL_MS = 60_000;
const REMOVE_MS = 15_000;

type Runtime = "docker" | "process";

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
    const interrupted = untilInterrupted();
    const { signal } = interrupted;
    try {
      say(`${onStdout.bold(`Linkspan ${VERSION}`)}: an MCP server in a container, called through its socket\n`);
      const runtime = asked === "auto" ? await bestRuntime(services, say) : asked;
      await using workspace = await makeWorkspace();
      say(step("Sample", `${workspace.sample} (${SAMPLE_FILES} files)`));
      const startedAt = performance.now();
      await using manager = await startManager(workspace.data, runtime, signal);
      const { restPort, tcpPort } = manager;
      const listens = `REST 127.0.0.1:${restPort}, TCP 127.0.0.1:${tcpPort}`;
      say(step("Manager", listens, performance.now() - startedAt));
      const root = runtime === "docker" ? MOUNT : workspace.sample;
      const place: Place = { data: workspace.data, restPort, tcpPort, server: SERVER, root };
      await using server = await startServer(manager.client, bodyFor(runtime, workspace.sample), signal);
      say(step("Server", describe(server.view), server.tookMs));
      const calls = await makeCalls(manager.client, root, say, signal);
      if (json)
        printJson({ runtime, ...place, view: server.view, calls, client: JSON.parse(clientConfiguration(place)) });
      else if (!once) print(`\n${nextSteps(place)}\n\n${onStdout.bold("Ctrl-C ends it")} and takes everything away.`);
      if (!once) await waitForEnd(signal, manager);
      say("");
    } catch (thrown) {
      // Ctrl-C in the middle of a start is what was wanted, not a failure.
      if (!signal.aborted) throw thrown;
    } finally {
      interrupted.end();
    }
    say("All gone: server, manager, sample folder. Kept for next time: the cached package and bridge.");
  },
});

function step(what: string, detail: string, tookMs?: number): string {
  const time = tookMs === undefined ? "" : onStdout.dim(`  ${formatMs(tookMs)}`);
  return `${onStdout.green("✓")} ${what.padEnd(9)}${oneLine(detail)}${time}`;
}

async function bestRuntime(services: Services, say: (text: string) => void): Promise<Runtime> {
  try {
    const { version, address } = await services.checkEngine();
    say(step("Engine", `Docker ${version} at ${address}`));
    return "docker";
  } catch (thrown) {
    const fault = Fault.from(thrown);
    say(`${onStdout.yellow("!")} Engine   ${oneLine(fault.message)}`);
    if (fault.hint) say(`           ${oneLine(fault.hint)}`);
    say(`           ${onStdout.yellow("NO ISOLATION")}: the server runs as a plain process of yours instead.`);
    return "process";
  }
}

function bodyFor(runtime: Runtime, sample: string): ServerBodyInput {
  if (runtime === "process") return { image: IMAGE, args: [sample] };
  return { image: IMAGE, args: [MOUNT], volumes: [{ source: sample, target: MOUNT, readOnly: true }] };
}

async function startServer(client: ManagerClient, body: ServerBodyInput, signal: AbortSignal) {
  const startedAt = performance.now();
  const progress = showProgress();
  const remove = () => client.remove(SERVER, { deadline: Deadline.in(REMOVE_MS) });
  try {
    const view = await client.start(SERVER, body, { deadline: Deadline.in(START_MS, signal), report: progress.report });
    return { view, tookMs: performance.now() - startedAt, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove().catch(() => undefined);
    throw error;
  } finally {
    progress.end();
  }
}

function describe(view: ServerView): string {
  const where = view.container ? `container ${view.container}` : "a plain process";
  const addresses = view.addresses.map((one) => (one.kind === "tcp" ? `${one.host}:${one.port}` : one.path));
  return `${view.image} in ${where}, bridge at ${addresses.join(", ")}`;
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
    const answer = result.content.map(contentText).join("\n").trimEnd();
    say(`\n${onStdout.cyan("→")} ${onStdout.bold(tool)} path=${path}${onStdout.dim(`  ${formatMs(tookMs)}`)}`);
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

/** Aborts at Ctrl-C, SIGTERM, a closed terminal, or when nobody reads the output any more. */
function untilInterrupted(): { signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) note("Already ending; a moment.");
    else controller.abort();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of signals) process.on(name, stop);
  whenReaderGone(() => controller.abort());
  return {
    signal: controller.signal,
    end: () => signals.forEach((name) => process.off(name, stop)),
  };
}
