/** One client on lines: what is no message, batches, a client that does not read, the end. */
import { expect, test } from "bun:test";
import { until } from "../../support/until.ts";
import { modern, RawClient } from "./channel.ts";
import { FakeUpstream, text } from "./fake.ts";

const never = new Promise<never>(() => {});

test("a batch is answered as one, by the version that has batches, and refused by all others", async () => {
  const upstream = new FakeUpstream("legacy", ({ params }) => text("legacy", String(params.name)));
  const batch = [
    { jsonrpc: "2.0", id: "a", method: "tools/call", params: { name: "one" } },
    { jsonrpc: "2.0", method: "notifications/roots/list_changed" },
    { jsonrpc: "2.0", id: "b", method: "ping" },
  ];
  await using client = new RawClient(upstream);
  await client.initialize("2025-03-26");
  client.send(batch);
  const answers = await until("the batch", () => client.messages.find((message) => Array.isArray(message)));
  expect(answers.map(({ id }: { id: string }) => id).sort()).toEqual(["a", "b"]);
  expect(upstream.notes.map(({ method }) => method)).toEqual(["notifications/roots/list_changed"]);
  await using other = new RawClient(upstream);
  await other.initialize("2025-06-18");
  other.send(batch);
  expect((await until("the refusal", () => other.messages.find(({ id }) => id === null))).error.code).toBe(-32600);
});

test("what is no message is answered as such, and harms nothing", async () => {
  await using client = new RawClient(new FakeUpstream("legacy", () => never));
  await client.initialize();
  client.messages.length = 0;
  for (const line of ["nonsense", '{"jsonrpc":"2.0","id":{},"method":"ping"}', '{"id":5}', "[]", "7", ""])
    client.send(line);
  expect(client.messages.map(({ id, error }) => [id, error.code])).toEqual([
    [null, -32700],
    [null, -32600],
    [5, -32600],
    [null, -32600],
    [null, -32600],
  ]);
  // JSON.parse would make another id of it.
  for (const id of ["12345678901234567890", "1e400", "-1e400"]) {
    client.send(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`);
    expect(client.messages.at(-1)).toMatchObject({ id: null, error: { code: -32600 } });
  }
  expect((await client.request("ping")).result).toEqual({});
});

test("a client that does not read is not read from; it misses progress, and hears of changes later, once", async () => {
  const upstream = new FakeUpstream("legacy", (exchange) => {
    exchange.progress?.({ progress: 1 });
    return text("legacy", "done");
  });
  await using client = new RawClient(upstream);
  await client.initialize();
  const listen = await until("the listen", () => upstream.listens[0]);
  client.writable = false;
  await client.request("ping");
  expect(client.state.paused).toBe(true);
  client.messages.length = 0;
  await client.request("tools/call", { name: "x", _meta: { progressToken: 1 } });
  for (let count = 0; count < 3; count++) listen.hear({ method: "notifications/tools/list_changed", params: {} });
  expect(client.messages).toHaveLength(1);
  client.writable = true;
  client.channel.drained();
  expect(client.messages.map(({ method }) => method)).toEqual([undefined, "notifications/tools/list_changed"]);
  expect(client.state.paused).toBe(false);
});

test("of what a client that does not read hears later no more than 1 MiB is kept, the newest of it", async () => {
  const upstream = new FakeUpstream("legacy", () => text("legacy", "done"));
  await using client = new RawClient(upstream);
  await client.initialize();
  client.writable = false;
  await client.request("ping");
  client.messages.length = 0;
  const data = "x".repeat(100_000);
  for (let count = 0; count < 100; count++)
    upstream.clients[0]?.tell?.({ method: "notifications/message", params: { level: "error", count, data } });
  client.writable = true;
  client.channel.drained();
  expect(client.messages.map(({ params }) => params.count)).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
});

test("after its last word a client is answered, then the channel ends", async () => {
  const answer = Promise.withResolvers<void>();
  const upstream = new FakeUpstream("legacy", async () => (await answer.promise, text("legacy", "late")));
  await using client = new RawClient(upstream);
  await client.initialize();
  const id = client.ask("tools/call", { name: "x" });
  client.ask("subscriptions/listen", modern({ notifications: { toolsListChanged: true } }));
  client.channel.finish();
  await Bun.sleep(5);
  expect(client.state.ended).toBe(false);
  answer.resolve();
  await client.answered(id);
  await until("the end", () => client.state.ended);
});
