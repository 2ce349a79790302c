/**
 * What every runtime must do, as one suite. A runtime's own test calls it with itself as the subject; the server is a
 * package of a registry on loopback, so the same spec runs everywhere.
 */
import { afterAll, afterEach, beforeAll, describe } from "bun:test";
import { ContractBench, type Subject } from "../support/contract-bench.ts";
import { lifeContract } from "./contract-life.ts";
import { viewContract } from "./contract-view.ts";

export function runtimeContract(subject: Subject): void {
  describe(`the runtime contract: ${subject.kind}`, () => {
    const bench = new ContractBench(subject);
    beforeAll(() => bench.setUp(), bench.timeoutMs);
    afterEach(() => bench.removeAll(), bench.timeoutMs);
    afterAll(() => bench.tearDown(), bench.timeoutMs);
    lifeContract(bench);
    viewContract(bench);
  });
}
