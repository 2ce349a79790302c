/** Clients and servers of both eras, all four ways, through the compiled front and the manager's gateway. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { fixture } from "../support/api.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";
import { RawFront } from "./raw-front.ts";
import { ANSWERS, type Generation, type Speaker, speak } from "./speakers.ts";
import { Stage } from "./stage.ts";

const CONFORMANCE = join(import.meta.dir, "../conformance/stdio.ts");
const GENERATIONS = ["legacy", "modern"] as const;
const START_MS = 60_000;
let stage: Stage;

beforeAll(async () => {
  stage = await Stage.open("process");
  for (const era of GENERATIONS) {
    await stage.start(`${era}-server`, { image: `exec:${process.execPath}`, args: [CONFORMANCE, era] });
  }
  await stage.start("slow-modern", fixture("modern-server.ts"));
  await stage.start("slow-legacy", fixture("tools-legacy.ts"));
}, START_MS);
afterAll(() => stage?.[Symbol.asyncDispose]());

for (const client of GENERATIONS) {
  for (const server of GENERATIONS) {
    test(
      `a ${client} client and a ${server} server: tools, prompts, resources, questions, progress, log, changes, errors`,
      async () => {
        await using speaker = await speak(client, stage.front(`${server}-server`, "--translate"));
        await converse(speaker, client);
      },
      START_MS,
    );
  }
}

async function converse(speaker: Speaker, client: Generation): Promise<void> {
  expect(speaker.version).toBe(client === "legacy" ? "2025-11-25" : "2026-07-28");
  expect(speaker.server).toBe("linkspan-conformance");
  expect((await speaker.listTools()).map(({ name }) => name)).toContain("test_simple_text");
  expect(await speaker.call("test_multiple_content_types")).toContain("mixed-content-resource");
  const [first, second] = await Promise.all([
    speaker.call("json_schema_2020_12_tool", { name: "1", contactMethod: "phone", phone: "1" }),
    speaker.call("json_schema_2020_12_tool", { name: "2", contactMethod: "phone", phone: "2" }),
  ]);
  expect([first, second].map((text) => text.includes('\\"1\\"'))).toEqual([true, false]);
  expect(await speaker.lists()).toEqual({ prompts: 5, resources: 3, templates: 1 });
  expect(await speaker.prompt("test_prompt_with_arguments", { arg1: "x", arg2: "y" })).toContain("arg1='x'");
  expect(await speaker.read("test://template/7/data")).toContain("Data for ID: 7");
  expect(await speaker.complete("test_prompt_with_arguments")).toMatchObject({ values: ["one", "once"] });
  await questions(speaker);
  const steps: number[] = [];
  await speaker.call("test_tool_with_progress", {}, { onprogress: ({ progress }) => void steps.push(progress) });
  await until("two steps", () => steps.length >= 2);
  expect(steps).toEqual([...steps].sort((a, b) => a - b));
  await speaker.call("test_tool_with_logging", {}, { level: "info" });
  await until("the log", () => speaker.heard.includes("Tool execution completed"));
  await speaker.listen();
  await speaker.call("test_trigger_tool_change");
  await until("the change of tools", () => speaker.heard.includes("notifications/tools/list_changed"));
  await speaker.call("test_trigger_prompt_change");
  await until("the change of prompts", () => speaker.heard.includes("notifications/prompts/list_changed"));
  expect(await speaker.call("test_error_handling")).toContain("intentionally");
  const missing = await rejection(speaker.read("test://none"));
  expect(missing).toMatchObject({ code: client === "legacy" ? -32002 : -32602 });
  expect(speaker.errors).toEqual([]);
}

async function questions(speaker: Speaker): Promise<void> {
  expect(await speaker.call("test_elicitation", { message: "Who?" })).toContain("action=accept");
  expect(await speaker.call("test_sampling", { prompt: "Where?" })).toContain("LLM response: Paris");
  expect(await speaker.call("test_input_required_result_list_roots")).toContain(ANSWERS.roots.roots[0]?.uri ?? "-");
  expect(await speaker.call("test_input_required_result_multiple_inputs")).toContain("Paris Ada, who has 1 roots");
  expect(await speaker.call("test_input_required_result_multi_round")).toContain("both were answered");
  expect(await speaker.prompt("test_input_required_result_prompt")).toContain("following context");
}

for (const client of GENERATIONS) {
  for (const server of GENERATIONS) {
    test(`a ${client} client cancels a call of a ${server} server`, async () => {
      await using speaker = await speak(client, stage.front(`slow-${server}`, "--translate"));
      const abort = new AbortController();
      const args = { steps: 100_000, stepMs: 20 };
      const call = speaker.call("slow", args, { signal: abort.signal, onprogress: () => abort.abort("enough") });
      expect(String(await rejection(call))).toContain("enough");
      await until("the server's word", async () => (await logOf(`slow-${server}`)).includes("slow was cancelled"));
      expect(await speaker.call("echo", { text: "still there" })).toContain("still there");
    });
  }
}

async function logOf(server: string): Promise<string> {
  return await (await stage.api(`/servers/${server}/logs`)).text();
}

test("large messages pass whole, many at once, and a reader that is slow gets all of them", async () => {
  await using front = new RawFront(stage.front("slow-legacy", "--translate"));
  await front.initialize();
  const large = "ü".repeat(1024 * 1024);
  const answer = await front.call("echo", { text: large });
  expect(JSON.stringify(answer.result)).toContain(large);
  front.process.stdout.pause();
  const ids = Array.from({ length: 40 }, () =>
    front.ask("tools/call", { name: "big", arguments: { bytes: 1024 * 1024 } }),
  );
  await Bun.sleep(300);
  front.process.stdout.resume();
  for (const id of ids) expect(JSON.stringify((await front.answered(id)).result).length).toBeGreaterThan(1024 * 1024);
}, 30_000);

test("the end of a front ends its server process", async () => {
  await stage.start("own", fixture("tools-legacy.ts"));
  const sessions = async () => (await stage.sessions()).filter(({ server }) => server === "own").length;
  await using front = new RawFront(stage.front("own", "--translate"));
  await front.initialize();
  await front.call("echo", { text: "x" });
  expect(await sessions()).toBe(1);
  front.endInput();
  expect(await front.ended()).toBe(0);
  await until("the end of the session", async () => (await sessions()) === 0);
});

test("an unknown server or group is an error that says so", async () => {
  for (const args of [
    ["nobody", "--translate"],
    ["--group", "nobody"],
  ]) {
    await using front = new RawFront(stage.front(...args));
    const answer = await front.request("initialize", { protocolVersion: "2025-11-25", capabilities: {} });
    expect(answer.error?.message).toContain("nobody");
  }
});
