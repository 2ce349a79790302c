/**
 * A child on a pair of sockets for each of stdin and stdout (as Node's own pipes are) and a pipe for stderr. The fastest
 * and smallest way there is in Bun: no stream object is between the socket and the session.
 */
import { type Ends, close, outputPipe, socketPair } from "./native.ts";
import { started } from "./orphans.ts";
import { Outlet } from "./outlet.ts";
import type { ServerCommand, Stdio, StdioEvents } from "./stdio.ts";

export function spawnOnSockets(command: ServerCommand, events: StdioEvents): Stdio {
  const opened: Ends[] = [];
  const open = (make: () => Ends): Ends => {
    const ends = make();
    opened.push(ends);
    return ends;
  };
  try {
    const input = open(socketPair);
    const output = open(socketPair);
    const errors = open(outputPipe);
    const child = Bun.spawn({
      cmd: [...command.argv],
      env: command.env,
      stdio: [input.theirs, output.theirs, errors.theirs],
      detached: true,
      onExit: ({ pid }, code, signal) => {
        started.delete(pid);
        events.exited(code, signal === null ? null : String(signal));
      },
    });
    started.add(child.pid);
    for (const ends of opened) close(ends.theirs);
    return new SocketStdio(child.pid, input.ours, output.ours, errors.ours, events);
  } catch (error) {
    for (const ends of opened) {
      close(ends.ours);
      close(ends.theirs);
    }
    throw error;
  }
}

declare module "bun" {
  // Bun documents FdSocketOptions, but its types leave out the overload that takes it.
  function connect<Data = undefined>(options: FdSocketOptions<Data>): Promise<Socket<Data>>;
}

type Socket = Bun.Socket<undefined>;

class SocketStdio implements Stdio {
  private readonly outlet: Outlet;
  private input: Socket | undefined;
  private output: Socket | undefined;
  private outputPaused = false;
  private released = false;
  private readonly errors: ReturnType<typeof readerOf>;

  constructor(
    readonly pid: number,
    inputFd: number,
    outputFd: number,
    private readonly errorsFd: number,
    private readonly events: StdioEvents,
  ) {
    this.outlet = new Outlet(() => events.inputEmpty());
    this.connectInput(inputFd);
    this.connectOutput(outputFd);
    this.errors = readerOf(errorsFd);
    void this.readErrors();
  }

  get queuedBytes(): number {
    return this.outlet.queuedBytes;
  }

  write(bytes: Uint8Array): void {
    this.outlet.write(bytes);
  }

  endInput(): void {
    this.outlet.end();
  }

  pauseOutput(): void {
    if (this.outputPaused) return;
    this.outputPaused = true;
    this.output?.pause();
  }

  resumeOutput(): void {
    if (!this.outputPaused) return;
    this.outputPaused = false;
    this.output?.resume();
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    this.outlet.close();
    this.input?.terminate();
    this.output?.terminate();
    void this.errors.cancel().catch(() => {});
  }

  private connectInput(fd: number): void {
    const broken = () => {
      this.outlet.close();
      if (!this.released) this.events.inputBroken();
    };
    void Bun.connect<undefined>({
      fd,
      allowHalfOpen: true,
      data: undefined,
      socket: {
        open: (socket) => {
          this.input = socket;
          if (this.released) socket.terminate();
          else this.outlet.open(socket);
        },
        data: () => {},
        drain: () => this.outlet.drain(),
        close: broken,
        end: broken,
        error: broken,
      },
    });
  }

  private connectOutput(fd: number): void {
    let ended = false;
    const end = () => {
      if (ended || this.released) return;
      ended = true;
      this.events.outputEnded();
    };
    void Bun.connect<undefined>({
      fd,
      data: undefined,
      socket: {
        open: (socket) => {
          this.output = socket;
          if (this.released) socket.terminate();
          else if (this.outputPaused) socket.pause();
        },
        data: (_, chunk) => {
          if (!this.released) this.events.output(chunk);
        },
        close: end,
        error: end,
      },
    });
  }

  private async readErrors(): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await this.errors.read();
        if (done || this.released) break;
        await this.events.stderr(value);
      }
    } finally {
      // Reading a file by its descriptor leaves the descriptor to us.
      close(this.errorsFd);
      this.events.stderrEnded();
    }
  }
}

function readerOf(fd: number) {
  return Bun.file(fd).stream().getReader();
}
