/** A server process and its three streams, behind one interface: on sockets of ours (Linux), on Bun's pipes elsewhere. */
import { spawnOnSockets } from "./stdio-sockets.ts";

export interface ServerCommand {
  argv: readonly [string, ...string[]];
  env: Record<string, string>;
}

export interface StdioEvents {
  output(chunk: Uint8Array): void;
  /** No more output will come. */
  outputEnded(): void;
  /** All that was written is with the kernel again, after some had to wait. */
  inputEmpty(): void;
  /** The process reads no more. */
  inputBroken(): void;
  /** The next chunk is read when the promise is settled: a slow log holds its server back. */
  stderr(chunk: Uint8Array): Promise<void> | undefined;
  stderrEnded(): void;
  exited(code: number | null, signal: string | null): void;
}

export interface Stdio {
  readonly pid: number;
  /** Bytes that wait for the process to read. */
  readonly queuedBytes: number;
  write(bytes: Uint8Array): void;
  /** Ends the process's standard input after what was written. Idempotent. */
  endInput(): void;
  pauseOutput(): void;
  resumeOutput(): void;
  /** Lets go of the streams, whoever still holds their other ends. Idempotent. */
  release(): void;
}

export type Spawn = (command: ServerCommand, events: StdioEvents) => Stdio;

/** Starts the process in a process group of its own. Throws what the system says when it cannot. */
export const spawnServer: Spawn =
  process.platform === "linux" ? spawnOnSockets : (await import("./stdio-streams.ts")).spawnOnStreams;
