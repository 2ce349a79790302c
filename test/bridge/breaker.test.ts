/** Servers that end as soon as they are started: the loop is broken, the reason is said, and the way back is open. */
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Breaker } from "../../bridge/breaker.ts";
import { TestBridge } from "../support/bridge.ts";
import { until } from "../support/until.ts";

test("five useless starts in ten seconds are a loop; each trial that fails doubles the rest, up to a minute", () => {
  const breaker = new Breaker();
  for (const at of [0, 3_000, 6_000, 9_000]) breaker.failed("exit code 1", at);
  expect(breaker.restMs(9_000)).toBe(0);
  breaker.failed("exit code 1", 10_500);
  // The first is out of the window by now.
  expect(breaker.restMs(10_500)).toBe(0);
  breaker.failed("exit code 2", 11_000);
  expect(breaker.restMs(11_000)).toBe(1_000);
  expect(breaker.describe(11_000)).toBe(
    "the server ends whenever it is started (exit code 2); the next try is in 1.0 s at the earliest",
  );
  // What was started before the rest does not lengthen it.
  breaker.failed("exit code 2", 11_500);
  expect(breaker.restMs(12_000)).toBe(0);
  let now = 12_000;
  const rests: number[] = [];
  for (let trial = 0; trial < 8; trial++) {
    breaker.failed("exit code 2", now);
    rests.push(breaker.restMs(now));
    now += breaker.restMs(now);
  }
  expect(rests).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  expect(breaker.describe(now)).toBe("the server ends whenever it is started (exit code 2)");
  breaker.worked();
  expect(breaker.describe(now)).toBeUndefined();
  breaker.failed("exit code 1", now);
  expect(breaker.restMs(now)).toBe(0);
});

test("a server in a loop is left alone, everybody who comes is told why, and it is tried again later", async () => {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-breaker-"));
  const mended = join(folder, "mended");
  const answer = `echo '{"jsonrpc":"2.0","id":1,"result":"well"}'; read -r line`;
  const command = ["sh", "-c", `read -r line; test -e ${mended} || { echo no config >&2; exit 78; }; ${answer}`];
  await using bridge = await TestBridge.start(command);
  try {
    const control = await bridge.control();
    const ask = async () => {
      const client = await bridge.plain();
      client.request(1, "initialize");
      const answered = await client.message();
      client.destroy();
      return answered;
    };
    for (let i = 0; i < 5; i++) expect((await ask()).error?.data).toMatchObject({ code: 78, stderr: ["no config"] });
    for (let i = 0; i < 20; i++) {
      const client = await bridge.connect();
      client.send(`{"link":"attach","token":"a-token-for-tests"}\n{"jsonrpc":"2.0","id":1,"method":"initialize"}\n`);
      expect(await client.message()).toMatchObject({
        id: 1,
        error: {
          message: expect.stringMatching(/ends whenever it is started \(.*exit code 78.*\); the next try is in/),
        },
      });
    }
    expect(bridge.stderr.split("server process").length - 1).toBe(5);
    control.send({ link: "health" });
    expect(await control.frame("health")).toMatchObject({
      status: "unhealthy",
      trouble: { kind: "crash-loop", message: expect.stringContaining("exit code 78, its last words: no config)") },
    });
    writeFileSync(mended, "");
    await until("it is tried again", async () => (await ask().catch(() => undefined))?.result === "well");
    control.send({ link: "health" });
    const found = await control.frame("health");
    expect(found.trouble).toBeUndefined();
  } finally {
    await rm(folder, { recursive: true });
  }
});
