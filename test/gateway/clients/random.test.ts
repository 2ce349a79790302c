/** Whatever a client says, in whatever order: each request is answered once, or was cancelled, and nothing breaks. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Fault } from "../../../src/base/fault.ts";
import { type Reply, RpcFault } from "../../../src/gateway/exchange.ts";
import { seeded } from "../../support/seed.ts";
import { until } from "../../support/until.ts";
import { modern, RawClient } from "./channel.ts";
import { FakeUpstream, text } from "./fake.ts";

const METHODS = [
  "tools/call",
  "tools/list",
  "resources/read",
  "ping",
  "resources/subscribe",
  "vendor/x",
  "",
  "__proto__",
];
const ABLE = { elicitation: {}, roots: {} };

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("ask"),
      method: fc.constantFrom(...METHODS),
      modern: fc.boolean(),
      way: fc.nat(4),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("cancel"), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("say"), value: fc.jsonValue() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("answer"),
      id: fc.constantFrom("gw-1", "gw-2", 1, "x"),
      value: fc.jsonValue(),
    }),
  },
);

/** In the way that the request asks for. */
async function answering({ params, ask, signal, progress }: Parameters<FakeUpstream["answering"]>[0]): Promise<Reply> {
  progress?.({ progress: 1 });
  if (params.way === 1) await Bun.sleep(1);
  if (params.way === 2) throw new Fault("server-failed", "it has ended");
  if (params.way === 3) return { kind: "error", error: { code: -1, message: "no" } };
  if (params.way === 4 && ask)
    await ask({ method: "roots/list", params: {} }, signal).catch((error: RpcFault) => error);
  return text("legacy", "done");
}

test("random conversations", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      await using client = new RawClient(new FakeUpstream("legacy", answering));
      await client.initialize("2025-11-25", ABLE);
      const [asked, cancelled]: [number[], Set<number>] = [[], new Set()];
      for (const one of steps) {
        if ("method" in one) {
          const params = { way: one.way, uri: "a://1" };
          asked.push(client.ask(one.method, one.modern ? modern(params, ABLE) : params));
        } else if ("which" in one) {
          const id = asked[one.which];
          if (id === undefined) continue;
          cancelled.add(id);
          client.notify("notifications/cancelled", { requestId: id });
        } else if ("id" in one) client.send({ jsonrpc: "2.0", id: one.id, result: one.value });
        else client.send(JSON.stringify(one.value) ?? "");
      }
      const answers = (id: number) => client.messages.filter((message) => message.id === id && !message.method);
      // Questions that nobody has answered yet are, one after the other.
      await until("the answers", () => {
        for (const { id, method } of client.messages) {
          if (method === "roots/list") client.send({ jsonrpc: "2.0", id, result: { roots: [] } });
        }
        return asked.every((id) => cancelled.has(id) || answers(id).length > 0);
      });
      for (const id of asked) {
        const count = answers(id).length;
        expect(cancelled.has(id) ? count <= 1 : count === 1).toBe(true);
      }
      expect((await client.request("ping")).result).toEqual({});
    }),
    seeded("conversations", 150),
  );
}, 30_000);
