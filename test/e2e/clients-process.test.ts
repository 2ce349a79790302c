import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { EVERYTHING, testClients } from "./clients.ts";
import { INITIALIZE, RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

const MODERN = join(import.meta.dir, "../fixtures/modern-server.ts");

describe("clients of servers that run as processes", () => {
  const modern = async () => ({ image: `exec:${process.execPath}`, args: [MODERN] });
  testClients({ runtime: "process", test, modern });
});

test("a client that asks for progress is told what a first start does", async () => {
  await using stage = await Stage.open("process");
  await using front = new RawFront(stage.front(EVERYTHING));
  const id = front.ask("initialize", { ...INITIALIZE, _meta: { progressToken: "start" } });
  expect((await front.answered(id, 120_000)).result).toHaveProperty("serverInfo");
  const notices = front.messages.filter(({ method }) => method === "notifications/progress");
  expect(notices.length).toBeGreaterThan(0);
  expect(notices.map(({ params }) => params?.progress)).toEqual(notices.map((_, index) => index + 1));
  expect(notices[0]?.params).toMatchObject({ progressToken: "start", message: expect.any(String) });
  expect(front.messages.at(-1)?.id).toBe(id);
}, 180_000);
