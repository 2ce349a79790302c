import { describe, expect, test } from "bun:test";
import { LineSplitter, type LongLine, RangeJoiner } from "../../bridge/lines.ts";

class Collector {
  readonly lines: string[] = [];
  readonly long: LongLine[] = [];
  readonly splitter: LineSplitter;

  constructor(limitBytes = 1000) {
    this.splitter = new LineSplitter(limitBytes, (line) => this.long.push(line));
  }

  readonly onLine = (bytes: Uint8Array, start: number, end: number): void => {
    expect(bytes[end]).toBe(0x0a);
    this.lines.push(Buffer.from(bytes.subarray(start, end)).toString("latin1"));
  };

  feed(...chunks: (string | Uint8Array)[]): this {
    for (const chunk of chunks) this.splitter.push(Buffer.from(chunk as string, "latin1"), this.onLine);
    return this;
  }

  end(): this {
    this.splitter.end(this.onLine);
    return this;
  }
}

describe("LineSplitter", () => {
  test("splits, keeps what is unfinished and delivers it at the end", () => {
    const got = new Collector().feed("a\nbb\n\nc", "c", "c\r\nd");
    expect(got.lines).toEqual(["a", "bb", "", "ccc\r"]);
    expect(got.splitter.pendingBytes).toBe(1);
    expect(got.end().lines.at(-1)).toBe("d");
    expect(got.end().lines).toHaveLength(5);
  });

  test("a line inside one chunk is a range of that chunk", () => {
    const chunk = Buffer.from("one\ntwo\n");
    new LineSplitter(10, () => {}).push(chunk, (bytes) => expect(bytes).toBe(chunk));
  });

  test("joins a line of many small and large pieces", () => {
    const pieces = Array.from({ length: 300 }, (_, i) => String(i % 10).repeat(i % 7 === 0 ? 100_000 : i));
    const got = new Collector(64 * 1024 * 1024).feed(...pieces, "\n");
    expect(got.lines).toEqual([pieces.join("")]);
  });

  test("keeps no object per byte when a long line comes byte by byte", () => {
    const got = new Collector(1 << 20);
    const one = Buffer.from("x");
    for (let i = 0; i < 1 << 20; i++) got.splitter.push(one, got.onLine);
    got.feed("\n");
    expect(got.lines[0]).toBe("x".repeat(1 << 20));
  });

  test("a line at the limit passes, one byte more does not", () => {
    const got = new Collector(4).feed("1234\n12345\n1234\n", "123", "4\n123", "45\nok\n");
    expect(got.lines).toEqual(["1234", "1234", "1234", "ok"]);
    expect(got.long.map(({ ended, bytes }) => [ended, bytes])).toEqual([
      [false, 5],
      [true, 5],
      [false, 5],
      [true, 5],
    ]);
  });

  test("reports a long line once when it crosses the limit and once at its end, with both ends", () => {
    const got = new Collector(5000);
    got.feed("head", "x".repeat(4000), "y".repeat(4000));
    expect(got.long).toHaveLength(1);
    expect(got.splitter.pendingBytes).toBe(0);
    got.feed("z".repeat(100_000), "ta", "il\nnext\n");
    expect(got.lines).toEqual(["next"]);
    const [begun, ended] = got.long;
    expect(begun?.ended).toBe(false);
    expect(ended?.ended).toBe(true);
    expect(ended?.bytes).toBe(108_008);
    expect(Buffer.from(ended?.head ?? []).toString()).toBe(`head${"x".repeat(1020)}`);
    expect(Buffer.from(ended?.tail ?? []).toString()).toBe(`${"z".repeat(1020)}tail`);
  });

  test("a long line without an end is reported when the stream ends", () => {
    const got = new Collector(3).feed("abcdef").end();
    expect(got.lines).toEqual([]);
    expect(got.long.map((line) => line.ended)).toEqual([false, true]);
  });
});

describe("RangeJoiner", () => {
  function joined(...chunks: [Buffer, [number, number][]][]): string[] {
    const written: string[] = [];
    const joiner = new RangeJoiner((range) => written.push(Buffer.from(range).toString()));
    for (const [chunk, lines] of chunks) for (const [start, end] of lines) joiner.add(chunk, start, end);
    joiner.flush();
    joiner.flush();
    return written;
  }

  test("neighbours are one range of the chunk, not a copy", () => {
    const chunk = Buffer.from("a\nb\nc\n");
    const ranges: Uint8Array[] = [];
    const joiner = new RangeJoiner((range) => ranges.push(range));
    for (const at of [0, 2, 4]) joiner.add(chunk, at, at + 1);
    joiner.flush();
    expect(ranges).toHaveLength(1);
    expect(ranges[0]?.buffer).toBe(chunk.buffer);
    expect(ranges[0]).toEqual(chunk);
  });

  test("what has gaps is still one write", () => {
    const chunk = Buffer.from("a\nb\nnoise\nc\n");
    const lines: [number, number][] = [
      [0, 1],
      [2, 3],
      [10, 11],
    ];
    expect(joined([chunk, lines], [Buffer.from("d\n"), [[0, 1]]])).toEqual(["a\nb\nc\nd\n"]);
  });

  test("large ranges are not copied together", () => {
    const large = Buffer.from(`${"x".repeat(200_000)}\n`);
    expect(joined([large, [[0, 200_000]]], [Buffer.from("d\n"), [[0, 1]]])).toEqual([large.toString(), "d\n"]);
    const written = joined([Buffer.from("d\n"), [[0, 1]]], [large, [[0, 200_000]]], [Buffer.from("e\n"), [[0, 1]]]);
    expect(written.join("")).toBe(`d\n${large}e\n`);
  });
});
