/**
 * The few system calls that Bun does not offer or offers only with a large module: sockets and a pipe for a child's
 * standard streams, and a write to stderr that never waits. On Linux only. With them a bridge needs no module of
 * Node's, which would be a third of its private memory.
 */
import { dlopen } from "bun:ffi";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
/** SOCK_CLOEXEC and O_CLOEXEC are one value on Linux. */
const CLOSE_ON_EXEC = 0o2000000;
const WRITE_ONLY = 1;
const POLLOUT = 4;
/** A pipe that poll calls writable takes so much without waiting (PIPE_BUF). */
const PIECE_BYTES = 4096;

const IPPROTO_TCP = 6;
const TCP_INFO = 11;
/** struct tcp_info of linux/tcp.h, as far as it is read here. */
const TCP_INFO_BYTES = 60;
const TCP_INFO_OFFSETS = { retransmits: 2, probes: 3, lastAnswer: 56 };

export interface Ends {
  ours: number;
  theirs: number;
}

type Calls = ReturnType<typeof load>;
let loaded: Calls | undefined;

function load() {
  return dlopen("libc.so.6", {
    socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
    pipe2: { args: ["ptr", "i32"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
    poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
    write: { args: ["i32", "ptr", "u64"], returns: "i32" },
    open: { args: ["ptr", "i32"], returns: "i32" },
    read: { args: ["i32", "ptr", "u64"], returns: "i32" },
    getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  }).symbols;
}

function calls(): Calls {
  return (loaded ??= load());
}

/** Throws where the process has no descriptor left, or the platform has no such C library. */
export function socketPair(): Ends {
  const ends = new Int32Array(2);
  return checked("socketpair", calls().socketpair(AF_UNIX, SOCK_STREAM | CLOSE_ON_EXEC, 0, ends), ends);
}

/** A pipe that the child writes to. `/dev/stderr` can be opened on a pipe, not on a socket, and start scripts do that. */
export function outputPipe(): Ends {
  const ends = new Int32Array(2);
  return checked("pipe2", calls().pipe2(ends, CLOSE_ON_EXEC), ends);
}

export function close(fd: number): void {
  calls().close(fd);
}

/** Writes what can be written at once, and says how much that was; -1 if the descriptor cannot be written any more. */
export function writeAtOnce(fd: number, bytes: Uint8Array): number {
  let taken = 0;
  // struct pollfd: the descriptor, then events and revents.
  const ask = new Int32Array([fd, POLLOUT]);
  while (taken < bytes.length) {
    if (calls().poll(ask, 1, 0) !== 1) break;
    const piece = bytes.subarray(taken, taken + PIECE_BYTES);
    const written = calls().write(fd, piece, piece.length);
    if (written < 0) return -1;
    taken += written;
  }
  return taken;
}

/**
 * How long the far end of a TCP connection has said nothing at all, although the system asks it again and again, in
 * milliseconds; 0 where it owes nothing. A peer that is alive and does not read still answers.
 */
export function unansweredMs(fd: number): number {
  const info = new Uint8Array(TCP_INFO_BYTES);
  if (calls().getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, new Uint32Array([info.length])) !== 0) return 0;
  const { retransmits, probes, lastAnswer } = TCP_INFO_OFFSETS;
  if (info[retransmits] === 0 && info[probes] === 0) return 0;
  return new DataView(info.buffer).getUint32(lastAnswer, true);
}

/** Whether a descriptor can be had for it. */
export function canOpen(path: string): boolean {
  const fd = calls().open(Buffer.from(`${path}\0`), CLOSE_ON_EXEC);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

/** The text of a small file of the kernel's (4 KiB at most), undefined where it cannot be read. */
export function readKernelFile(path: string): string | undefined {
  const fd = calls().open(Buffer.from(`${path}\0`), CLOSE_ON_EXEC);
  if (fd < 0) return undefined;
  const bytes = Buffer.alloc(4 * 1024);
  const length = calls().read(fd, bytes, bytes.length);
  close(fd);
  return length < 0 ? undefined : bytes.toString("utf8", 0, length);
}

/** Writes to a small file of the kernel's; what it refuses is left as it was. */
export function writeKernelFile(path: string, text: string): void {
  const fd = calls().open(Buffer.from(`${path}\0`), WRITE_ONLY | CLOSE_ON_EXEC);
  if (fd < 0) return;
  const bytes = Buffer.from(text);
  calls().write(fd, bytes, bytes.length);
  close(fd);
}

function checked(name: string, result: number, [ours, theirs]: Int32Array): Ends {
  if (result !== 0 || ours === undefined || theirs === undefined) {
    throw new Error(`${name} failed: no file descriptor is left`);
  }
  return { ours, theirs };
}
