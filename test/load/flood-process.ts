/**
 * One client that sends calls as fast as they are taken and reads the answers as fast as they come. Argument: its door as
 * JSON. Answers on stdin's lines as callers-process.ts does; its times are not measured.
 */
import { createInterface } from "node:readline";
import { callLine, type Door } from "./caller.ts";
import type { Figures } from "./callers.ts";

const NEWLINE = 10;
const { port, token, server } = JSON.parse(process.argv[2] ?? "") as Door;
const block = Buffer.from(Array.from({ length: 256 }, (_, id) => callLine(id)).join(""));
let rest: Uint8Array = Buffer.from(`${JSON.stringify({ link: "attach", server, token })}\n`);
let calls = 0;
let ended = 0;
const socket = await Bun.connect({
  hostname: "127.0.0.1",
  port,
  socket: {
    data(_, chunk) {
      for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) calls++;
    },
    drain: send,
    close() {
      ended++;
    },
  },
});
process.stdout.write("{}\n");
send();
for await (const _ of createInterface({ input: process.stdin })) {
  const figures: Figures = { calls, errors: 0, unanswered: 0, lost: ended, p50: 0, p99: 0, slowest: 0 };
  calls = 0;
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}
process.exit(0);

function send(): void {
  for (;;) {
    const taken = socket.write(rest);
    if (taken < rest.byteLength) {
      rest = rest.subarray(Math.max(0, taken));
      return;
    }
    rest = block;
  }
}
