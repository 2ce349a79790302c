/**
 * The container engine that tests run against, and what happens where there is none: tests are skipped loudly, with a
 * count at the end, and never fail. `LINKSPAN_TEST_ENGINE=required` turns skips into failures, `none` forces them.
 *
 * The runner calls `startEngine` once and hands DOCKER_HOST to the tests; a single test file finds an engine by itself.
 */
import { test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { findEndpoint } from "../../src/docker/endpoint.ts";
import { Engine } from "../../src/docker/engine.ts";

const WISH = process.env.LINKSPAN_TEST_ENGINE;
const CONNECT_MS = 10_000;

async function connect(): Promise<Engine | string> {
  if (WISH === "none") return "LINKSPAN_TEST_ENGINE=none";
  try {
    return await Engine.connect(findEndpoint(process.env), Deadline.in(CONNECT_MS));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const found = await connect();

/** The engine, or undefined where none answers. */
export const ENGINE: Engine | undefined = typeof found === "string" ? undefined : found;
const missing = typeof found === "string" ? found : "";

let skipped = 0;
process.on("exit", () => {
  if (skipped > 0) process.stderr.write(`\n!! ${skipped} tests were SKIPPED: no container engine (${missing})\n`);
});

/** A test that needs a container engine. */
export function engineTest(name: string, body: () => Promise<void>, timeoutMs = 60_000): void {
  if (!ENGINE && WISH !== "required") skipped++;
  const needed = async () => {
    if (!ENGINE) throw new Error(`a container engine is required: ${missing}`);
    await body();
  };
  test.skipIf(!ENGINE && WISH !== "required")(name, needed, timeoutMs);
}

/** The engine inside an `engineTest`. */
export function engine(): Engine {
  if (!ENGINE) throw new Error("this test was not gated with engineTest");
  return ENGINE;
}
