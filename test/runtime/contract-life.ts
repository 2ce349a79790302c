import { expect } from "bun:test";
import { join } from "node:path";
import { LABEL } from "../../src/runtime/labels.ts";
import type { ContractBench } from "../support/contract-bench.ts";
import { callOnce, openSession } from "../support/contract-client.ts";
import { rejection } from "../support/rejection.ts";

/** Creating, starting, stopping and removing, by this manager, by another, and after its death. */
export function lifeContract(bench: ContractBench): void {
  const it = bench.test;

  it("creates, starts, serves through the wire, stops and removes; stop and remove twice are once", async () => {
    const made = await bench.created({ args: ["one", "two words", "-x"] });
    expect(made.instance).toMatchObject({ state: "pending", addresses: [], specHash: made.owner.specHash });
    expect(made.instance.labels).toMatchObject(made.owner.labels);
    const running = await bench.runtime.start(made.instance.id, bench.deadline());
    expect(running).toMatchObject({ id: made.instance.id, state: "running" });
    const addresses = await bench.dialable(running, made.owner);
    const payload = { text: 'ä\u2028\n"\\', number: 1.5, nested: [null, { deep: true }] };
    expect(await callOnce(addresses, made.owner.token, "echo", payload)).toEqual(payload);
    expect(await callOnce(addresses, made.owner.token, "args")).toEqual(["one", "two words", "-x"]);
    for (const _ of [1, 2]) await bench.runtime.stop(running.id, 5_000, bench.deadline());
    expect(await bench.current(running.id)).toMatchObject({
      state: "ended",
      addresses: [],
      incarnation: running.incarnation,
    });
    for (const _ of [1, 2]) await bench.runtime.remove(running.id, bench.deadline());
    expect(await bench.ours()).toEqual([]);
  });

  it("starts again what was stopped, as another incarnation with the same token", async () => {
    const { instance: first, owner } = await bench.started();
    expect((await bench.runtime.start(first.id, bench.deadline())).incarnation).toBe(first.incarnation);
    await bench.runtime.stop(first.id, 5_000, bench.deadline());
    const second = await bench.runtime.start(first.id, bench.deadline());
    expect(second).toMatchObject({ id: first.id, state: "running" });
    expect(second.incarnation).not.toBe(first.incarnation);
    expect(await callOnce(await bench.dialable(second, owner), owner.token, "echo", [1])).toEqual([1]);
  });

  it("refuses a wrong token", async () => {
    const { addresses } = await bench.started();
    expect(await rejection(openSession(addresses, "wrong"))).toMatchObject({ kind: "unauthenticated" });
  });

  it("adopts what runs the same spec, with the labels that it has", async () => {
    const { instance: first, spec, owner } = await bench.started();
    const again = await bench.runtime.create(spec, bench.owner(spec), bench.deadline());
    expect(again).toMatchObject({ id: first.id, state: "running", incarnation: first.incarnation });
    expect(again.labels[LABEL.nonce]).toBe(owner.labels[LABEL.nonce] ?? "");
    const changed = { ...spec, args: ["changed"] };
    expect((await bench.runtime.create(changed, bench.owner(changed), bench.deadline())).id).not.toBe(first.id);
  });

  it("creates once when asked many times at once", async () => {
    const spec = bench.spec();
    await bench.runtime.prepare(spec, () => {}, bench.deadline());
    const all = await Promise.all(
      Array.from({ length: 8 }, () => bench.runtime.create(spec, bench.owner(spec), bench.deadline())),
    );
    expect(new Set(all.map((made) => made.id)).size).toBe(1);
    expect(new Set(all.map((made) => made.labels[LABEL.nonce])).size).toBe(1);
    expect((await bench.ours()).length).toBe(1);
  });

  it("is found again by a runtime that knows nothing", async () => {
    const { instance: first, owner } = await bench.started();
    await using other = await bench.open();
    const [found] = await other.list({ [LABEL.instance]: bench.instance }, bench.deadline());
    expect(found).toMatchObject({
      id: first.id,
      state: "running",
      incarnation: first.incarnation,
      labels: owner.labels,
    });
    await other.stop(first.id, 5_000, bench.deadline());
    expect((await bench.current(first.id)).state).toBe("ended");
  });

  it("survives the death of the process that has started it", async () => {
    const spec = bench.spec();
    const owner = bench.owner(spec);
    const script = join(import.meta.dir, "../fixtures/start-and-die.ts");
    const { kind, module } = bench.subject;
    const input = JSON.stringify({ subject: { kind, module }, options: bench.options, spec, owner });
    const child = Bun.spawn([process.execPath, script, input], {
      stdout: "pipe",
      stderr: "inherit",
      env: process.env,
    });
    const [id] = await Promise.all([child.stdout.text(), child.exited]);
    expect(child.signalCode).toBe("SIGKILL");
    const survivor = await bench.current(id);
    expect(survivor.state).toBe("running");
    expect(await callOnce(await bench.dialable(survivor, owner), owner.token, "echo", "alive")).toBe("alive");
  });

  it("ends within the grace what does not want to end", async () => {
    const { instance: running, addresses, owner } = await bench.started({ stopTimeout: 1_000 });
    using session = await openSession(addresses, owner.token);
    expect(await session.call("stay")).toBeNumber();
    await bench.runtime.stop(running.id, 1_000, bench.deadline(10_000));
    expect((await bench.current(running.id)).state).toBe("ended");
    expect((await session.ended).why).not.toBe("detached");
  });

  it("removes what runs, and clean leaves nothing behind", async () => {
    await bench.started();
    await bench.created();
    for (const { id } of await bench.ours()) await bench.runtime.remove(id, bench.deadline());
    for (const _ of [1, 2]) await bench.runtime.clean(bench.instance, bench.deadline());
    expect(await bench.subject.leftovers(bench.options)).toEqual([]);
  });
}
