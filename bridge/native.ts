/**
 * The two system calls that Bun does not offer: a pair of sockets and a pipe for a child's standard streams. A child on
 * sockets of ours is read and written by the same fast path as the network, with short writes and pause; on Linux only.
 */
import { dlopen } from "bun:ffi";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
/** SOCK_CLOEXEC and O_CLOEXEC are one value on Linux. */
const CLOSE_ON_EXEC = 0o2000000;

export interface Ends {
  ours: number;
  theirs: number;
}

type Calls = ReturnType<typeof load>;
let calls: Calls | undefined;

function load() {
  return dlopen("libc.so.6", {
    socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
    pipe2: { args: ["ptr", "i32"], returns: "i32" },
  }).symbols;
}

/** Throws where the process has no descriptor left, or the platform has no such C library. */
export function socketPair(): Ends {
  calls ??= load();
  const ends = new Int32Array(2);
  return checked("socketpair", calls.socketpair(AF_UNIX, SOCK_STREAM | CLOSE_ON_EXEC, 0, ends), ends);
}

/** A pipe that the child writes to. `/dev/stderr` can be opened on a pipe, not on a socket, and start scripts do that. */
export function outputPipe(): Ends {
  calls ??= load();
  const ends = new Int32Array(2);
  return checked("pipe2", calls.pipe2(ends, CLOSE_ON_EXEC), ends);
}

function checked(name: string, result: number, [ours, theirs]: Int32Array): Ends {
  if (result !== 0 || ours === undefined || theirs === undefined) {
    throw new Error(`${name} failed: no file descriptor is left`);
  }
  return { ours, theirs };
}
