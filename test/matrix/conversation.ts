/** What every client of the matrix does with the conformance server, whatever lies between: all that both eras know. */
import { expect } from "bun:test";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";
import type { Peer } from "./peers.ts";

/** `prefix` is put before the names of tools and prompts where several servers are one. */
export async function converse(peer: Peer, prefix: string): Promise<void> {
  const named = (name: string) => `${prefix}${name}`;
  await calls(peer, named);
  await questions(peer, named);
  await lists(peer, named);
  expect(await peer.progress(named("test_tool_with_progress"))).toEqual([0, 50, 100]);
  const words = await peer.logs(named("test_tool_with_logging"), 3);
  expect(words).toEqual(["Tool execution started", "Tool processing data", "Tool execution completed"]);
  await peer.told(() => peer.call(named("test_trigger_tool_change")));
  await cancellation(peer, named);
}

/** The same with what the official "everything" server has of it. */
export async function converseEverything(peer: Peer, prefix: string): Promise<void> {
  const named = (name: string) => `${prefix}${name}`;
  expect(await peer.tools()).toContain(named("get-sum"));
  expect((await peer.call(named("get-sum"), { a: 20, b: 22 })).text).toContain("42");
  expect((await peer.call(named("trigger-elicitation-request"))).text).toContain("ada");
  expect((await peer.call(named("trigger-sampling-request"), { prompt: "ping", maxTokens: 9 })).text).toContain("pong");
  expect((await peer.call(named("get-roots-list"))).text).toContain("file:///srv/one");
  expect(await peer.prompt(named("args-prompt"), { city: "Ulm" })).toContain("Ulm");
  const [uri = ""] = await peer.resources();
  expect((await peer.read(uri)).length).toBeGreaterThan(100);
  expect((await peer.templates()).length).toBeGreaterThan(0);
}

type Named = (name: string) => string;

async function calls(peer: Peer, named: Named): Promise<void> {
  // Where several servers are one, a list does not wait for those that start slowly.
  await until("the tools", async () => (await peer.tools()).includes(named("test_simple_text")), 30_000);
  expect((await peer.call(named("test_simple_text"))).text).toBe("This is a simple text response for testing.");
  const mixed = await peer.call(named("test_multiple_content_types"));
  expect(mixed.text).toBe("Multiple content types test:\nimage\nresource");
  const failed = await peer.call(named("test_error_handling"));
  expect(failed).toEqual({ isError: true, text: "This tool intentionally returns an error for testing" });
  // With an error or with a result that says so: servers disagree.
  const unknown = await peer
    .call(named("no_such_tool"))
    .catch((error: unknown) => ({ isError: true, text: String(error) }));
  expect(unknown.isError).toBe(true);
  expect(unknown.text).toContain("no_such_tool");
}

async function questions(peer: Peer, named: Named): Promise<void> {
  const asked = await peer.call(named("test_elicitation"), { message: "Who are you?" });
  expect(asked.text).toStartWith("User response: action=accept");
  expect(asked.text).toContain("ada@example.org");
  expect((await peer.call(named("test_sampling"), { prompt: "ping" })).text).toBe("LLM response: pong");
  const roots = await peer.call(named("test_input_required_result_list_roots"));
  expect(roots.text).toBe("roots: file:///srv/one");
  const three = await peer.call(named("test_input_required_result_multiple_inputs"));
  expect(three.text).toBe("pong ada, who has 1 roots");
}

async function lists(peer: Peer, named: Named): Promise<void> {
  expect(await peer.prompts()).toContain(named("test_prompt_with_arguments"));
  const prompt = await peer.prompt(named("test_prompt_with_arguments"), { arg1: "one", arg2: "two" });
  expect(prompt).toContain("arg1='one', arg2='two'");
  expect(await peer.resources()).toContain("test://static-text");
  expect(await peer.read("test://static-text")).toContain("This is the content of the static text resource.");
  expect(await peer.templates()).toContain("test://template/{id}/data");
  expect(await peer.read("test://template/7/data")).toContain("Data for ID: 7");
  expect(String(await rejection(peer.read("test://nowhere")))).toContain("nowhere");
  expect(await peer.complete(named("test_prompt_with_arguments"), "arg1")).toEqual(["one", "once"]);
}

async function cancellation(peer: Peer, named: Named): Promise<void> {
  const abort = new AbortController();
  const call = peer.call(named("wait_for_cancellation"), {}, abort.signal);
  setTimeout(() => abort.abort("enough"), 100);
  expect(String(await rejection(call))).toContain("enough");
  await until("a server that has heard of it", async () => (await peer.call(named("count_cancelled"))).text !== "0");
}
