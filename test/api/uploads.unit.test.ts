/** Bodies that are streams, both ways: their type and length, how they end, and who is told. */
import { describe, expect, test } from "bun:test";
import { readUpload } from "../../src/api/input.ts";
import { bytesResponse } from "../../src/api/responses.ts";
import { inPieces } from "../support/backups.ts";
import { rejection } from "../support/rejection.ts";

const TYPE = "application/gzip";
const UPLOAD = { type: TYPE, bytesMax: 1000 };

function post(body: string | Uint8Array | ReadableStream<Uint8Array> | null, type: string | undefined = TYPE): Request {
  return new Request("http://localhost/", { method: "POST", body, headers: type ? { "content-type": type } : {} });
}

function streamOf(chunks: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const next = await chunks.next();
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
  });
}

describe("an upload", () => {
  test("comes as it was sent", async () => {
    const chunks = await Array.fromAsync(readUpload(post(Buffer.alloc(1000, 7)), UPLOAD));
    expect(Buffer.concat(chunks)).toEqual(Buffer.alloc(1000, 7));
    expect(await Array.fromAsync(readUpload(post(null), UPLOAD))).toEqual([]);
  });

  test.each(["", "application/json", "text/plain", "multipart/form-data", "application/gzipped"])(
    "of the type %p is refused: forms of web pages can send some of them",
    (type) => {
      expect(() => readUpload(post("x", type), UPLOAD)).toThrow("must be application/gzip");
    },
  );

  test("that says it is too long is refused at once, one that does not say so on the way", async () => {
    const long = post(Buffer.alloc(1001));
    long.headers.set("content-length", "1001");
    expect(() => readUpload(long, UPLOAD)).toThrow("larger than 1000 bytes");
    const chunked = post(streamOf(inPieces(Buffer.alloc(1001), 100)));
    expect(await rejection(Array.fromAsync(readUpload(chunked, UPLOAD)))).toMatchObject({ kind: "too-large" });
  });

  test("that breaks off is cancelled, not complete", async () => {
    const broken = async function* () {
      yield Buffer.alloc(10);
      throw new Error("connection reset");
    };
    const request = post(streamOf(broken()));
    expect(await rejection(Array.fromAsync(readUpload(request, UPLOAD)))).toMatchObject({ kind: "cancelled" });
  });

  test("is nothing where the route takes none", async () => {
    expect(await Array.fromAsync(readUpload(post("x", "text/plain"), undefined))).toEqual([]);
  });
});

describe("a download", () => {
  test("has a type and a name", async () => {
    const response = await bytesResponse(inPieces(Buffer.from("content"), 3), TYPE, "notes.tar.gz");
    expect(response.headers.get("content-type")).toBe(TYPE);
    expect(response.headers.get("content-disposition")).toBe('attachment; filename="notes.tar.gz"');
    expect(await response.text()).toBe("content");
  });

  test("that fails before its first byte is no answer at all", async () => {
    const failing = async function* () {
      if (TYPE.length > 0) throw new Error("no such thing");
      yield Buffer.alloc(1);
    };
    expect(String(await rejection(bytesResponse(failing(), TYPE, "x")))).toContain("no such thing");
  });

  test("that fails later is cut", async () => {
    const failing = async function* () {
      yield Buffer.from("first");
      yield Buffer.from("second");
      throw new Error("the engine is gone");
    };
    using server = Bun.serve({ port: 0, fetch: () => bytesResponse(failing(), TYPE, "x") });
    const read = async () => await (await fetch(server.url)).bytes();
    expect(await rejection(read())).toBeInstanceOf(Error);
  });

  test("whose reader goes away is ended", async () => {
    let closed = false;
    const endless = async function* () {
      try {
        for (;;) yield Buffer.alloc(65_536);
      } finally {
        closed = true;
      }
    };
    const response = await bytesResponse(endless(), TYPE, "x");
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    expect(closed).toBeTrue();
  });
});
