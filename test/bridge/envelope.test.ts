import { describe, expect, test } from "bun:test";
import { type Envelope, classify, classifyEnds, idText } from "../../bridge/envelope.ts";

function of(line: string | Uint8Array): Envelope {
  const bytes = typeof line === "string" ? Buffer.from(line) : line;
  return classify(bytes, 0, bytes.length);
}

const TABLE: [string, Envelope][] = [
  ['{"jsonrpc":"2.0","id":1,"method":"ping"}', { kind: "request", id: 1 }],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"id":9}}', { kind: "request", id: 1 }],
  ['{"method":"tools/call","params":{"a":{}},"jsonrpc":"2.0","id":12}', { kind: "request", id: 12 }],
  ['{"jsonrpc":"2.0","method":"m","params":[],"id":"a-b"}', { kind: "request", id: '"a-b' }],
  ['{"jsonrpc": "2.0", "id": 7, "method": "ping", "params": {}}', { kind: "request", id: 7 }],
  ['{"jsonrpc":"2.0","id":1,"result":{"id":2,"method":"x"}}', { kind: "response", id: 1, error: false }],
  ['{"result":{"jsonrpc":"2.0","id":2},"jsonrpc":"2.0","id":1}', { kind: "response", id: 1, error: false }],
  ['{"id":1,"jsonrpc":"2.0","result":null}', { kind: "response", id: 1, error: false }],
  ['{"error":{"code":1,"message":"m"},"id":null,"jsonrpc":"2.0"}', { kind: "response", id: "null", error: true }],
  ['{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}', { kind: "response", id: "null", error: true }],
  ['{"jsonrpc":"2.0","method":"notifications/initialized"}', { kind: "notification" }],
  ['{"method":"n","params":{"id":1},"jsonrpc":"2.0"}', { kind: "notification" }],
  ['{"jsonrpc":"2.0","method":"n","params":{"progressToken":1}}', { kind: "notification" }],
  // The id is where neither end shows it.
  ['{"params":{},"id":5,"method":"m","jsonrpc":"2.0","_meta":{}}', { kind: "request", id: 5 }],
  // Names and values of nested objects, and text inside of strings, are not the envelope's.
  ['{"jsonrpc":"2.0","method":"n","params":{"x":",\\"id\\":5"}}', { kind: "notification" }],
  ['{"jsonrpc":"2.0","method":"n","x\\",\\"id":5}', { kind: "notification" }],
  ['{"jsonrpc":"2.0","method":"n","x\\"id":5}', { kind: "notification" }],
  ['{"jsonrpc":"2.0","\\u0069d":3,"method":"m"}', { kind: "request", id: 3 }],
  // Ids are compared by type and value.
  ['{"jsonrpc":"2.0","id":"1","method":"m"}', { kind: "request", id: '"1' }],
  ['{"jsonrpc":"2.0","id":1.0,"method":"m"}', { kind: "request", id: 1 }],
  ['{"jsonrpc":"2.0","id":-3,"method":"m"}', { kind: "request", id: -3 }],
  ['{"jsonrpc":"2.0","id":1e2,"method":"m"}', { kind: "request", id: 100 }],
  ['{"jsonrpc":"2.0","id":1.5,"method":"m"}', { kind: "request", id: "1.5" }],
  ['{"jsonrpc":"2.0","id":9007199254740993,"method":"m"}', { kind: "request", id: "9007199254740993" }],
  [
    '{"params":{},"id":9007199254740993,"jsonrpc":"2.0","method":"m","z":{}}',
    { kind: "request", id: "9007199254740993" },
  ],
  ['{"jsonrpc":"2.0","id":"\\u0061\\"","method":"m"}', { kind: "request", id: '"a"' }],
  ['{"jsonrpc":"2.0","id":"é","method":"m"}', { kind: "request", id: '"é' }],
  ['{"jsonrpc":"2.0","id":"","method":"m"}', { kind: "request", id: '"' }],
  ['{"jsonrpc":"2.0","id":"null","method":"m"}', { kind: "request", id: '"null' }],
  // Two members of one name break the specification; what they mean is left open.
  ['{"id":1,"jsonrpc":"2.0","method":"m","id":2}', { kind: "request", id: 2 }],
  ['{"jsonrpc":"2.0","id":1,"method":"m","__proto__":{"id":3}}', { kind: "request", id: 1 }],
  // JSON, but no message.
  ["{}", { kind: "other" }],
  ["[]", { kind: "other" }],
  ["[1,2]", { kind: "other" }],
  ["null", { kind: "other" }],
  ['"text"', { kind: "other" }],
  ["12", { kind: "other" }],
  ['{"id":1,"method":"GET","msg":"a log line"}', { kind: "other" }],
  ['{"jsonrpc":"1.0","id":1,"method":"m"}', { kind: "other" }],
  ['{"jsonrpc":"2.0","id":{},"method":"m"}', { kind: "other" }],
  ['{"jsonrpc":"2.0","id":true,"method":"m"}', { kind: "other" }],
  ['{"jsonrpc":"2.0","id":1}', { kind: "other" }],
  ['{"jsonrpc":"2.0","result":1}', { kind: "other" }],
  ['{"__proto__":{"jsonrpc":"2.0","method":"m"}}', { kind: "other" }],
  ["", { kind: "blank" }],
  [" \t\r", { kind: "blank" }],
  ["Server listening", { kind: "invalid" }],
  ["[INFO] ready", { kind: "invalid" }],
  ['\u001b[32m{"jsonrpc":"2.0","method":"n"}', { kind: "invalid" }],
  ['\ufeff{"jsonrpc":"2.0","method":"n"}', { kind: "invalid" }],
  ['{"jsonrpc":"2.0","id":1,"method":"m"', { kind: "invalid" }],
  ['{"jsonrpc":"2.0","id":1,"method":"m"} done', { kind: "invalid" }],
  ['{"jsonrpc":"2.0","id":01,"method":"m"}', { kind: "invalid" }],
  ['{"jsonrpc":"2.0","id":1e,"method":"m"}', { kind: "invalid" }],
  ['{"jsonrpc":"2.0",}', { kind: "invalid" }],
  // White space around it is JSON's.
  ['  {"jsonrpc":"2.0","id":1,"method":"m"}\r', { kind: "request", id: 1 }],
];

describe("classify", () => {
  test.each(TABLE)("%s", (line, expected) => {
    expect(of(line)).toEqual(expected);
  });

  test("a batch tells every item, with the text of large ids", () => {
    const line =
      '[{"jsonrpc":"2.0","id":9007199254740993,"method":"a"},{"jsonrpc":"2.0","method":"n"},{"jsonrpc":"2.0","id":"x","result":1},3]';
    expect(of(line)).toEqual({
      kind: "batch",
      items: [
        { kind: "request", id: "9007199254740993" },
        { kind: "notification" },
        { kind: "response", id: '"x', error: false },
        { kind: "other" },
      ],
    });
  });

  test("deep nesting is no obstacle, at the end of the line or in the parser", () => {
    const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
    expect(of(`{"jsonrpc":"2.0","id":1,"method":"m","params":${deep}}`)).toEqual({ kind: "request", id: 1 });
    expect(of(`{"params":${deep},"id":1,"x":0,"method":"m","jsonrpc":"2.0"}`)).toEqual({ kind: "request", id: 1 });
  });

  test("only the range counts", () => {
    const bytes = Buffer.from('xx{"jsonrpc":"2.0","id":4,"method":"m"}\n,"id":5}');
    expect(classify(bytes, 2, bytes.indexOf(10))).toEqual({ kind: "request", id: 4 });
  });

  test("bytes that are not UTF-8 do not throw", () => {
    expect(of(Buffer.from([0x7b, 0xff, 0xfe, 0x7d])).kind).toBe("invalid");
  });
});

describe("classifyEnds", () => {
  const cut = (head: string, tail: string) => classifyEnds(Buffer.from(head), Buffer.from(tail));

  test("finds the id at either end", () => {
    expect(cut('{"jsonrpc":"2.0","id":1,"result":{"data":"aaa', 'aaa"}}')).toEqual({
      kind: "response",
      id: 1,
      error: false,
    });
    expect(cut('{"result":{"data":"aaa', 'aaa"},"jsonrpc":"2.0","id":8}')).toEqual({
      kind: "response",
      id: 8,
      error: false,
    });
  });

  test("does not guess", () => {
    expect(cut('{"jsonrpc":"2.0","id":1', "}")).toBeUndefined();
    expect(cut('{"jsonrpc":"2.0","result":"', '"id":8}')).toBeUndefined();
    expect(cut("aaaa", "aaaa")).toBeUndefined();
  });
});

test("idText writes the id as JSON", () => {
  for (const id of ["1", '"1"', "null", "9007199254740993", '"a\\"b"', "-3", "1.5"]) {
    const envelope = of(`{"jsonrpc":"2.0","id":${id},"method":"m"}`);
    expect(envelope.kind).toBe("request");
    if (envelope.kind === "request") expect(idText(envelope.id)).toBe(id);
  }
});
