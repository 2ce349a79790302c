import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { absoluteSource, labels, secrets, variables, variablesOfFile } from "../base/words.ts";
import { nameOfRef } from "../model/ref-name.ts";
import { name, type ServerBodyInput, serverBody } from "../model/server-spec.ts";
import { collect, command } from "./command.ts";
import { showProgress } from "./progress.ts";
import { reach } from "./reach.ts";
import { deadlineOf, TIMEOUT_FLAG, timeoutOption } from "./servers.ts";
import { note, onStderr, print, printJson } from "./terminal.ts";

const texts = v.optional(v.array(v.string()), []);
const figure = v.optional(v.pipe(v.string(), v.regex(/^\d+(\.\d+)?$/, "expected a number"), v.transform(Number)));

const options = v.object({
  name: v.optional(name),
  env: texts,
  envFile: texts,
  secret: texts,
  volume: texts,
  label: texts,
  capAdd: texts,
  memory: v.optional(v.string()),
  cpus: figure,
  pids: figure,
  tmp: v.optional(v.string()),
  messageSize: v.optional(v.string()),
  network: v.optional(v.string()),
  user: v.optional(v.string()),
  workdir: v.optional(v.string()),
  entrypoint: texts,
  writable: v.optional(v.boolean(), false),
  stopTimeout: v.optional(v.string()),
  lease: v.optional(v.string()),
  session: v.optional(v.picklist(["process", "shared", "container"], "expected process, shared or container")),
  spare: figure,
  idleStop: v.optional(v.string()),
  sessionIdle: v.optional(v.string()),
  maxSessions: figure,
  era: v.optional(v.picklist(["auto", "modern", "legacy"], "expected auto, modern or legacy")),
  timeout: timeoutOption,
});
type RunOptions = v.InferOutput<typeof options>;

export const run = command({
  define: (program) =>
    program
      .argument("<ref>", "npm:PACKAGE[@VERSION], pypi:PACKAGE[@VERSION], or an image")
      .argument("[args...]", "arguments of the server; write -- before those that begin with a dash")
      .option("--name <name>", "what to call it (default: the last word of the reference)")
      .option("-e, --env <K=V>", "environment; K alone takes it from here (repeatable)", collect)
      .option("--env-file <file>", "lines of K=V (repeatable)", collect)
      .option("--secret <K>", "like -e K, but the engine never sees it; K=@FILE reads a file (repeatable)", collect)
      .option("-v, --volume <src:dst[:rw]>", "a volume's name or a path; read-only without :rw (repeatable)", collect)
      .option("--memory <size>", "memory limit (default: 512m)")
      .option("--cpus <number>", "CPU limit (default: 1)")
      .option("--pids <number>", "process limit (default: 128)")
      .option("--tmp <size>", "size of /tmp, which is in memory (default: 64m)")
      .option("--message-size <size>", "longest message in either direction (default: 16m)")
      .option("--network <network>", "none, egress (outbound only), or a network's name (default: none)")
      .option("--user <user>", "uid[:gid] or a name in the image")
      .option("--workdir <path>", "working directory in the container")
      .option("--entrypoint <word>", "instead of the image's entrypoint (repeat for several words)", collect)
      .option("--writable", "let the server write to its root file system")
      .option("--cap-add <capability>", "give a capability back, such as NET_BIND_SERVICE (repeatable)", collect)
      .option("--label <K=V>", "a label of the container (repeatable)", collect)
      .option("--stop-timeout <duration>", "longest stop (default: 5s)")
      .option("--lease <duration>", "ends after so long without its owners, or none (default: 5m)")
      .option(
        "--session <policy>",
        "a process for each session, one shared by all, or a container for each (default: process)",
      )
      .option("--spare <number>", "server processes kept started ahead, for sessions to come (default: 0)")
      .option("--idle-stop <duration>", "stop it when nobody has used it for so long; the next use starts it again")
      .option("--session-idle <duration>", "give up a client's session after so long without a request")
      .option("--max-sessions <number>", "sessions at the same time (default: 256)")
      .option("--era <era>", "MCP's era in which the gateway speaks to it: auto, modern or legacy (default: auto)")
      .option(TIMEOUT_FLAG, "give up the start after this long (default: 10m)"),
  examples: [
    ["linkspan run npm:@modelcontextprotocol/server-filesystem -v ~/notes:/data -- /data", "one folder, read-only"],
    ["linkspan run ghcr.io/me/server:1 --name web --network egress --secret API_KEY", "an image that needs a key"],
    ["linkspan run pypi:mcp-server-time", "a Python package; its image is built at the first start"],
    ["linkspan run npm:@modelcontextprotocol/server-memory -v memory:/data:rw", "a named volume that stays"],
  ],
  options,
  async run({ args: [ref = "", ...args], options: given, json }) {
    const body = bodyOf(ref, args, given);
    const checked = v.safeParse(serverBody, body);
    if (!checked.success) {
      const [issue] = checked.issues;
      throw new Fault("usage", `${v.getDotPath(issue) ?? "the command line"}: ${issue.message}`);
    }
    const client = await reach();
    const progress = showProgress();
    const server = given.name ?? nameOfRef(ref);
    const view = await client
      .start(server, body, { ...deadlineOf(given.timeout), report: progress.report })
      .finally(() => progress.end());
    if (json) return printJson(view);
    print(view.name);
    if (!process.stderr.isTTY) return;
    note(
      onStderr.dim(`${view.message}. Next: linkspan tools ${view.name}, or give a client: linkspan mcp ${view.name}`),
    );
  },
});

/** Only what was asked for: everything else is the manager's default. */
function bodyOf(ref: string, args: string[], given: RunOptions): ServerBodyInput {
  const limits = {
    ...present("memory", given.memory),
    ...present("cpus", given.cpus),
    ...present("pids", given.pids),
    ...present("tmp", given.tmp),
    ...present("message", given.messageSize),
  };
  const env = { ...Object.assign({}, ...given.envFile.map(variablesOfFile)), ...variables(given.env) };
  return {
    image: ref,
    ...(args.length > 0 ? { args } : {}),
    ...(given.entrypoint.length > 0 ? { command: given.entrypoint } : {}),
    ...(Object.keys(env).length > 0 ? { env } : {}),
    ...(given.secret.length > 0 ? { secrets: secrets(given.secret) } : {}),
    ...(given.volume.length > 0 ? { volumes: given.volume.map(absoluteSource) } : {}),
    ...(Object.keys(limits).length > 0 ? { limits } : {}),
    ...(given.capAdd.length > 0 ? { capAdd: given.capAdd } : {}),
    ...(given.label.length > 0 ? { labels: labels(given.label) } : {}),
    ...present("network", given.network),
    ...present("user", given.user),
    ...present("workdir", given.workdir),
    ...(given.writable ? { readOnly: false } : {}),
    ...present("stopTimeout", given.stopTimeout),
    ...present("lease", given.lease),
    ...present("session", given.session),
    ...present("spare", given.spare),
    ...present("idleStop", given.idleStop),
    ...present("sessionIdle", given.sessionIdle),
    ...present("maxSessions", given.maxSessions),
    ...present("era", given.era),
  };
}

function present<K extends string, T>(key: K, value: T | undefined): { [key in K]?: T } {
  const result: { [key in K]?: T } = {};
  if (value !== undefined) result[key] = value;
  return result;
}
