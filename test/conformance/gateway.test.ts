/**
 * The conformance server on stdio, in a container, through Linkspan's HTTP: whoever judges it finds what is found when it
 * is asked over the SDK's own HTTP, check by check.
 */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fixtureBody } from "../e2e/images.ts";
import { Stage } from "../e2e/stage.ts";
import { ENGINE, engineTest } from "../support/engine.ts";
import { directServer } from "./direct.ts";
import { keyedDoor } from "./keyed.ts";
import { INSTALL_MS, installReferee, judge, type Suite, type Verdict } from "./referee.ts";

/** What no gateway can make of a server that knows sessions only; docs/eras.md says why. */
const IMPOSSIBLE = [
  "input-required-result-basic-elicitation/sep-2322-elicitation-complete",
  "input-required-result-basic-elicitation/sep-2322-elicitation-incomplete",
  "input-required-result-capability-check/sep-2322-respect-client-capabilities",
  "input-required-result-ignore-extra-params/sep-2322-ignore-unexpected-params",
  "server-stateless/sep-2575-missing-capability-http-400",
  "server-stateless/sep-2575-server-rejects-undeclared-capability",
];
const CONFIG = 'gateway: { groups: { plain: { servers: ["dual*"], plainNames: true } } }\n';
const PROGRAM = join(import.meta.dir, "stdio.ts");
/** The release leaves its sessions open, some thirty a run, and each is a process. */
const ROOM = { pids: 4096, memory: "4g" };
const CASE_MS = 120_000;

describe("the official conformance tool", () => {
  let stage: Stage;
  let folder: string;
  let direct: Awaited<ReturnType<typeof directServer>>;
  beforeAll(async () => {
    if (!ENGINE) return;
    await installReferee();
    folder = await mkdtemp(join(tmpdir(), "linkspan-test-conformance-"));
    await writeFile(join(folder, "linkspan.yaml"), CONFIG);
    stage = await Stage.open("docker", { args: ["--config", join(folder, "linkspan.yaml")] });
    direct = await directServer();
    const body = { ...(await fixtureBody("conformance", PROGRAM)), limits: ROOM };
    for (const kind of ["dual", "modern", "legacy"]) await stage.start(kind, { ...body, args: [kind] });
  }, INSTALL_MS);
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]();
    await direct?.[Symbol.asyncDispose]();
    if (folder) await rm(folder, { recursive: true, force: true });
  }, 60_000);

  const controls = new Map<Suite, Promise<Verdict>>();
  const control = (suite: Suite) => controls.get(suite) ?? controls.set(suite, judge(suite, direct.url)).get(suite);
  const through = async (suite: Suite, path: string) => {
    const { url, token } = await stage.doors();
    using door = keyedDoor(`${url}${path}`, token);
    return await judge(suite, door.url);
  };

  const SUITES = ["release", "2025-11-25", "2026-07-28"] as const;
  const agree = (suite: Suite, path: string, what: string) =>
    engineTest(
      `${suite}: ${what} is found as it is found directly`,
      async () => {
        const found = await through(suite, path);
        expect(found.passed, found.words).toBe(true);
        expect(found.checks).toEqual((await control(suite))?.checks ?? []);
      },
      CASE_MS,
    );
  for (const suite of SUITES) agree(suite, "/servers/dual/mcp", "a server of both eras");
  for (const suite of SUITES) agree(suite, "/mcp?group=plain", "a server among all");
  agree("2026-07-28", "/servers/modern/mcp", "a modern server, by modern clients,");
  agree("2025-11-25", "/servers/modern/mcp", "a modern server, by legacy clients,");
  agree("2025-11-25", "/servers/legacy/mcp", "a legacy server, by legacy clients,");

  engineTest(
    "2026-07-28: of a legacy server, modern clients find all but what is impossible",
    async () => {
      const found = await through("2026-07-28", "/servers/legacy/mcp");
      const missing = ((await control("2026-07-28"))?.checks ?? []).filter((one) => !found.checks.includes(one));
      expect(missing.map((one) => one.replace(/: .*/, ""))).toEqual(IMPOSSIBLE);
    },
    CASE_MS,
  );
});
