/** A child on the pipes of node:child_process, for systems without the calls of native.ts (macOS, Windows). */
import { spawn } from "node:child_process";
import type { ServerCommand, Stdio, StdioEvents } from "./stdio.ts";

export function spawnOnStreams(command: ServerCommand, events: StdioEvents): Stdio {
  const [file, ...args] = command.argv;
  const child = spawn(file, args, { env: command.env, detached: true, stdio: ["pipe", "pipe", "pipe"] });
  child.on("error", () => {});
  // What failed is emitted later; here, where the client can still be told, start-failure.ts finds out by itself.
  if (child.pid === undefined) throw new Error(`${file} could not be started`);
  const { stdin, stdout, stderr } = child;
  let released = false;
  let outputEnded = false;
  // Bun's writableLength stays 0 whatever waits.
  let queuedBytes = 0;
  let full = false;
  const endOutput = () => {
    if (outputEnded || released) return;
    outputEnded = true;
    events.outputEnded();
  };
  stdout.on("data", (chunk: Uint8Array) => released || events.output(chunk));
  stdout.on("end", endOutput).on("close", endOutput).on("error", endOutput);
  stdin.on("error", () => released || events.inputBroken());
  stderr.on("data", (chunk: Uint8Array) => {
    const wait = events.stderr(chunk);
    if (!wait) return;
    stderr.pause();
    void wait.finally(() => stderr.resume());
  });
  stderr.once("close", () => events.stderrEnded());
  stderr.on("error", () => {});
  child.once("exit", (code, signal) => events.exited(code, signal));
  return {
    pid: child.pid,
    get queuedBytes() {
      return queuedBytes;
    },
    write(bytes) {
      queuedBytes += bytes.length;
      const taken = stdin.write(bytes, () => {
        queuedBytes -= bytes.length;
        if (queuedBytes > 0 || !full) return;
        full = false;
        if (!released) events.inputEmpty();
      });
      if (!taken) full = true;
    },
    endInput: () => void stdin.end(),
    pauseOutput: () => void stdout.pause(),
    resumeOutput: () => void stdout.resume(),
    release() {
      released = true;
      for (const stream of [stdin, stdout, stderr]) stream.destroy();
    },
  };
}
