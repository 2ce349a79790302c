/** Real servers, good and bad, as one; real clients of both eras. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import * as v from "valibot";
import { Deadline } from "../../../src/base/deadline.ts";
import { serverBody } from "../../../src/model/server-spec.ts";
import { fixture } from "../../support/api.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";
import { type House, openHouse } from "./house.ts";

const INSTALL_MS = 120_000;
const TEST_MS = 60_000;
const GATE = "gate";
const npm = (name: string) => `npm:@modelcontextprotocol/server-${name}@2026.8.31`;

let house: House;
let sample: string;

beforeAll(async () => {
  sample = await mkdtemp(join(tmpdir(), "linkspan-aggregate-sample-"));
  await mkdir(join(sample, "files"));
  await writeFile(join(sample, "files", "hello.txt"), "hello from the sample");
  const slow = fixture("plain-server.ts");
  house = await openHouse(
    "real",
    {
      dead: fixture("odd-handshake.ts", "exit"),
      everything: { image: npm("everything"), args: ["stdio"] },
      files: { image: npm("filesystem"), args: [join(sample, "files")] },
      hung: fixture("odd-handshake.ts", "silent"),
      memory: { image: npm("memory"), env: { MEMORY_FILE_PATH: join(sample, "memory.json") } },
      modern: fixture("tools-modern.ts"),
      slow: {
        ...slow,
        args: ["--preload", join(import.meta.dir, "../../fixtures/wait-for-file.ts"), ...(slow.args ?? [])],
        env: { GATE_FILE: join(sample, GATE) },
      },
    },
    { patience: "500ms", groups: { few: { servers: ["files", "mem*"], tools: { deny: ["*__delete_*"] } } } },
  );
}, INSTALL_MS);
afterAll(async () => {
  await house?.[Symbol.asyncDispose]();
  await rm(sample, { recursive: true, force: true });
}, TEST_MS);

const serversOf = (tools: { name: string }[]) => [...new Set(tools.map(({ name }) => name.split("__")[0]))].toSorted();

test(
  "initialize and tools/list do not wait for the bad ones; the others come as they are ready",
  async () => {
    const { client } = await house.legacy();
    const changes: number[] = [];
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => void changes.push(performance.now()));
    const from = performance.now();
    await client.listTools();
    // Installing alone takes longer.
    expect(performance.now() - from).toBeLessThan(5_000);
    const good = ["everything", "files", "memory", "modern"];
    await until(
      "the good ones",
      async () => Bun.deepEquals(serversOf((await client.listTools()).tools), good),
      INSTALL_MS,
    );
    expect(changes.length).toBeGreaterThan(0);
    const called = await client.callTool({ name: "everything__echo", arguments: { message: "hi" } });
    expect(called.content).toEqual([{ type: "text", text: "Echo: hi" }]);
    changes.length = 0;
    await writeFile(join(sample, GATE), "");
    await until("the slow one", () => changes.length > 0, 60_000);
    await until("its tools", async () => serversOf((await client.listTools()).tools).includes("slow"), 60_000);
    expect(await client.callTool({ name: "slow__echo", arguments: { text: "late" } })).toMatchObject({
      content: [{ text: "late" }],
    });
    const refused = await rejection(client.callTool({ name: "dead__anything" }));
    expect(String(refused)).toContain("exit code 9");
    await client.close();
  },
  INSTALL_MS,
);

test(
  "a modern client: lists, calls, resources, prompts, completion of legacy and modern servers",
  async () => {
    const { client } = await house.modern();
    const { tools } = await client.listTools();
    expect(serversOf(tools)).toEqual(["everything", "files", "memory", "modern", "slow"]);
    expect(await client.callTool({ name: "modern__echo", arguments: { text: "new" } })).toMatchObject({
      content: [{ text: "new" }],
    });
    const read = { name: "files__read_text_file", arguments: { path: join(sample, "files", "hello.txt") } };
    expect((await client.callTool(read)).content).toMatchObject([{ text: "hello from the sample" }]);
    const { prompts } = await client.listPrompts();
    expect(prompts.map(({ name }) => name)).toContain("everything__simple-prompt");
    expect((await client.getPrompt({ name: "everything__simple-prompt" })).messages).toHaveLength(1);
    const { resourceTemplates } = await client.listResourceTemplates();
    const [template] = resourceTemplates.filter(({ uriTemplate }) => uriTemplate.includes("text/{"));
    const uri = template?.uriTemplate.replace(/\{.*\}/, "1") ?? "";
    expect((await client.readResource({ uri })).contents[0]).toMatchObject({ uri });
    const { completion } = await client.complete({
      ref: { type: "ref/prompt", name: "everything__completable-prompt" },
      argument: { name: "department", value: "E" },
    });
    expect(completion.values).toEqual(["Engineering"]);
    await client.close();
  },
  TEST_MS,
);

test(
  "questions of a server inside a call reach the client that has called; messages name their server",
  async () => {
    const answers: string[] = [];
    const { client } = await house.legacy({
      capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } },
      prepare(asked) {
        asked.setRequestHandler(CreateMessageRequestSchema, async () => {
          answers.push("sampling");
          return { model: "m", role: "assistant", content: { type: "text", text: "sampled" } };
        });
        asked.setRequestHandler(ElicitRequestSchema, async () => {
          answers.push("elicitation");
          return { action: "decline" };
        });
        asked.setRequestHandler(ListRootsRequestSchema, async () => ({ roots: [{ uri: `file://${sample}` }] }));
      },
    });
    const loggers: unknown[] = [];
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void loggers.push(params.logger));
    await client.setLoggingLevel("debug");
    // The session of this client has tools that only such clients are shown.
    await client.callTool({ name: "everything__echo", arguments: { message: "hi" } });
    await until("its own tools", async () => {
      const { tools } = await client.listTools();
      return tools.some(({ name }) => name === "everything__trigger-sampling-request");
    });
    const sampled = await client.callTool({
      name: "everything__trigger-sampling-request",
      arguments: { prompt: "x", maxTokens: 10 },
    });
    expect(JSON.stringify(sampled)).toContain("sampled");
    await client.callTool({ name: "everything__trigger-elicitation-request", arguments: {} });
    expect(answers).toEqual(["sampling", "elicitation"]);
    await client.callTool({ name: "everything__toggle-simulated-logging", arguments: {} });
    await until("a message", () => loggers.length > 0, 30_000);
    expect(new Set(loggers.map((logger) => String(logger).split("/")[0]))).toEqual(new Set(["everything"]));
    await client.close();
  },
  TEST_MS,
);

test(
  "updates of a resource reach who has subscribed, and nobody else",
  async () => {
    const [one, other] = [await house.legacy(), await house.legacy()];
    const heard: string[][] = [[], []];
    for (const [index, { client }] of [one, other].entries()) {
      client.setNotificationHandler(
        ResourceUpdatedNotificationSchema,
        ({ params }) => void heard[index]?.push(params.uri),
      );
      await client.callTool({ name: "everything__toggle-subscriber-updates", arguments: {} });
    }
    const { resources } = await one.client.listResources();
    const uri = resources[0]?.uri ?? "";
    await one.client.subscribeResource({ uri });
    await until("an update", () => heard[0]?.includes(uri), 30_000);
    expect(heard[1]).toEqual([]);
    await Promise.all([one.client.close(), other.client.close()]);
  },
  TEST_MS,
);

test(
  "20 clients at once with equal ids: progress and answers are each one's own",
  async () => {
    const clients = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        index % 2 === 0 ? house.legacy() : house.modern({ principal: `p${index}` }),
      ),
    );
    const said = await Promise.all(
      clients.map(async ({ client }, index) => {
        const { content } = await client.callTool({ name: "memory__search_nodes", arguments: { query: `q${index}` } });
        const echoed = await client.callTool({ name: "slow__echo", arguments: { text: `t${index}` } });
        return [Array.isArray(content), JSON.stringify(echoed.content)];
      }),
    );
    expect(said).toEqual(clients.map((_, index) => [true, JSON.stringify([{ type: "text", text: `t${index}` }])]));
    await Promise.all(clients.map(({ client }) => client.close()));
  },
  TEST_MS,
);

test(
  "a server that crashes in a call ends that call and no other, and is there for the next one",
  async () => {
    const [one, other] = [await house.legacy(), await house.modern({ principal: "other" })];
    await one.client.callTool({ name: "slow__echo", arguments: { text: "a" } });
    const waiting = other.client.callTool({ name: "slow__hang", arguments: {} }).catch((error) => String(error));
    const crashed = String(await rejection(one.client.callTool({ name: "slow__crash", arguments: {} })));
    expect(crashed).toContain("-32052");
    const echo = { name: "slow__echo", arguments: { text: "again" } };
    expect(await one.client.callTool(echo)).toMatchObject({ content: [{ text: "again" }] });
    expect(await other.client.callTool(echo)).toMatchObject({ content: [{ text: "again" }] });
    expect(serversOf((await one.client.listTools()).tools)).toContain("files");
    expect(await Promise.race([waiting, "still waiting"])).toBe("still waiting");
    await Promise.all([one.client.close(), other.client.close()]);
  },
  TEST_MS,
);

test(
  "a group has its own servers and tools; an unknown one is refused with a hint",
  async () => {
    const { client } = await house.legacy({ selection: { group: "few" } });
    const { tools } = await client.listTools();
    expect(serversOf(tools)).toEqual(["files", "memory"]);
    expect(tools.filter(({ name }) => name.includes("delete"))).toEqual([]);
    expect(String(await rejection(client.callTool({ name: "everything__echo", arguments: {} })))).toContain("no tool");
    const denied = await rejection(
      client.callTool({ name: "memory__delete_entities", arguments: { entityNames: [] } }),
    );
    expect(String(denied)).toContain("no tool");
    expect(() => house.gateways.all({ group: "fwe" })).toThrow("no group");
    await client.close();
  },
  TEST_MS,
);

test(
  "servers that are defined and removed while clients are there",
  async () => {
    const { client } = await house.legacy();
    let changes = 0;
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => void (changes += 1));
    await client.listTools();
    const body = v.parse(serverBody, fixture("tools-legacy.ts"));
    await house.manager.start("later", body, () => {}, Deadline.in(20_000));
    await until("it is told", () => changes > 0, 20_000);
    await until("its tools", async () => serversOf((await client.listTools()).tools).includes("later"), 20_000);
    changes = 0;
    await house.manager.remove("later", Deadline.in(20_000));
    await until("it is told again", () => changes > 0, 20_000);
    expect(serversOf((await client.listTools()).tools)).not.toContain("later");
    await client.close();
  },
  TEST_MS,
);
