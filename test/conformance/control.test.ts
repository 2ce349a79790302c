/** The conformance server by itself: what Linkspan is compared with has to be right first. */
import { beforeAll, expect, test } from "bun:test";
import { directServer } from "./direct.ts";
import { INSTALL_MS, installReferee, judge, type Suite } from "./referee.ts";

beforeAll(installReferee, INSTALL_MS);

test.each<Suite>(["release", "2025-11-25", "2026-07-28"])(
  "over the SDK's own HTTP it meets %s",
  async (suite) => {
    await using server = await directServer();
    const { passed, checks, words } = await judge(suite, server.url);
    expect(passed, words).toBe(true);
    expect(checks.length).toBeGreaterThan(30);
  },
  120_000,
);
