import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { type Command, runCommand, type Taker } from "../../docker/exec.ts";
import { output } from "../output.ts";
import { tool, type ToolCall } from "../tool.ts";
import { argv, environment, userName, workdir } from "./arguments.ts";
import { containerId, findContainer } from "./common.ts";

/** Kept of each stream; what comes after it is read and dropped, so that the command is not held up. */
const STREAM_CHARS_MAX = 512 * 1024;

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

export async function runIn(id: string, command: Command, call: ToolCall) {
  const taken = { stdout: "", stderr: "" };
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  const take: Taker = (source, bytes) => {
    const room = STREAM_CHARS_MAX - taken[source].length;
    if (room > 0) taken[source] += decoders[source].decode(bytes, { stream: true }).slice(0, room);
  };
  const exit_code = await runCommand(await call.engine(), id, command, take, call.deadline);
  return { exit_code, ...taken };
}
