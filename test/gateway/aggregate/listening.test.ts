/** What is heard when a server goes, and another one comes under its name. */
import { expect, test } from "bun:test";
import { Fault } from "../../../src/base/fault.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";
import { FakeServer, stage, tool } from "./fake.ts";

test("whoever listens is told when its server is lost, or defined anew, and can begin again", async () => {
  const a = Object.assign(new FakeServer(), { resources: [{ uri: "x://a", name: "a" }], tools: [tool("x")] });
  using scene = stage({ a });
  const { attachment, ...client } = Object.assign(scene.client(), { ends: 0 });
  const listen = () =>
    attachment.listen(
      { resourceSubscriptions: ["x://a"] },
      () => {},
      new AbortController().signal,
      () => (client.ends += 1),
    );
  await listen();
  a.onCall = () => {
    throw new Fault("server-failed", "it has ended");
  };
  const lost = { method: "tools/call", params: { name: "a__x" }, capabilities: {}, rounds: true };
  await rejection(attachment.request({ ...lost, signal: AbortSignal.timeout(5_000) }));
  await until("the end", () => client.ends === 1);
  await listen();
  scene.set({ a }, { a: "another" });
  await until("the other end", () => client.ends === 2);
  expect(await listen()).toEqual({ resourceSubscriptions: ["x://a"] });
});
