/** The real thing: the official filesystem server from npm as a process, spoken to over a raw TCP connection. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { Deadline } from "../../../src/base/deadline.ts";
import { serverSpec } from "../../../src/model/server-spec.ts";
import { ProcessRuntime } from "../../../src/runtime/process/process.ts";

const START_MS = 120_000;
let folder: string;
let runtime: ProcessRuntime;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "linkspan-test-filesystem-"));
  await Bun.write(join(folder, "sample/hello.txt"), "hello from the sample");
  runtime = new ProcessRuntime({ dataDir: join(folder, "data") });
});

afterAll(async () => {
  for (const { id } of await runtime.list({}, Deadline.in(10_000))) await runtime.remove(id, Deadline.in(10_000));
  await rm(folder, { recursive: true, force: true });
});

/** Answers by id, as they come on the connection. */
async function converse(port: number, lines: object[], answers: number): Promise<Map<unknown, unknown>> {
  const socket = connect({ host: "127.0.0.1", port });
  const found = new Map<unknown, unknown>();
  for (const line of lines) socket.write(`${JSON.stringify(line)}\n`);
  let rest = "";
  for await (const chunk of socket) {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const message = JSON.parse(part);
      // Whoever attaches without a version is a plain client: he gets JSON-RPC and nothing else.
      expect(message).not.toHaveProperty("link");
      found.set(message.id, message.result);
    }
    if (found.size >= answers) break;
  }
  socket.destroy();
  return found;
}

test(
  "the filesystem server lists and reads a folder",
  async () => {
    const token = randomBytes(32).toString("base64url");
    const sample = join(folder, "sample");
    const image = "npm:@modelcontextprotocol/server-filesystem";
    const spec = v.parse(serverSpec, { name: "files", image, args: [sample], volumes: [`${sample}:${sample}`] });
    const steps: string[] = [];
    await runtime.prepare(spec, ({ step }) => steps.push(step), Deadline.in(START_MS));
    expect(new Set(steps)).toEqual(new Set(["resolve", "install"]));
    const tokenSha256 = createHash("sha256").update(token).digest("hex");
    const owner = {
      instance: "realtest",
      specHash: "0".repeat(64),
      tokenSha256,
      labels: {},
      configured: false,
      leaseMs: 0,
    };
    const { id } = await runtime.create(spec, owner, Deadline.in(10_000));
    const { addresses } = await runtime.start(id, Deadline.in(10_000));
    const [address] = addresses;
    if (address?.kind !== "tcp") throw new Error("the bridge has no address");
    const request = (number: number, method: string, params: object) => ({
      jsonrpc: "2.0",
      id: number,
      method,
      params,
    });
    const clientInfo = { name: "raw", version: "1" };
    const answers = await converse(
      address.port,
      [
        { link: "attach", token },
        request(1, "initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo }),
        { jsonrpc: "2.0", method: "notifications/initialized" },
        request(2, "tools/list", {}),
        request(3, "tools/call", { name: "list_directory", arguments: { path: sample } }),
        request(4, "tools/call", { name: "read_text_file", arguments: { path: join(sample, "hello.txt") } }),
        request(5, "tools/call", { name: "read_text_file", arguments: { path: "/etc/hostname" } }),
      ],
      5,
    );
    expect(answers.get(1)).toMatchObject({ serverInfo: { name: expect.stringContaining("filesystem") } });
    expect(JSON.stringify(answers.get(2))).toContain("read_text_file");
    expect(JSON.stringify(answers.get(3))).toContain("[FILE] hello.txt");
    expect(JSON.stringify(answers.get(4))).toContain("hello from the sample");
    expect(answers.get(5)).toMatchObject({ isError: true });
  },
  START_MS,
);
