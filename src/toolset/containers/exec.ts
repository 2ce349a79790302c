import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { at } from "../../docker/containers.ts";
import { framesOf } from "../../docker/logs.ts";
import { output } from "../output.ts";
import { tool, type ToolCall } from "../tool.ts";
import { argv, environment, userName, workdir } from "./arguments.ts";
import { containerId, findContainer } from "./common.ts";

/** Kept of each stream; what comes after it is read and dropped, so that the command is not held up. */
const STREAM_CHARS_MAX = 512 * 1024;

const created = v.object({ Id: v.string() });
const inspected = v.object({ ExitCode: v.nullable(v.number()), Running: v.boolean() });

export const execCommandTool = tool({
  name: "docker_exec_command",
  category: "containers",
  title: "Run a command in a container",
  description:
    'Runs a command inside a running container and returns its output and exit code. No shell is involved: a string is split into words, and pipes or redirections need ["sh", "-c", "…"].',
  level: "moderate",
  time: "long",
  input: v.strictObject({
    container_id: containerId,
    command: argv,
    workdir: v.optional(workdir),
    user: v.optional(userName),
    environment: v.optional(environment, {}),
    privileged: v.optional(
      v.pipe(v.boolean(), v.description("Only where whoever configures this server allows it")),
      false,
    ),
  }),
  output: output({ exit_code: v.number(), stdout: v.string(), stderr: v.string() }),
  example: { container_id: "web", command: ["ls", "-l", "/"] },
  async handle({ container_id, command, workdir: folder, user, environment: variables, privileged }, call) {
    if (privileged && !call.settings.allowPrivileged)
      throw new Fault("forbidden", "a privileged command is not allowed", {
        hint: "Leave privileged out; whoever configures this server decides it with SAFETY_ALLOW_PRIVILEGED_CONTAINERS=true.",
      });
    const { Id } = await findContainer(container_id, call);
    const body = {
      Cmd: command,
      AttachStdout: true,
      AttachStderr: true,
      Env: Object.entries(variables).map(([name, value]) => `${name}=${value}`),
      Privileged: privileged,
      ...(folder === undefined ? {} : { WorkingDir: folder }),
      ...(user === undefined ? {} : { User: user }),
    };
    return await runIn(Id, body, call);
  },
  text: ({ exit_code, stdout, stderr }) =>
    [`exit code ${exit_code}`, stdout, stderr && `stderr:\n${stderr}`].filter((part) => part !== "").join("\n"),
});

/** Cancellation ends the wait; the engine has no call that would end a command. */
export async function runIn(id: string, body: object, call: ToolCall) {
  const engine = await call.engine();
  const what = `running a command in ${id.slice(0, 12)}`;
  const { Id } = await engine.call({ what, method: "POST", path: at(id, "exec"), body }, created, call.deadline);
  const start = { what, method: "POST", path: `/exec/${Id}/start`, body: { Detach: false, Tty: false } } as const;
  const stream = await engine.stream(start, call.deadline, call.signal);
  const taken = { stdout: "", stderr: "" };
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  for await (const { source, bytes } of framesOf(stream)) {
    const room = STREAM_CHARS_MAX - taken[source].length;
    if (room > 0) taken[source] += decoders[source].decode(bytes, { stream: true }).slice(0, room);
  }
  const { ExitCode } = await engine.call({ what, method: "GET", path: `/exec/${Id}/json` }, inspected, call.deadline);
  return { exit_code: ExitCode ?? -1, ...taken };
}
