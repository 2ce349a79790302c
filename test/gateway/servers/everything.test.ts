/** The official "everything" server, which is a legacy one, through an upstream: for clients of both eras. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Note, Params, Question } from "../../../src/gateway/exchange.ts";
import { EVERYTHING } from "../../e2e/clients.ts";
import { until } from "../../support/until.ts";
import { Person, resultOf, Stage, type Subject, textOf } from "./stage.ts";

/** The first use of the package installs it. */
const FIRST_MS = 180_000;
const DOCUMENT = "demo://resource/static/document/features.md";
const ABLE = { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} };

let stage: Stage;
let everything: Subject;

beforeAll(async () => {
  stage = await Stage.open("everything");
  everything = await stage.start("everything", { image: EVERYTHING });
}, FIRST_MS);
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

function answer({ method, params }: Question): Params {
  if (method === "roots/list") return { roots: [{ uri: "file:///srv/one", name: "One" }] };
  if (method === "sampling/createMessage") {
    return { model: "m", role: "assistant", content: { type: "text", text: "sampled" } };
  }
  return params.mode === "url" ? { action: "accept" } : { action: "accept", content: { name: "Ada", check: true } };
}

for (const era of ["legacy", "modern"] as const) {
  test(`a ${era} client: lists by its abilities, results, progress`, async () => {
    const able = new Person(everything.upstream, era, { capabilities: ABLE, answer });
    const plain = new Person(everything.upstream, era, { principal: "plain" });
    const [more, less] = [await able.request("tools/list"), await plain.request("tools/list")];
    expect(resultOf(more).tools.length).toBeGreaterThan(resultOf(less).tools.length);
    expect(textOf(await plain.call("echo", { message: "äöü \u2028 😀" }))).toContain("äöü \u2028 😀");
    expect(JSON.stringify(resultOf(await plain.request("prompts/list")))).toContain("args-prompt");
    const read = await plain.request("resources/read", { uri: "demo://resource/dynamic/blob/2" });
    expect(resultOf(read).contents[0]).toHaveProperty("blob");
    const steps: number[] = [];
    const progress = ({ progress: step }: { progress: number }) => void steps.push(step);
    await plain.call("trigger-long-running-operation", { duration: 0.3, steps: 3 }, { progress });
    expect(steps).toEqual([1, 2, 3]);
    await Promise.all([able.attachment.close(), plain.attachment.close()]);
  });

  test(`a ${era} client is asked for all that a legacy server can ask for`, async () => {
    const person = new Person(everything.upstream, era, { capabilities: ABLE, answer });
    expect(textOf(await person.call("trigger-sampling-request", { prompt: "why?" }))).toContain("sampled");
    expect(JSON.stringify(resultOf(await person.call("trigger-elicitation-request")))).toContain("Ada");
    expect(JSON.stringify(resultOf(await person.call("get-roots-list")))).toContain("file:///srv/one");
    await person.attachment.close();
  });

  test(`a ${era} client hears of a resource that it has subscribed to`, async () => {
    const person = new Person(everything.upstream, era, { principal: `subscriber ${era}` });
    const heard: Note[] = [];
    const stop = new AbortController();
    const filter = { resourceSubscriptions: [DOCUMENT] };
    const hear = (note: Note) => void heard.push(note);
    expect(await person.attachment.listen(filter, hear, stop.signal, () => {})).toEqual(filter);
    await person.call("toggle-subscriber-updates");
    await until("an update", () => heard.some(({ params }) => params.uri === DOCUMENT));
    await person.call("toggle-subscriber-updates");
    stop.abort();
    await person.attachment.close();
  });
}

test("a modern client gets what legacy clients call as a task, or after they have visited a page", async () => {
  const researcher = new Person(everything.upstream, "modern", { principal: "researcher" });
  const visitor = new Person(everything.upstream, "modern", { capabilities: ABLE, answer, principal: "visitor" });
  const visited = { url: "https://example.test/page", errorPath: true };
  // Both take their time, so at the same time.
  const [found, seen] = await Promise.all([
    researcher.call("simulate-research-query", { topic: "bridges", ambiguous: false }),
    visitor.call("trigger-url-elicitation", visited),
  ]);
  expect(JSON.stringify(resultOf(found))).toContain("bridges");
  expect(resultOf(seen).isError).toBeFalsy();
  // First the page that the error named; then the call went on, on the process that knew of the visit.
  const pages = visitor.asked.filter(({ params }) => params.mode === "url").map(({ params }) => params.url);
  expect(pages).toEqual(["https://modelcontextprotocol.io", visited.url]);
}, 30_000);
