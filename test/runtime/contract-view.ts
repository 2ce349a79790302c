import { expect } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { LABEL } from "../../src/runtime/labels.ts";
import type { LogLine } from "../../src/runtime/runtime.ts";
import type { ContractBench } from "../support/contract-bench.ts";
import { callOnce, openSession } from "../support/contract-client.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";

const SECRET = "correct-horse-battery-staple";

/** What a runtime tells: facts, gaps, lists, changes, logs, figures, and what it must not tell. */
export function viewContract(bench: ContractBench): void {
  const it = bench.test;

  it("says what it is", async () => {
    const facts = await bench.runtime.probe(bench.deadline());
    expect(bench.runtime.kind).toBe(bench.subject.kind);
    expect(facts.version).not.toBe("");
    expect(["x64", "arm64"]).toContain(facts.arch);
  });

  it("runs an ordinary spec, and names every setting that it weakens", async () => {
    const facts = await bench.runtime.probe(bench.deadline());
    const gaps = bench.runtime.check(bench.spec(), facts);
    expect(gaps.filter((gap) => gap.severity === "impossible")).toEqual([]);
    for (const gap of gaps)
      expect(gap).toMatchObject({ field: expect.stringMatching(/./), hint: expect.stringMatching(/./) });
    expect(bench.runtime.check(bench.spec(), facts)).toEqual(gaps);
  });

  it("lists by labels, all of them, whatever the state", async () => {
    const one = await bench.created({ labels: { team: "a" } });
    const two = await bench.started({ labels: { team: "a" } });
    const ids = async (labels: Record<string, string>) =>
      (await bench.runtime.list(labels, bench.deadline())).map(({ id }) => id).toSorted();
    const mine = { [LABEL.instance]: bench.instance };
    expect(await ids({ ...mine, team: "a" })).toEqual([one.instance.id, two.instance.id].toSorted());
    expect(await ids({ ...mine, [LABEL.server]: two.spec.name })).toEqual([two.instance.id]);
    expect(await ids({ ...mine, team: "b" })).toEqual([]);
    expect(await ids({ [LABEL.instance]: "someone1" })).toEqual([]);
  });

  it("watches: start, stop, a kill from outside, a removal, and ends with its signal", async () => {
    const { instance: made } = await bench.created();
    const abort = new AbortController();
    const states: string[] = [];
    const watching = (async () => {
      for await (const seen of bench.runtime.watch({ [LABEL.instance]: bench.instance }, abort.signal)) {
        if (seen.id === made.id) states.push(seen.state);
      }
    })();
    const sees = (state: string) => until(`the watch sees ${state} (${states})`, () => states.at(-1) === state);
    const first = await bench.runtime.start(made.id, bench.deadline());
    await sees("running");
    await bench.runtime.stop(first.id, 5_000, bench.deadline());
    await sees("ended");
    const second = await bench.runtime.start(made.id, bench.deadline());
    await sees("running");
    await bench.subject.killOutside(await bench.runtime.inspect(second.id, bench.deadline()));
    await sees("ended");
    expect((await bench.current(made.id)).exit).toMatchObject({ reason: "killed" });
    await bench.subject.removeOutside(await bench.runtime.inspect(made.id, bench.deadline()));
    await sees("lost");
    abort.abort();
    await bench.deadline(5_000).race("the end of the watch", watching);
  });

  it("keeps the log: all, the tail, and what comes while it is followed to the end", async () => {
    const { instance: running, addresses, owner } = await bench.started();
    const lines = Array.from({ length: 50 }, (_, number) => `line ${number} ä`);
    await callOnce(addresses, owner.token, "log", { lines });
    const read = async (tail?: number) => {
      const found: LogLine[] = [];
      const range = { signal: bench.deadline().signal, ...(tail === undefined ? {} : { tail }) };
      for await (const line of bench.runtime.logs(running.id, range)) found.push(line);
      return found;
    };
    const all = await until("the lines in the log", async () => {
      const found = await read();
      return found.some(({ text }) => text.includes("line 49")) && found;
    });
    const texts = all.map(({ text }) => text);
    for (const line of ["the contract server is up", ...lines])
      expect(texts.some((text) => text.includes(line))).toBe(true);
    for (const { at } of all) expect(Math.abs(at - Date.now())).toBeLessThan(600_000);
    expect((await read(3)).length).toBe(3);
    const followed: string[] = [];
    const following = (async () => {
      const range = { tail: 0, follow: true, signal: bench.deadline().signal };
      for await (const { text } of bench.runtime.logs(running.id, range)) followed.push(text);
    })();
    await until("a followed line", async () => {
      await callOnce(addresses, owner.token, "log", { lines: ["news"] });
      return followed.some((text) => text.includes("news"));
    });
    expect(followed.some((text) => text.includes("line 49"))).toBe(false);
    await bench.runtime.stop(running.id, 5_000, bench.deadline());
    await bench.deadline(10_000).race("the end of the followed log", following);
  });

  it("gives the server its variables, and shows nobody their values", async () => {
    const {
      instance: running,
      addresses,
      owner,
    } = await bench.started({ env: { VISIBLE_NAME: "hidden-value", BUN_OPTIONS: "" } });
    expect(await callOnce(addresses, owner.token, "env", { name: "VISIBLE_NAME" })).toBe("hidden-value");
    const text = JSON.stringify(await bench.runtime.inspect(running.id, bench.deadline()));
    expect(text).toContain("VISIBLE_NAME");
    expect(text).not.toContain("hidden-value");
  });

  it("carries secrets over the wire only", async () => {
    const { instance: made, owner } = await bench.created({ secrets: { API_KEY: SECRET } });
    const running = await bench.runtime.start(made.id, bench.deadline());
    const addresses = await bench.dialable(running, owner, { API_KEY: SECRET });
    expect(await callOnce(addresses, owner.token, "env", { name: "API_KEY" })).toBe(SECRET);
    const seen = [
      JSON.stringify(await bench.runtime.inspect(running.id, bench.deadline())),
      JSON.stringify(await bench.ours()),
    ];
    for await (const { text } of bench.runtime.logs(running.id, { signal: bench.deadline().signal })) seen.push(text);
    for (const text of seen) expect(text).not.toContain(SECRET);
  });

  it("hands nothing of the manager's environment to a server", async () => {
    process.env.LINKSPAN_TEST_SHELL_TOKEN = SECRET;
    process.env.TEST_SHELL_TOKEN = SECRET;
    try {
      const { addresses, owner } = await bench.started();
      const names = await callOnce(addresses, owner.token, "variables");
      expect(names).not.toContain("TEST_SHELL_TOKEN");
      expect(names).not.toContain("LINKSPAN_TEST_SHELL_TOKEN");
    } finally {
      delete process.env.TEST_SHELL_TOKEN;
      delete process.env.LINKSPAN_TEST_SHELL_TOKEN;
    }
  });

  it("measures, where the engine can", async () => {
    if (!bench.runtime.stats) return;
    const { instance: running, addresses, owner } = await bench.started();
    using session = await openSession(addresses, owner.token);
    await session.call("echo");
    const stats = await bench.runtime.stats(running.id, bench.deadline());
    expect(stats.memoryBytes).toBeGreaterThan(100_000);
    expect(stats.memoryBytes).toBeLessThan(stats.memoryLimitBytes);
    expect(stats.pids).toBeGreaterThanOrEqual(2);
    expect(stats.cpuPercent).toBeGreaterThanOrEqual(0);
    await bench.runtime.stop(running.id, 5_000, bench.deadline());
    expect(await rejection(bench.runtime.stats(running.id, bench.deadline()))).toMatchObject({ kind: "conflict" });
  });

  it("ends every call at its deadline", async () => {
    const { instance: made, spec } = await bench.created();
    const late = () => Deadline.in(0);
    const calls = [
      () => bench.runtime.probe(late()),
      () => bench.runtime.prepare(spec, () => {}, late()),
      () => bench.runtime.create(spec, bench.owner(spec), late()),
      () => bench.runtime.start(made.id, late()),
      () => bench.runtime.stop(made.id, 1_000, late()),
      () => bench.runtime.list({ [LABEL.instance]: bench.instance }, late()),
      () => bench.runtime.inspect(made.id, late()),
      () => bench.runtime.remove(made.id, late()),
      () => bench.runtime.clean(bench.instance, late()),
    ];
    for (const call of calls) {
      const thrown = await bench.deadline(5_000).race(
        `${call}`,
        call().then(
          () => undefined,
          (error: unknown) => error,
        ),
      );
      expect(thrown, `${call}`).toBeInstanceOf(Fault);
      expect((thrown as Fault).kind, `${call}`).toBe("timeout");
    }
  });

  it("tells what it does not know from what is there", async () => {
    const id = "linkspan-nothing-here";
    expect(await rejection(bench.runtime.start(id, bench.deadline()))).toMatchObject({ kind: "not-found" });
    expect(await rejection(bench.runtime.inspect(id, bench.deadline()))).toMatchObject({ kind: "not-found" });
    await bench.runtime.stop(id, 0, bench.deadline());
    await bench.runtime.remove(id, bench.deadline());
  });
}
