/** Random messages in random slices through a real bridge and a real server, in both directions. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { fixture, TestBridge } from "../support/bridge.ts";
import { seeded } from "../support/seed.ts";
import { until } from "../support/until.ts";

const message = fc.record({
  id: fc.nat(),
  text: fc.string({ unit: "binary", maxLength: 2_000 }),
  noise: fc.string({ unit: "binary", maxLength: 30 }),
});

test("each request gets its own answer, whatever the slices and the noise", async () => {
  await using bridge = await TestBridge.start(fixture("obedient-server.ts"));
  const { seed, numRuns } = seeded("requests in slices", 20);
  const runs = fc.sample(
    fc.tuple(
      fc.array(message, { minLength: 1, maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 9 }),
    ),
    { seed, numRuns },
  );
  for (const [messages, slices] of runs) {
    const client = await bridge.plain();
    const lines = messages.flatMap(({ text, noise }, i) => [
      JSON.stringify({
        jsonrpc: "2.0",
        method: "write",
        params: { base64: Buffer.from(`# ${noise.replaceAll("\n", "")}\n`).toString("base64") },
      }),
      JSON.stringify({ jsonrpc: "2.0", id: i, method: "echo", params: { text } }),
    ]);
    const stream = Buffer.from(`${lines.join("\n")}\n`);
    for (let at = 0, i = 0; at < stream.length; i++) {
      const size = slices[i % slices.length] ?? 1;
      client.send(stream.subarray(at, at + size));
      at += size;
      if (i % 4 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until("all answers", () => client.lines.length >= messages.length);
    expect(client.lines.map((line) => JSON.parse(line))).toEqual(
      messages.map(({ text }, id) => ({ jsonrpc: "2.0", id, result: { text } })),
    );
    client.destroy();
  }
}, 60_000);
