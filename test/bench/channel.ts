/** One way to reach the echo server: bytes in, bytes out. Every path of the benchmark is driven through this. */
export interface Channel extends AsyncDisposable {
  write(bytes: Uint8Array): void;
  /** Called with each chunk that arrives; set before the first write. */
  onData: (chunk: Uint8Array) => void;
}

/** A process whose stdio is the channel. */
export function processChannel(command: string[], env = process.env): Channel {
  const channel: Channel = {
    write: (bytes) => {
      child.stdin.write(bytes);
      child.stdin.flush();
    },
    onData: () => {},
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
      await child.exited;
      clearTimeout(timer);
    },
  };
  const child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "ignore", env });
  void (async () => {
    for await (const chunk of child.stdout) channel.onData(chunk);
  })();
  return channel;
}

/** A TCP connection; `hello` is written first and `skipLines` lines of the other end are not part of the channel. */
export async function tcpChannel(hostname: string, port: number, hello = "", skipLines = 0): Promise<Channel> {
  let rest: Uint8Array[] = [];
  const flush = () => {
    while (rest[0]) {
      const first = rest[0];
      const wrote = socket.write(first);
      if (wrote < first.length) {
        rest[0] = first.subarray(Math.max(0, wrote));
        return;
      }
      rest.shift();
    }
  };
  let toSkip = skipLines;
  const ready = Promise.withResolvers<void>();
  const channel: Channel = {
    write: (bytes) => {
      rest.push(bytes);
      if (rest.length === 1) flush();
    },
    onData: () => {},
    async [Symbol.asyncDispose]() {
      rest = [];
      socket.end();
    },
  };
  const socket = await Bun.connect({
    hostname,
    port,
    socket: {
      data(_, chunk) {
        let bytes: Uint8Array = chunk;
        while (toSkip > 0) {
          const end = bytes.indexOf(10);
          if (end < 0) return;
          bytes = bytes.subarray(end + 1);
          toSkip--;
          if (toSkip === 0) ready.resolve();
        }
        if (bytes.length > 0) channel.onData(bytes);
      },
      drain: flush,
      close: () => ready.reject(new Error("the connection closed")),
      error: (_, error) => ready.reject(error),
    },
  });
  if (hello) channel.write(new TextEncoder().encode(hello));
  if (skipLines === 0) ready.resolve();
  await ready.promise;
  return channel;
}
