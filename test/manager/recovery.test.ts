/** A manager that starts anew finds what runs: by labels alone if need be. Real server processes. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Log, SILENT } from "../../src/base/log.ts";
import type { Manager } from "../../src/manager/manager.ts";
import { dialSession } from "../../src/transport/session.ts";
import { until } from "../support/until.ts";
import { parseBody, parseSpec } from "./specs.ts";
import { ask, faultOf, fixture, openStage, quiet, soon } from "./stage.ts";

const PLAIN = fixture("plain-server.ts");
const SECRET = "kept ü safe";
const TELLS = `process.stdin.on("data", () => console.log(JSON.stringify({ jsonrpc: "2.0", id: 1, result: process.env.KEY })))`;
const KEEPER = parseBody({ image: `exec:${process.execPath}`, args: ["-e", TELLS], secrets: { KEY: SECRET } });
const front = (server: string) => ({ server, pid: process.pid, ppid: process.ppid });

const ready = (manager: Manager, name: string) =>
  until(
    `${name} is taken over`,
    () => manager.servers().find((one) => one.name === name && one.state === "ready"),
    5_000,
  );
const data = (folder: string, name: string) => join(folder, "data", name);

test("servers run on without a manager, and the next one takes them over as they are", async () => {
  await using stage = await openStage("takeover");
  const before = await stage.manager.start("plain", PLAIN, quiet, soon());
  await stage.manager.start("stopped", PLAIN, quiet, soon());
  await stage.manager.stop("stopped", soon());
  const manager = await stage.reopen();
  const after = await ready(manager, "plain");
  expect([after.id, after.since, after.addresses]).toEqual([before.id, before.since, before.addresses]);
  expect(manager.server("stopped").state).toBe("stopped");
  expect(manager.readiness()).toEqual({ ready: true });
  expect(await ask(manager, "plain", "echo", "hello again")).toContain("hello again");
  expect((await manager.start("plain", PLAIN, quiet, soon())).since).toBe(before.since);
});

test("a request that comes before the first look waits for it, and starts no second one", async () => {
  await using stage = await openStage("early");
  const before = await stage.manager.start("plain", PLAIN, quiet, soon());
  const manager = await stage.reopen();
  const grant = await manager.acquire(front("plain"), "front", quiet, soon());
  expect(grant.addresses).toEqual(before.addresses);
  expect(manager.server("plain").since).toBe(before.since);
  manager.release(grant.session);
});

test("with the state lost: found by labels, its definition read out of the container, sessions and secrets served on", async () => {
  await using stage = await openStage("lost");
  const before = await stage.manager.start("plain", PLAIN, quiet, soon());
  await stage.manager.start("keeper", KEEPER, quiet, soon());
  await stage.manager.close(soon());
  rmSync(data(stage.folder, "state.db"));
  const manager = await stage.reopen();
  expect((await ready(manager, "plain")).image).toBe(PLAIN.image);
  await ready(manager, "keeper");
  expect((await manager.inspect("plain", soon())).spec).toEqual(parseSpec({ name: "plain", ...PLAIN }));
  expect((await manager.start("plain", undefined, quiet, soon())).since).toBe(before.since);
  expect(await manager.restart("plain", quiet, soon())).toMatchObject({ state: "ready" });
  expect(await ask(manager, "plain", "echo", "rebuilt")).toContain("rebuilt");
  // The bridge still has the secrets, so what runs can be used; a new start cannot have them.
  expect(await ask(manager, "keeper", "any")).toContain(SECRET);
  await manager.stop("keeper", soon());
  const fault = await faultOf(manager.start("keeper", undefined, quiet, soon()));
  expect([fault.kind, fault.message]).toEqual([
    "conflict",
    "the secrets of keeper were lost with the manager's state: KEY",
  ]);
  await manager.start("keeper", KEEPER, quiet, soon());
  expect(await ask(manager, "keeper", "any")).toContain(SECRET);
});

test.each(["cut", "garbage"])("with the state %s: moved aside, and everything still runs", async (how) => {
  await using stage = await openStage("torn");
  await stage.manager.start("plain", PLAIN, quiet, soon());
  await stage.manager.close(soon());
  const file = data(stage.folder, "state.db");
  if (how === "cut") truncateSync(file, 100);
  else writeFileSync(file, "no database at all");
  const manager = await stage.reopen();
  await ready(manager, "plain");
  expect(await ask(manager, "plain", "echo", "unaffected")).toContain("unaffected");
  expect(readdirSync(join(stage.folder, "data")).filter((name) => name.startsWith("state.db.bad-"))).toHaveLength(1);
});

test("with the key lost: what cannot be reached is shown, not used, and can be removed", async () => {
  await using stage = await openStage("key");
  await stage.manager.start("plain", PLAIN, quiet, soon());
  await stage.manager.close(soon());
  rmSync(data(stage.folder, "state.db"));
  writeFileSync(data(stage.folder, "key"), "short");
  const manager = await stage.reopen();
  const lost = await until("it is found", () => manager.servers().find(({ state }) => state === "unhealthy"));
  expect(lost).toMatchObject({ name: "plain", image: "unknown", reason: expect.stringContaining("token") });
  expect((await faultOf(manager.acquire(front("plain"), "front", quiet, soon()))).kind).toBe("not-found");
  await manager.remove("plain", soon());
  expect(manager.servers()).toEqual([]);
  expect(await manager.start("plain", PLAIN, quiet, soon())).toMatchObject({ state: "ready" });
});

test("with another definition in the file: the changed one is replaced, also under an open session; the others are not touched", async () => {
  const [kept, old] = [parseSpec({ name: "kept", ...PLAIN }), parseSpec({ name: "plain", ...PLAIN })];
  const changed = parseSpec({ name: "plain", ...PLAIN, env: { CHANGED: "yes" } });
  await using stage = await openStage("changed", { servers: [kept, old] });
  const [keptBefore, before] = [
    await stage.manager.start("kept", undefined, quiet, soon()),
    await stage.manager.start("plain", undefined, quiet, soon()),
  ];
  const { addresses, token, session: id } = await stage.manager.acquire(front("plain"), "front", quiet, soon());
  const session = await dialSession({ addresses, token, session: id }, soon());
  const over = Promise.withResolvers<unknown>();
  session.open({ line() {}, ended: over.resolve });
  const manager = await stage.reopen({ servers: [kept, changed] });
  await until("it is replaced", () => ![before.id, undefined].includes(manager.server("plain").id), 10_000);
  await soon().race("the end of the session", over.promise);
  expect(await ask(manager, "plain", "env", "CHANGED")).toContain("yes");
  await ready(manager, "kept");
  expect([manager.server("kept").id, manager.server("kept").since]).toEqual([keptBefore.id, keptBefore.since]);
});

test("a changed definition that cannot be had: what runs serves on", async () => {
  const old = parseSpec({ name: "plain", ...PLAIN });
  const missing = parseSpec({ name: "plain", image: "exec:/no/such/program" });
  await using stage = await openStage("missing", { servers: [old] });
  const before = await stage.manager.start("plain", undefined, quiet, soon());
  const words: string[] = [];
  const log: Log = { ...SILENT, warn: (message, fields) => words.push(`${message}: ${JSON.stringify(fields)}`) };
  const manager = await stage.reopen({ servers: [missing], log });
  await until("it is said", () => words.find((line) => line.includes("could not be replaced")));
  expect(manager.server("plain")).toMatchObject({ id: before.id, state: "ready" });
  // Asked for by name it is refused, and the old one still runs.
  expect((await faultOf(manager.start("plain", undefined, quiet, soon()))).message).toContain("/no/such/program");
  expect(manager.server("plain")).toMatchObject({ id: before.id, state: "ready" });
});

test("two managers on one engine do not see each other's servers", async () => {
  await using one = await openStage("one");
  await using two = await openStage("two");
  await one.manager.start("plain", PLAIN, quiet, soon());
  await two.manager.start("plain", PLAIN, quiet, soon());
  await two.manager.remove("plain", soon());
  const manager = await one.reopen();
  expect((await ready(manager, "plain")).name).toBe("plain");
  expect(readFileSync(data(one.folder, "instance"), "utf8")).not.toBe(
    readFileSync(data(two.folder, "instance"), "utf8"),
  );
});
