/**
 * How soon a client is served whose server's image is absent: from the launch of `linkspan mcp` to the answers of
 * `initialize` and `tools/list`, while the pull stalls, another server hangs and a third waits for its first pull.
 */
import { fixtureBody } from "../e2e/images.ts";
import { withAbsent } from "../e2e/absence.ts";
import { RawFront } from "../e2e/raw-front.ts";

const ROUNDS = 50;
const LIMIT_MS = 100;

const figures: { initialize: number; list: number }[] = [];
await withAbsent(async (stage, registry, options) => {
  options.stalls = true;
  await stage.start("hung", await fixtureBody("plain-server"));
  await using hung = new RawFront(stage.front("hung"));
  await hung.initialize();
  hung.ask("tools/call", { name: "hang" });
  await using unseen = new RawFront(stage.front(`${registry.host}/linkspan-test/absent:2`));
  unseen.ask("initialize");
  for (let round = 0; round < ROUNDS; round += 1) {
    const from = performance.now();
    await using front = new RawFront(stage.front("absent"));
    await front.initialize();
    const initialized = performance.now();
    await front.request("tools/list");
    figures.push({ initialize: initialized - from, list: performance.now() - initialized });
    front.endInput();
  }
});

const sorted = (name: "initialize" | "list") => figures.map((figure) => figure[name]).toSorted((a, b) => a - b);
const share = (name: "initialize" | "list", part: number) =>
  (sorted(name)[Math.floor(part * (ROUNDS - 1))] ?? Number.NaN).toFixed(0);
const words = (["initialize", "list"] as const).map(
  (name) => `${name} p50 ${share(name, 0.5)} ms, p95 ${share(name, 0.95)} ms, worst ${share(name, 1)} ms`,
);
const late = figures.filter(({ initialize, list }) => initialize > LIMIT_MS || list > LIMIT_MS).length;
process.stdout.write(`image absent: ${ROUNDS} clients, ${words.join("; ")}; ${late} above ${LIMIT_MS} ms\n`);
process.exit(0);
