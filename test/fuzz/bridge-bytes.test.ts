/** Random bytes through the pure parts of the bridge: however a stream is cut, the same comes out. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { classify, type Envelope } from "../../bridge/envelope.ts";
import { LineSplitter } from "../../bridge/lines.ts";
import { Sieve } from "../../bridge/sieve.ts";
import { Traffic } from "../../bridge/traffic.ts";
import { seeded } from "../support/seed.ts";

/** Not below what is kept of a long line, as everywhere. */
const LIMIT = 1_024;

/** The bytes in pieces of these sizes, over and over. */
function cut(bytes: Uint8Array, sizes: number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    // Copies: each chunk belongs to whom it is given.
    chunks.push(bytes.slice(at, at + size));
    at += size;
  }
  return chunks;
}

const sizes = fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1, maxLength: 12 });
const lineBytes = fc.oneof(
  fc.string({ unit: "binary", maxLength: 300, size: "max" }).map((text) => Buffer.from(text.replaceAll("\n", ""))),
  fc.uint8Array({ maxLength: 2_500, size: "max" }).map((bytes) => bytes.filter((byte) => byte !== 10)),
);

describe("LineSplitter", () => {
  function split(chunks: Uint8Array[]): string[] {
    const got: string[] = [];
    const splitter = new LineSplitter(LIMIT, (line) => {
      if (line.ended) got.push(`too long: ${line.bytes}, ${hex(line.head)}, ${hex(line.tail)}`);
    });
    const onLine = (bytes: Uint8Array, start: number, end: number) => got.push(hex(bytes.subarray(start, end)));
    for (const chunk of chunks) {
      splitter.push(chunk, onLine);
      expect(splitter.pendingBytes).toBeLessThanOrEqual(LIMIT);
    }
    splitter.end(onLine);
    return got;
  }

  test("gives the same lines however the stream is cut", () => {
    fc.assert(
      fc.property(fc.array(lineBytes), sizes, (lines, pieces) => {
        const stream = Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")]));
        const expected = lines.map((line) =>
          line.length <= LIMIT
            ? hex(line)
            : `too long: ${line.length}, ${hex(line.slice(0, 1024))}, ${hex(line.slice(-1024))}`,
        );
        expect(split(cut(stream, pieces))).toEqual(expected);
      }),
      seeded("lines in chunks", 300),
    );
  });

  test("gives the same lines cut in two at every offset, and byte by byte", () => {
    const stream = Buffer.from(`{"a":"é😀"}\r\n\n${"x".repeat(LIMIT + 7)}\nü\nlast`);
    const expected = split([stream.slice()]);
    expect(expected).toHaveLength(5);
    for (let at = 0; at <= stream.length; at++) {
      expect(split([stream.slice(0, at), stream.slice(at)])).toEqual(expected);
    }
    expect(split(cut(stream, [1]))).toEqual(expected);
  });
});

describe("the server's side of a session", () => {
  const message = fc.oneof(
    fc.json({ maxDepth: 3 }).map((params) => `{"jsonrpc":"2.0","method":"n","params":${params}}`),
    fc
      .string({ unit: "binary", maxLength: 60 })
      .map((text) => JSON.stringify({ jsonrpc: "2.0", method: "n", params: { text } })),
    fc.integer().map((id) => JSON.stringify({ jsonrpc: "2.0", id, method: "sampling/createMessage" })),
    fc.integer().map((id) => JSON.stringify({ method: "ping", params: {}, jsonrpc: "2.0", id: `s${id}` })),
  );
  const item = fc.oneof(
    { weight: 3, arbitrary: message.map((text) => ({ bytes: Buffer.from(text), passes: true })) },
    { weight: 1, arbitrary: message.map((text) => ({ bytes: Buffer.from(`${text}\r`), passes: true })) },
    { weight: 1, arbitrary: message.map((text) => ({ bytes: Buffer.from(`\ufeff${text}`), passes: true })) },
    {
      weight: 2,
      arbitrary: lineBytes.map((bytes) => ({ bytes: Buffer.concat([Buffer.from("# "), bytes]), passes: false })),
    },
    { weight: 1, arbitrary: fc.constant({ bytes: Buffer.from("\u001b[1mhello\u001b[0m"), passes: false }) },
    { weight: 1, arbitrary: message.map((text) => ({ bytes: Buffer.from(text.slice(0, -1)), passes: false })) },
    {
      weight: 1,
      arbitrary: message.map((text) => ({ bytes: Buffer.from(text.replace("2.0", "2.0\0")), passes: false })),
    },
    { weight: 1, arbitrary: fc.constant({ bytes: Buffer.alloc(LIMIT + 1, "x"), passes: false }) },
    { weight: 1, arbitrary: fc.constant({ bytes: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), passes: false }) },
    { weight: 1, arbitrary: fc.constant({ bytes: Buffer.alloc(0), passes: false }) },
  );

  test("passes every message and nothing else, in order, however the stream is cut", () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 40 }), sizes, (items, pieces) => {
        let dropped = 0;
        const out: Uint8Array[] = [];
        const none = () => {};
        const events = { reply: none, answered: none, settled: none, request: none, own: () => false };
        const traffic = new Traffic(LIMIT, { dropped: () => dropped++, ...events });
        const sieve = new Sieve(
          LIMIT,
          traffic.fromServer,
          (range) => out.push(range.slice()),
          (line) => traffic.longFromServer(line),
        );
        const stream = Buffer.concat(items.flatMap(({ bytes }) => [bytes, Buffer.from("\n")]));
        for (const chunk of cut(stream, pieces)) sieve.push(chunk);
        sieve.end();
        const passed = items.filter(({ bytes, passes }) => passes && bytes.length <= LIMIT);
        const expected = passed.map(({ bytes }) => `${bytes.toString().replace(/^\ufeff|\r$/g, "")}\n`).join("");
        expect(Buffer.concat(out).toString()).toBe(expected);
        expect(dropped).toBe(items.length - passed.length);
        expect(sieve.lines).toBe(items.length);
      }),
      seeded("noise between messages", 1_000),
    );
  });
});

describe("classify", () => {
  const names = ["jsonrpc", "id", "method", "params", "result", "error", "x", "i\\u0064", 'a\\"id', "_meta"];
  const ids = [
    "1",
    "0",
    "-1",
    "1.0",
    "1e3",
    "9007199254740993",
    '"1"',
    '"a\\"b"',
    '"é"',
    '"\\u0041"',
    "null",
    "{}",
    "[1]",
    "true",
  ];
  const nested = fc.constantFrom(
    '{"id":5}',
    '{"jsonrpc":"2.0","id":7,"method":"m"}',
    '[1,{"id":2}]',
    '",\\"id\\":5}"',
    '"}"',
    "{}",
    '"x\\\\"',
    "1",
  );
  const valueOf: Record<string, fc.Arbitrary<string>> = {
    jsonrpc: fc.constantFrom('"2.0"', '"2.0"', '"2.0"', '"1.0"', "2.0"),
    id: fc.constantFrom(...ids),
    method: fc.constantFrom('"m"', '"tools/call"', '"a\\"b"', "null", "1"),
  };
  const space = fc.constantFrom("", "", "", " ", "\t", "  ", "\r");
  const line = fc.shuffledSubarray(names).chain((chosen) => {
    const members = chosen.map((name) =>
      fc
        .tuple(space, space, space, space, valueOf[name] ?? nested)
        .map(([a, b, c, d, value]) => `${a}"${name}"${b}:${c}${value}${d}`),
    );
    return fc
      .tuple(space, space, ...members)
      .map(([before, after, ...parts]) => `${before}{${parts.join(",")}}${after}`);
  });

  /** What a parser says, for objects with unique names. */
  function reference(text: string): Envelope["kind"] | [string, unknown] {
    const value = JSON.parse(text);
    if (value.jsonrpc !== "2.0") return "other";
    const valid = value.id === null || ["string", "number"].includes(typeof value.id);
    // A message that is request and answer at once is none: what it is called is left open.
    if (typeof value.method === "string") {
      if (!Object.hasOwn(value, "id")) return "notification";
      return valid ? ["request", value.id] : "other";
    }
    if (!valid || !(Object.hasOwn(value, "result") || Object.hasOwn(value, "error"))) return "other";
    return ["response", value.id];
  }

  test("agrees with a parser on every order of members, values and white space", () => {
    fc.assert(
      fc.property(line, (text) => {
        const parsed = JSON.parse(text);
        const twoFaced = "method" in parsed && ("result" in parsed || "error" in parsed);
        // "i\u0064" is a second "id".
        fc.pre(!twoFaced && !(text.includes("i\\u0064") && /"id"\s*:/.test(text)));
        const bytes = Buffer.from(`..${text}\n`);
        const envelope = classify(bytes, 2, bytes.length - 1);
        const expected = reference(text);
        if (typeof expected === "string") expect(envelope.kind).toBe(expected);
        else {
          expect(envelope.kind).toBe(expected[0] as Envelope["kind"]);
          if (envelope.kind !== "request" && envelope.kind !== "response") throw new Error("no id");
          const { id } = envelope;
          // A key back to the value: large numbers as a double, as the parser gives them.
          const value = typeof id === "number" ? id : id.startsWith('"') ? id.slice(1) : JSON.parse(id);
          expect(value).toEqual(expected[1]);
        }
      }),
      seeded("envelopes", 5_000),
    );
  });

  test("throws for nothing, and never calls something without braces or brackets a message", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const { kind } = classify(bytes, 0, bytes.length);
        expect(["blank", "invalid", "other"]).toContain(kind);
      }),
      seeded("garbage", 5_000),
    );
  });
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
