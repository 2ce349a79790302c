/** What passes a bridge, byte by byte: messages unchanged in both directions, noise not at all, its neighbours still. */
import { describe, expect, test } from "bun:test";
import { fixture, LineClient, TestBridge } from "../support/bridge.ts";
import { until } from "../support/until.ts";

const OBEDIENT = fixture("obedient-server.ts");

/** Has the server write these bytes, then answers `done`, and returns all lines before that answer. */
async function written(client: LineClient, bytes: string | Uint8Array): Promise<string[]> {
  client.request("write", "write", { base64: Buffer.from(bytes).toString("base64") });
  client.request("done", "echo", {});
  const lines: string[] = [];
  for (;;) {
    const line = await client.line();
    if (line.includes('"id":"done"')) return lines;
    if (!line.startsWith('{"link":"ack"')) lines.push(line);
  }
}

const NOTE = '{"jsonrpc":"2.0","method":"n"}';

describe("noise of a server", () => {
  const noise: [string, string | Uint8Array, string[]][] = [
    ["a banner", `Server v1.2 listening\n${NOTE}\n`, [NOTE]],
    ["colours", `\u001b[32mready\u001b[0m\n${NOTE}\n`, [NOTE]],
    ["blank lines", `\n \n\t\r\n${NOTE}\n\n`, [NOTE]],
    ["CRLF", `${NOTE}\r\n${NOTE}\r\n`, [NOTE, NOTE]],
    ["a byte order mark", `\ufeff${NOTE}\n`, [NOTE]],
    ["NUL bytes", `\0\0${NOTE}\n${NOTE}\n`, [NOTE]],
    ["NUL inside of a message", `{"jsonrpc":"2.0","method":"n\0"}\n${NOTE}\n`, [NOTE]],
    ["JSON log lines", `{"level":30,"msg":"started","id":"done","method":"GET"}\n${NOTE}\n`, [NOTE]],
    ["JSON that is no message", `[]\n1\n"text"\nnull\n{}\n${NOTE}\n`, [NOTE]],
    ["brackets that look like a batch", `[INFO] ready\n${NOTE}\n`, [NOTE]],
    ["half a message", `{"jsonrpc":"2.0","method":\n${NOTE}\n`, [NOTE]],
    [
      "invalid UTF-8",
      Buffer.concat([
        Buffer.from('{"jsonrpc":"2.0","method":"'),
        Buffer.from([0xff, 0xc3]),
        Buffer.from(`"}\n${NOTE}\n`),
      ]),
      [NOTE],
    ],
    ["a forged control frame", `{"link":"exit","jsonrpc":"2.0","id":"done","result":1}\n${NOTE}\n`, [NOTE]],
    ["an answer that nobody awaits", `{"jsonrpc":"2.0","id":77,"result":1}\n${NOTE}\n`, [NOTE]],
    ["an answer with the id as another type", `{"jsonrpc":"2.0","id":["done"],"result":1}\n${NOTE}\n`, [NOTE]],
    [
      "an error without an id, which is for the client",
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}\n',
      ['{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}'],
    ],
  ];

  test("does not pass, its valid neighbours do; it is counted and told to the log", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    for (const [what, bytes, passed] of noise) expect([what, await written(client, bytes)]).toEqual([what, passed]);
    const control = await bridge.control();
    control.send({ link: "health" });
    expect((await control.frame("health")).dropped).toBeGreaterThanOrEqual(noise.length - 3);
    client.send({ link: "detach" });
    await control.frame("exit");
    await until("the log", () => /not passed on: .*noise from the server/.test(bridge.stderr));
    expect(bridge.stderr).toContain('not passed on, noise from the server: "Server v1.2 listening"');
    // No control character of the server's reaches a terminal.
    for (const character of ["\u001b", "\0"]) expect(bridge.stderr).not.toContain(character);
  });

  test("the second answer to a request is dropped", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    client.request(1, "silence");
    const answer = '{"jsonrpc":"2.0","id":1,"result":1}';
    expect(await written(client, `${answer}\n${answer}\n`)).toEqual([answer]);
    // The number and the string are two ids.
    client.request("1", "silence");
    expect(await written(client, `${answer}\n{"jsonrpc":"2.0","id":"1","result":2}\n`)).toEqual([
      '{"jsonrpc":"2.0","id":"1","result":2}',
    ]);
  });

  test("two requests with one id get an answer each", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    client.request(1, "echo", { first: true });
    client.request(1, "echo", { first: false });
    expect([(await client.message()).result, (await client.message()).result]).toEqual([
      { first: true },
      { first: false },
    ]);
  });
});

describe("payload", () => {
  const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
  const payloads: [string, string][] = [
    ["__proto__", '{"jsonrpc":"2.0","method":"n","params":{"__proto__":{"x":1},"constructor":1}}'],
    ["2^53+1, 1e400, -0", '{"jsonrpc":"2.0","method":"n","params":[9007199254740993,1e400,-0,1.0]}'],
    ["duplicate keys", '{"jsonrpc":"2.0","method":"n","params":{"a":1,"a":2}}'],
    ["white space and key order", '{ "params" : { } ,\t"method":"n", "jsonrpc" : "2.0" }'],
    ["escapes", '{"jsonrpc":"2.0","method":"n","params":"\\u0041\\/\\ud800 \\u2028"}'],
    ["line separators and astral characters", '{"jsonrpc":"2.0","method":"n","params":"\u2028\u2029😀\u0085"}'],
    ["a batch", '[{"jsonrpc":"2.0","method":"n"},{"jsonrpc":"2.0","method":"n"}]'],
    ["deep nesting", `{"jsonrpc":"2.0","method":"n","params":${deep}}`],
    ["text that looks like a frame", '{"jsonrpc":"2.0","method":"n","params":"{\\"link\\":\\"exit\\"}"}'],
    ["unknown members", '{"jsonrpc":"2.0","method":"n","extra":{"y":1},"_meta":{}}'],
  ];

  test("reaches the client as the server wrote it", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    const all = payloads.map(([, line]) => line);
    expect(await written(client, all.map((line) => `${line}\n`).join(""))).toEqual(all);
  });

  test("reaches the server as the client wrote it", async () => {
    // The server writes what it reads into a message.
    await using bridge = await TestBridge.start(fixture("quoting-server.ts"));
    const client = await bridge.plain();
    for (const [what, line] of payloads) {
      client.send(`${line}\n`);
      expect([what, JSON.parse(await client.line()).params]).toEqual([what, line]);
    }
  });

  test("a request, an answer and a notification pass in both directions", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    const request = '{"jsonrpc":"2.0","id":"from-server","method":"sampling/createMessage","params":{}}';
    expect(await written(client, `${request}\n`)).toEqual([request]);
    client.send('{"jsonrpc":"2.0","id":"from-server","result":{}}\n');
    expect(await client.message()).toMatchObject({ method: "not-a-request", params: { id: "from-server" } });
  });

  test("messages up to the limit pass in both directions", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    const text = "ü".repeat(5_000_000);
    client.request(1, "echo", { text });
    expect((await client.message(20_000)).result).toEqual({ text });
  });
});

describe("a message over the limit", () => {
  const args = ["--message-bytes", "10000"];

  test("of the client is answered with an error for its id, and the next one passes", async () => {
    await using bridge = await TestBridge.start(OBEDIENT, { args });
    const client = await bridge.attach();
    client.request(1, "echo", { text: "x".repeat(10_000) });
    expect(await client.message()).toMatchObject({ id: 1, error: { code: -32013 } });
    client.send(`{"method":"echo","params":{"text":"${"x".repeat(300_000)}"},"jsonrpc":"2.0","id":2}\n`);
    expect(await client.message()).toMatchObject({ id: 2, error: { code: -32013, data: { kind: "too-large" } } });
    client.request(3, "echo", {});
    expect(await client.message()).toMatchObject({ id: 3, result: {} });
  });

  test("of the server becomes an error for the request that it answers, and the next one passes", async () => {
    await using bridge = await TestBridge.start(OBEDIENT, { args });
    const client = await bridge.attach();
    client.request(1, "silence");
    client.request(2, "silence");
    client.request(3, "repeat", {
      parts: [
        ['{"jsonrpc":"2.0","id":1,"result":"', 1],
        ["x", 50_000],
        ['"}\n{"result":"', 1],
        ["x", 50_000],
        ['","jsonrpc":"2.0","id":2}\n', 1],
      ],
    });
    const got = [await client.message(), await client.message(), await client.message()];
    expect(got.toSorted((a, b) => Number(a.id) - Number(b.id))).toMatchObject([
      { id: 1, error: { code: -32013, data: { kind: "too-large" } } },
      { id: 2, error: { code: -32013 } },
      { id: 3, result: "repeated" },
    ]);
  });
});

describe("nonsense of a client", () => {
  test("that is no JSON is answered with a parse error and does not reach the server", async () => {
    await using bridge = await TestBridge.start(fixture("quoting-server.ts"));
    const client = await bridge.plain();
    for (const line of ["hello", '{"jsonrpc":"2.0","id":1', "\u0001", '{"a":"\0"}']) {
      client.send(`${line}\n`);
      expect(await client.message()).toMatchObject({ id: null, error: { code: -32700 } });
    }
    client.send(Buffer.from([0x7b, 0xff, 0x7d, 0x0a]));
    expect(await client.message()).toMatchObject({ id: null, error: { code: -32700 } });
    // Blank lines are nothing; JSON that is no JSON-RPC is the server's business.
    client.send('\n\r\n{"hello":1}\n');
    expect(JSON.parse(await client.line()).params).toBe('{"hello":1}');
  });

  test("an answer that the server does not await is dropped", async () => {
    await using bridge = await TestBridge.start(fixture("quoting-server.ts"));
    const client = await bridge.plain();
    client.send('{"jsonrpc":"2.0","id":5,"result":1}\n{"jsonrpc":"2.0","method":"next"}\n');
    expect(JSON.parse(await client.line()).params).toContain('"next"');
  });

  test("ids that are too long or too many are refused, one by one", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    client.request("i".repeat(5_000), "echo");
    expect(await client.message()).toMatchObject({ id: null, error: { code: -32029 } });
    client.request("i".repeat(1_000), "echo");
    expect(await client.message()).toMatchObject({ id: "i".repeat(1_000) });
  });
});

describe("chunks", () => {
  test("one byte at a time gives the same", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.connect();
    const text = `{"link":"attach","token":"a-token-for-tests"}\n{"jsonrpc":"2.0","id":1,"method":"echo","params":"é😀"}\n`;
    for (const byte of Buffer.from(text)) {
      client.send(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await client.message()).toMatchObject({ id: 1, result: "é😀" });
  });

  test("a half-close still gets the answer, and a request without newline is one", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.plain();
    client.request(1, "later", { ms: 300 });
    client.send('{"jsonrpc":"2.0","id":2,"method":"echo","params":{}}');
    client.end();
    const got = (await client.toEnd()).map((line) => JSON.parse(line).id);
    expect(got).toEqual([2, 1]);
  });
});
