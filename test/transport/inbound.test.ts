import { expect, test } from "bun:test";
import fc from "fast-check";
import { CONTROL_PREFIX, LIMITS } from "../../bridge/wire.ts";
import { Inbound } from "../../src/transport/inbound.ts";
import { seeded } from "../support/seed.ts";

interface Got {
  payload: string;
  frames: string[];
  overlong: number;
  messages: number;
  /** Every range of payload ended with a newline. */
  whole: boolean;
}

function take(bytes: Uint8Array, cuts: number[]): Got {
  const got: Got = { payload: "", frames: [], overlong: 0, messages: 0, whole: true };
  const parts: Uint8Array[] = [];
  const inbound = new Inbound({
    payload: (range) => {
      parts.push(range.slice());
      got.whole &&= range.at(-1) === 0x0a;
    },
    control: (line) => void got.frames.push(line),
    overlong: () => void (got.overlong += 1),
  });
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    inbound.push(bytes.slice(from, cut));
    from = cut;
  }
  got.payload = Buffer.concat(parts).toString();
  got.messages = inbound.messages;
  return got;
}

const STREAM = [
  '{"jsonrpc":"2.0","id":1,"result":{"text":"äöü€😀"}}\n',
  '{"link":"ack","received":3}\n',
  '{"jsonrpc":"2.0","method":"x","params":{"link":"{\\"link\\":"}}\n',
  '{"li":1,"jsonrpc":"2.0","method":"y"}\n',
  '{"link":"exit","session":"s"}\n',
].join("");

test("takes control frames out and leaves every other byte, cut anywhere once", () => {
  const bytes = Buffer.from(STREAM);
  const lines = STREAM.split("\n").filter(Boolean);
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const got = take(bytes, [cut]);
    expect(got.frames).toEqual(lines.filter((line) => line.startsWith(CONTROL_PREFIX)));
    expect(got.payload).toBe(
      lines
        .filter((line) => !line.startsWith(CONTROL_PREFIX))
        .map((line) => `${line}\n`)
        .join(""),
    );
    expect(got).toMatchObject({ messages: 3, whole: true, overlong: 0 });
  }
});

test("any lines in any chunks come out as they went in, in order", () => {
  const line = fc.oneof(
    fc.string({ unit: "binary" }).map((text) => text.replaceAll("\n", "")),
    fc.constantFrom('{"link":"ack","received":1}', '{"link":', '{"lin', "{", '{"jsonrpc":"2.0"}', "x".repeat(70_000)),
  );
  const input = fc.tuple(fc.array(line, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 20 }));
  fc.assert(
    fc.property(input, ([lines, offsets]) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""));
      const cuts = offsets.map((offset) => offset % (bytes.length + 1)).sort((a, b) => a - b);
      const got = take(bytes, cuts);
      const known = bytes.toString().split("\n").slice(0, -1);
      expect(got.frames).toEqual(known.filter((text) => text.startsWith(CONTROL_PREFIX)));
      const rest = known.filter((text) => !text.startsWith(CONTROL_PREFIX));
      expect(got.payload).toBe(rest.map((text) => `${text}\n`).join(""));
      expect(got.messages).toBe(rest.length);
      expect(got.whole).toBe(true);
    }),
    seeded("payload and frames", 300),
  );
});

test("a part of a message is kept back until it is whole", () => {
  const got = take(Buffer.from('{"jsonrpc":"2.0"}\n{"jsonrpc":"2.0","res'), [3, 20, 25]);
  expect(got).toMatchObject({ payload: '{"jsonrpc":"2.0"}\n', messages: 1 });
});

test("a frame or a message over its limit is reported and not kept", () => {
  const frame = Buffer.from(`{"link":"error","message":"${"x".repeat(LIMITS.controlBytes)}"}\n`);
  expect(take(frame, [])).toMatchObject({ overlong: 1, frames: [] });
  const endless = Buffer.alloc(1024 * 1024, "x");
  let overlong = 0;
  const inbound = new Inbound({ payload: () => {}, control: () => {}, overlong: () => void (overlong += 1) });
  for (let mib = 0; mib <= LIMITS.messageBytesMax / endless.length; mib += 1) inbound.push(endless);
  expect(overlong).toBe(1);
});
