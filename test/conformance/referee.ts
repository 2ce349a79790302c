/**
 * The official conformance tool, in the newest release and in the alpha that covers 2026-07-28. Installed once, into
 * .cache; run with the Bun of the tests, as both need a Node of 22 or later.
 */
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const RELEASES = { release: "0.1.16", alpha: "0.2.0-alpha.12" } as const;
const CACHE = join(import.meta.dir, "../../.cache/test");
const FOLDER = join(CACHE, `conformance-${RELEASES.release}-${RELEASES.alpha}`);
/** How it lists scenarios that it runs and that a revision does not ask for: extensions, and what is still discussed. */
const NOT_SCORED = /^ +[✓✗] (\S+) \([a-z-]+\)$/gm;
/** Judged only where answers come as streams; as plain JSON they are as good. */
const STREAMED = "server-sse-streams-functional";
const JUDGE_MS = 120_000;

/** For the first use on a machine. */
export const INSTALL_MS = 180_000;

/** What is judged: all that the release runs, or what a revision of the specification requires. */
export type Suite = "release" | "2025-11-25" | "2026-07-28";

export interface Verdict {
  /** Whether all that is required holds. */
  passed: boolean;
  /** `scenario/check: STATUS` of all scenarios that count, sorted; checks that only inform are left out. */
  checks: string[];
  /** What the tool has printed. */
  words: string;
}

export async function installReferee(): Promise<void> {
  if (await Bun.file(program("alpha")).exists()) return;
  const draft = `${FOLDER}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  await Bun.write(join(draft, "package.json"), "{}");
  const packages = Object.entries(RELEASES).map(([as, at]) => `${as}@npm:@modelcontextprotocol/conformance@${at}`);
  const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
  const child = Bun.spawn(["npm", "install", ...quiet, "--prefix", draft, ...packages], { stdout: "ignore" });
  if ((await child.exited) !== 0) throw new Error("the conformance tool cannot be installed");
  await rm(FOLDER, { recursive: true, force: true });
  await rename(draft, FOLDER);
}

/** Of the alpha: not in the suite, since a server need not have such tools. */
export type Scenario = "http-custom-header-server-validation";

/** Runs a suite, or a scenario alone, against what answers at the URL. */
export async function judge(asked: Suite | Scenario, url: string): Promise<Verdict> {
  const out = await mkdtemp(join(tmpdir(), "linkspan-test-conformance-"));
  try {
    const which = asked === "release" ? "release" : "alpha";
    const chosen = which === "release" ? [] : [asked.startsWith("20") ? "--requirements" : "--scenario", asked];
    const command = [process.execPath, program(which), "server", "--url", url, "-o", out, ...chosen];
    const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe", timeout: JUDGE_MS });
    const [words, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    const beside = new Set([...words.matchAll(NOT_SCORED)].map(([, scenario]) => scenario));
    const checks = await checksIn(out, (scenario) => !beside.has(scenario));
    return { passed: code === 0, checks, words: `${words}${errors}` };
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

function program(which: keyof typeof RELEASES): string {
  return join(FOLDER, "node_modules", which, "dist/index.js");
}

interface Check {
  id: string;
  status: string;
}

async function checksIn(folder: string, counts: (scenario: string) => boolean): Promise<string[]> {
  const found: string[] = [];
  for (const run of await readdir(folder)) {
    const scenario = run.replace(/^server-/, "").replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, "");
    if (!counts(scenario)) continue;
    const checks: Check[] = JSON.parse(await readFile(join(folder, run, "checks.json"), "utf8"));
    for (const { id, status } of checks) {
      if (status !== "INFO" && id !== STREAMED) found.push(`${scenario}/${id}: ${status}`);
    }
  }
  return found.toSorted();
}
