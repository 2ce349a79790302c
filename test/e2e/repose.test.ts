/** A client that stays and asks nothing: its server is stopped for others, and it notices nothing. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { tempDir } from "../support/cli.ts";
import { until } from "../support/until.ts";
import { RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

const PLAIN = join(import.meta.dir, "../fixtures/plain-server.ts");
const MOODY = join(import.meta.dir, "../fixtures/moody-server.ts");

test("its session is given up when it is idle, and its next request brings another one", async () => {
  await using folder = await tempDir("repose");
  const mood = join(folder.path, "mood.json");
  await Bun.write(mood, "{}");
  const image = `exec:${process.execPath}`;
  const servers = {
    a: { image, args: [PLAIN], sessionIdle: "1s" },
    b: { image, args: [PLAIN] },
    subscribed: { image, args: [MOODY, mood], sessionIdle: "1s" },
  };
  const file = join(folder.path, "linkspan.yaml");
  await Bun.write(file, JSON.stringify({ servers }));
  const args = ["--config", file, "--budget-containers", "2", "--budget-wait", "2"];
  await using stage = await Stage.open("process", { args });
  await using subscribed = new RawFront(stage.front("subscribed"));
  await subscribed.initialize();
  await subscribed.request("resources/subscribe", { uri: "test://one" });
  await using front = new RawFront(stage.front("a"));
  await front.initialize();
  const before = (await front.call("process")).result?.content;
  // What is under way is no idleness.
  expect((await front.call("later", { count: 2_500, text: "whole" })).result?.content).toEqual([
    { type: "text", text: "whole" },
  ]);
  expect((await front.call("process")).result?.content).toEqual(before);
  await until("the session is given up", async () => (await stage.view("a")).sessions === 0, 10_000);
  expect((await stage.view("subscribed")).sessions).toBe(1);
  await using other = new RawFront(stage.front("b"));
  await other.initialize();
  expect((await other.call("echo", { text: "b" })).result?.content).toEqual([{ type: "text", text: "b" }]);
  expect((await stage.view("a")).state).toBe("stopped");
  // No room: the client hears it as the answer to what it asked, and asks again.
  expect((await front.call("echo", { text: "x" })).error?.message).toContain("no room for a");
  other.endInput();
  expect(await other.ended()).toBe(0);
  await until("it is served again", async () => (await front.call("echo", { text: "y" })).result !== undefined, 20_000);
  expect((await front.call("process")).result?.content).not.toEqual(before);
  expect(front.process.exitCode).toBeNull();
  expect(front.noise).toEqual([]);
  // Somebody stops it while nobody has a session: that is heeded.
  await until("the session is given up again", async () => (await stage.view("a")).sessions === 0, 10_000);
  await stage.api("/servers/a/stop", { method: "POST" });
  expect((await front.call("echo")).error?.message).toContain("was stopped");
});
