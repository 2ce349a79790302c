/**
 * The system's log, where there is one: a datagram to /dev/log (RFC 3164, as syslog(3) writes it) for each line. Bun has no
 * unix datagram sockets, so the C library is called. Linux only: macOS reads no such socket any more.
 */
import { dlopen } from "bun:ffi";
import { existsSync } from "node:fs";

const TAG = "mcp-container";
const DAEMON = 3 * 8;
const SEVERITY = { error: 3, notice: 5, info: 6 } as const;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const AF_UNIX = 1;
/** SOCK_DGRAM | SOCK_CLOEXEC */
const DATAGRAM = 2 | 0o2000000;
/** MSG_DONTWAIT | MSG_NOSIGNAL: a log daemon that does not read must not stop the manager. */
const AT_ONCE = 0x40 | 0x4000;
const PATH_BYTES_MAX = 107;
/** Looked for again after this time where there is none. */
const LOOK_MS = 60_000;

type Calls = ReturnType<typeof load>;

function load() {
  return dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
  }).symbols;
}

export class Syslog {
  private calls: Calls | undefined;
  private socket = -1;
  private absentUntil = 0;

  constructor(
    private readonly path = "/dev/log",
    private readonly now: () => Date = () => new Date(),
  ) {}

  /** Never throws; what the daemon does not take is lost. */
  send(severity: keyof typeof SEVERITY, text: string): void {
    if (process.platform !== "linux" || performance.now() < this.absentUntil) return;
    const address = addressOf(this.path);
    if (!address || !existsSync(this.path) || !this.open()) {
      this.absentUntil = performance.now() + LOOK_MS;
      return;
    }
    const line = Buffer.from(`<${DAEMON + SEVERITY[severity]}>${stamp(this.now())} ${TAG}[${process.pid}]: ${text}`);
    this.calls?.sendto(this.socket, line, line.byteLength, AT_ONCE, address, address.byteLength);
  }

  private open(): boolean {
    if (this.socket >= 0) return true;
    try {
      this.calls ??= load();
      this.socket = this.calls.socket(AF_UNIX, DATAGRAM, 0);
    } catch {
      // Another C library: the file and the database have it all.
    }
    return this.socket >= 0;
  }
}

/** struct sockaddr_un */
function addressOf(path: string): Uint8Array | undefined {
  const bytes = Buffer.from(path);
  if (bytes.byteLength > PATH_BYTES_MAX) return undefined;
  return Buffer.concat([new Uint8Array(Uint16Array.of(AF_UNIX).buffer), bytes, Uint8Array.of(0)]);
}

/** `Jan  2 03:04:05`, local time, as the daemon expects it. */
function stamp(at: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const day = String(at.getDate()).padStart(2, " ");
  return `${MONTHS[at.getMonth()]} ${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
