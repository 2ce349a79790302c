/** Lines and events out of bodies that come in pieces of any size. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { readEvents, readLines } from "../../../src/api/client/streams.ts";
import { seeded } from "../../support/seed.ts";

/** The text as a body in pieces that end at the given offsets. */
function body(text: string, cuts: number[]): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return new ReadableStream({
    start(controller) {
      let start = 0;
      for (const end of [...ends, bytes.length]) {
        controller.enqueue(bytes.slice(start, end));
        start = end;
      }
      controller.close();
    },
  });
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

test("lines are the same however the body is cut", async () => {
  const line = fc.string({ unit: "grapheme" }).map((text) => text.replace(/[\r\n]/g, ""));
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.array(fc.nat()), fc.boolean(), async (lines, cuts, crlf) => {
      const end = crlf ? "\r\n" : "\n";
      const read = await collect(readLines(body(lines.map((text) => text + end).join(""), cuts)));
      expect(read).toEqual(lines);
    }),
    seeded("lines of a body", 200),
  );
});

test("a last line without an end counts, an empty body has none", async () => {
  expect(await collect(readLines(body("a\nb", [])))).toEqual(["a", "b"]);
  expect(await collect(readLines(body("", [])))).toEqual([]);
});

test("events are the same however the body is cut", async () => {
  const text =
    ': a comment\n\ndata: one\n\nevent: problem\ndata: {"a":\ndata: 1}\nid: 5\nretry: 100\n\ndata:no space\n\nevent: only\n\ndata: unfinished';
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat()), async (cuts) => {
      expect(await collect(readEvents(body(text, cuts)))).toEqual([
        { event: "message", data: "one" },
        { event: "problem", data: '{"a":\n1}' },
        { event: "message", data: "no space" },
      ]);
    }),
    seeded("events of a body", 100),
  );
});
