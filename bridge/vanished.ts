/**
 * Finds connections whose far end is gone without a word. Keepalive does so for those on which nothing is under way; where
 * something is, the system would send it again for a quarter of an hour.
 */
import { unansweredMs } from "./native.ts";

const LOOK_MS = 5_000;
/** Together with the look within the 30 s in which a vanished peer is to be noticed. */
const UNANSWERED_MS = 22_000;

/** What is used of a socket. Bun's have a descriptor, of which its types say nothing. */
interface Connected {
  terminate(): void;
}

/** Looks after the sockets from time to time; returns how to stop. */
export function cutVanished(sockets: Iterable<Connected>): () => void {
  if (process.platform !== "linux") return () => {};
  const timer = setInterval(() => {
    for (const socket of sockets) if (isVanished(socket)) socket.terminate();
  }, LOOK_MS);
  return () => clearInterval(timer);
}

function isVanished(socket: Connected): boolean {
  const fd: unknown = Reflect.get(socket, "fd");
  return typeof fd === "number" && fd >= 0 && unansweredMs(fd) > UNANSWERED_MS;
}
