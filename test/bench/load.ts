/** The load: the same requests over any channel. Answers are counted by their newline; the first and last are checked. */
import type { Channel } from "./channel.ts";

export interface Latency {
  p50Us: number;
  p99Us: number;
}

const encoder = new TextEncoder();
const NEWLINE = 10;

function request(id: number, payload: string): Uint8Array {
  return encoder.encode(`{"jsonrpc":"2.0","id":${id},"method":"echo","params":{"text":"${payload}"}}\n`);
}

/** One call at a time; round-trip times of `calls` of them after a tenth as warm-up. */
export async function sequential(channel: Channel, calls: number, payload = "x".repeat(100)): Promise<Latency> {
  const times: number[] = [];
  for (let i = 0; i < calls * 1.1; i++) {
    const line = request(i, payload);
    const startedAt = Bun.nanoseconds();
    await answers(channel, 1, () => channel.write(line));
    if (i >= calls * 0.1) times.push((Bun.nanoseconds() - startedAt) / 1000);
  }
  return latency(times);
}

export function latency(timesUs: number[]): Latency {
  const sorted = timesUs.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50Us: at(0.5), p99Us: at(0.99) };
}

/** Calls per second with `inFlight` of them under way all the time. */
export async function throughput(
  channel: Channel,
  calls: number,
  inFlight: number,
  payload = "x".repeat(100),
): Promise<number> {
  const lines = Array.from({ length: 1000 }, (_, id) => request(id, payload));
  const next = (first: number, count: number) => {
    const parts = Array.from({ length: count }, (_, i) => lines[(first + i) % lines.length] ?? new Uint8Array());
    return count === 1 ? (parts[0] ?? new Uint8Array()) : Buffer.concat(parts);
  };
  let sent = Math.min(inFlight, calls);
  const startedAt = Bun.nanoseconds();
  await answers(
    channel,
    calls,
    () => channel.write(next(0, sent)),
    (count) => {
      const more = Math.min(count, calls - sent);
      if (more > 0) channel.write(next(sent, more));
      sent += more;
    },
  );
  return calls / ((Bun.nanoseconds() - startedAt) / 1e9);
}

/** Resolves when `wanted` answers have come; `onSome` hears how many came with each chunk. Bounded at 60 s. */
function answers(channel: Channel, wanted: number, start: () => void, onSome?: (count: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let got = 0;
    const timer = setTimeout(() => reject(new Error(`${got} of ${wanted} answers after 60 s`)), 60_000);
    channel.onData = (chunk) => {
      let count = 0;
      for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) count++;
      got += count;
      if (got >= wanted) {
        clearTimeout(timer);
        resolve();
      } else if (count > 0) onSome?.(count);
    };
    start();
  });
}
