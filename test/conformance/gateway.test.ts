/**
 * The conformance server on stdio, in a container, through Linkspan's HTTP: whoever judges it finds what is found when it
 * is asked over the SDK's own HTTP, check by check.
 */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { ENGINE, engineTest } from "../support/engine.ts";
import { CASES, Court } from "./court.ts";
import { INSTALL_MS } from "./referee.ts";

/** What no gateway can make of a server that knows sessions only; docs/eras.md says why. */
const IMPOSSIBLE = [
  "input-required-result-basic-elicitation/sep-2322-elicitation-complete",
  "input-required-result-basic-elicitation/sep-2322-elicitation-incomplete",
  "input-required-result-capability-check/sep-2322-respect-client-capabilities",
  "input-required-result-ignore-extra-params/sep-2322-ignore-unexpected-params",
  "server-stateless/sep-2575-missing-capability-http-400",
  "server-stateless/sep-2575-server-rejects-undeclared-capability",
];
const CASE_MS = 180_000;

describe("the official conformance tool", () => {
  let court: Court;
  beforeAll(async () => {
    if (ENGINE) court = await Court.open();
  }, INSTALL_MS);
  afterAll(() => court?.[Symbol.asyncDispose](), 60_000);

  for (const [suite, path, what] of CASES) {
    engineTest(
      `${suite}: ${what} is found as it is found directly`,
      async () => {
        const found = await court.through(suite, path);
        expect(found.passed, found.words).toBe(true);
        expect(found.checks).toEqual((await court.control(suite)).checks);
      },
      CASE_MS,
    );
  }

  engineTest(
    "2026-07-28: of a legacy server, modern clients find all but what is impossible",
    async () => {
      const found = await court.through("2026-07-28", "/servers/legacy/mcp");
      const { checks } = await court.control("2026-07-28");
      const missing = checks.filter((one) => !found.checks.includes(one));
      expect(missing.map((one) => one.replace(/: .*/, ""))).toEqual(IMPOSSIBLE);
    },
    CASE_MS,
  );
});
