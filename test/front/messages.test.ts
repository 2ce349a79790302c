import { expect, test } from "bun:test";
import { Fault } from "../../src/base/fault.ts";
import { parseArguments } from "../../src/front/arguments.ts";
import { errorAnswer, waitingTokens, progressNotice, sentence } from "../../src/front/messages.ts";
import { terminalName } from "../../src/front/terminal.ts";

test("an error answer carries the id as it came, the code of its kind, and the hint where people read", () => {
  const fault = new Fault("not-found", "no server is called x.", { hint: "Try `linkspan ps`.", data: { near: ["y"] } });
  const line = errorAnswer("9007199254740993", fault);
  expect(line).toStartWith('{"jsonrpc":"2.0","id":9007199254740993,"error":{"code":-32004,');
  expect(line.indexOf("\n")).toBe(line.length - 1);
  expect(JSON.parse(line).error).toEqual({
    code: -32004,
    message: "no server is called x. Try `linkspan ps`.",
    data: { kind: "not-found", message: "no server is called x.", hint: "Try `linkspan ps`.", data: { near: ["y"] } },
  });
});

test("message and hint make one text, whatever the hint begins with", () => {
  expect(sentence(new Fault("internal", "It broke."))).toBe("It broke.");
  expect(sentence(new Fault("internal", "it broke", { hint: "linkspan ps shows more" }))).toBe(
    "it broke; linkspan ps shows more",
  );
});

test("progress goes to requests that carry a token, and to nothing else", () => {
  const line = (id: number, method: string, token?: string | number) =>
    `${JSON.stringify({ jsonrpc: "2.0", id, method, params: token === undefined ? {} : { _meta: { progressToken: token } } })}\n`;
  const text =
    line(1, "initialize", "t\n1") + line(2, "server/discover", 7) + line(3, "tools/call", "a") + line(4, "initialize");
  const buffered = Buffer.from(`${text}progressToken garbage\n{"progressToken"`);
  expect(waitingTokens([buffered.subarray(0, 50), buffered.subarray(50)])).toEqual([
    { token: '"t\\n1"', opening: true },
    { token: "7", opening: true },
    { token: '"a"', opening: false },
  ]);
  expect(waitingTokens([])).toEqual([]);
  const notice = progressNotice("7", 2, { step: "pull", detail: "layer", current: 1, total: 3 });
  expect(JSON.parse(notice)).toEqual({
    jsonrpc: "2.0",
    method: "notifications/progress",
    params: { progressToken: 7, progress: 2, message: "pull: layer (33 %)" },
  });
});

test("the command line", () => {
  const plain = {
    server: "a",
    translate: false,
    toolset: [],
    definition: undefined,
    embedded: false,
    dataDir: undefined,
    retryIdempotent: false,
    manifest: true,
  };
  expect(parseArguments([])).toEqual({ ...plain, server: "" });
  expect(parseArguments(["--group", "g", "--embedded"])).toEqual({ ...plain, server: "", group: "g", embedded: true });
  expect(parseArguments(["a", "--translate"])).toEqual({ ...plain, translate: true });
  expect(parseArguments(["npm:x@1"])).toEqual({ ...plain, server: "npm:x@1" });
  expect(parseArguments(["--embedded", "--data-dir", "/d", "a"])).toEqual({ ...plain, embedded: true, dataDir: "/d" });
  expect(parseArguments(["--retry-idempotent", "a"])).toEqual({ ...plain, retryIdempotent: true, manifest: true });
  expect(parseArguments(["a", "--data-dir=/x=y"])).toEqual({ ...plain, dataDir: "/x=y" });
  expect(parseArguments(["a", "--help"])).toBeUndefined();
  const serving = { transport: "stdio" as const, host: "127.0.0.1", port: 8000, envFile: undefined, auth: true };
  const tools = { ...plain, server: "", toolset: ["docker"] };
  expect(parseArguments(["--toolset", "docker"])).toEqual({ ...tools, serving });
  expect(
    parseArguments([
      "--toolset=docker",
      "--transport",
      "http",
      "--port=0",
      "--host",
      "::1",
      "--no-auth",
      "--env-file",
      "e",
    ]),
  ).toEqual({ ...tools, serving: { transport: "http", host: "::1", port: 0, envFile: "e", auth: false } });
  for (const wrong of [
    ["--toolset", "x"],
    ["--toolset", "docker", "--transport", "smoke"],
    ["--toolset", "docker", "--port", "65536"],
    ["a", "--port", "1"],
    ["a", "--no-auth"],
    ["--toolset=docker", "a"],
    ["--group", "g", "a"],
    ["--group"],
    ["--translate"],
    ["--toolset", "docker", "--translate"],
    ["a", "--translate", "-e", "A=1"],
    ["--", "x"],
    ["a", "b"],
    ["--nope", "a"],
    ["a", "--data-dir"],
    ["--data-dir=", "a"],
    ["a", "-v"],
  ]) {
    expect(() => parseArguments(wrong)).toThrow(expect.objectContaining({ kind: "usage" }));
  }
});

test("a reference with what it needs to run", () => {
  const words = [
    "-v",
    "/notes:/data",
    "--env=A=1=2",
    "-e",
    "PATH",
    "--network",
    "egress",
    "npm:x@1",
    "--",
    "/data",
    "-v",
  ];
  expect(parseArguments(words)).toEqual({
    server: "npm:x@1",
    translate: false,
    toolset: [],
    definition: {
      args: ["/data", "-v"],
      volumes: ["/notes:/data"],
      env: { A: "1=2", PATH: process.env.PATH ?? "" },
      network: "egress",
    },
    embedded: false,
    dataDir: undefined,
    retryIdempotent: false,
    manifest: true,
  });
  expect(parseArguments(["npm:x", "--secret", "PATH"])?.definition).toEqual({
    secrets: { PATH: process.env.PATH ?? "" },
  });
  const onTheCommandLine = expect.objectContaining({ kind: "usage", message: expect.not.stringContaining("hunter2") });
  expect(() => parseArguments(["npm:x", "--secret", "KEY=hunter2"])).toThrow(onTheCommandLine);
});

test("the terminal's name fits into a session id", () => {
  expect(terminalName({ SSH_TTY: "/dev/pts/3" })).toBe("devpts3");
  expect(terminalName({ TERM_SESSION_ID: "w0t1p0:ABC/é" })).toBe("w0t1p0ABC");
  expect(terminalName({ WINDOWID: "9".repeat(300) })).toHaveLength(64);
  expect(terminalName({ TMUX_PANE: "///" })).toBeUndefined();
});
