/** Access tokens by themselves: what is kept, what a restart brings back, and what a disk that fails cannot bring back. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { abortAt } from "../../src/base/expiry.ts";
import { Fault } from "../../src/base/fault.ts";
import { SILENT } from "../../src/base/log.ts";
import { AccessTokens } from "../../src/manager/access-tokens.ts";

const YEAR_MS = 365 * 24 * 3_600_000;
const open = (database: Database) => new AccessTokens(database, SILENT);
const kindOf = (work: () => unknown) => {
  try {
    return work();
  } catch (error) {
    return Fault.from(error).kind;
  }
};

test("a token is found by its digest, also after a restart; what is kept is the digest", () => {
  const database = new Database(":memory:");
  const { token } = open(database).create({ name: "a", servers: ["files"], readOnly: true });
  const kept = JSON.stringify(database.query("SELECT * FROM tokens").all());
  expect(kept).not.toContain(token.slice(4));
  expect(kept).toContain(createHash("sha256").update(token).digest("hex"));
  const again = open(database);
  expect(again.grant(token)).toMatchObject({ servers: ["files"], tools: [], readOnly: true });
  expect(again.grant(`${token}x`)).toBeUndefined();
  expect(again.grant("")).toBeUndefined();
});

test("names are taken once; a name that is free again is another principal", () => {
  const tokens = open(new Database(":memory:"));
  const first = tokens.create({ name: "a", readOnly: false });
  const id = tokens.grant(first.token)?.id;
  expect(kindOf(() => tokens.create({ name: "a", readOnly: false }))).toBe("conflict");
  tokens.revoke("a");
  const second = tokens.create({ name: "a", readOnly: false });
  expect(tokens.grant(first.token)).toBeUndefined();
  expect(tokens.grant(second.token)?.id).not.toBe(id);
});

test("the last use outlives the manager", () => {
  const database = new Database(":memory:");
  const tokens = open(database);
  const { token } = tokens.create({ name: "a", readOnly: false });
  expect(tokens.list()[0]?.usedAt).toBeUndefined();
  tokens.grant(token);
  tokens.grant(token);
  tokens.flush();
  expect(open(database).list()[0]?.usedAt).toBeGreaterThan(Date.now() - 60_000);
});

test("an expired token is none, and a row that is damaged lets nobody in", () => {
  const database = new Database(":memory:");
  const { token } = open(database).create({ name: "a", expires: 60_000, readOnly: false });
  database.run(`UPDATE tokens SET view = json_set(view, '$.expiresAt', ${Date.now() - 1})`);
  const later = open(database);
  expect(later.grant(token)).toBeUndefined();
  expect(later.list().length).toBe(1);
  database.run("UPDATE tokens SET view = '{'");
  const damaged = open(database);
  expect([damaged.grant(token), damaged.list()]).toEqual([undefined, []]);
});

test("on a disk that cannot be written no token is made, and a revoked one is revoked at least here", () => {
  const database = new Database(":memory:");
  const tokens = open(database);
  const { token } = tokens.create({ name: "a", readOnly: false });
  const ended = tokens.grant(token)?.ended;
  database.run("PRAGMA query_only = ON");
  expect(kindOf(() => tokens.create({ name: "b", readOnly: false }))).toBe("unreachable");
  expect(tokens.list().map(({ name }) => name)).toEqual(["a"]);
  expect(kindOf(() => tokens.revoke("a"))).toBe("unreachable");
  expect([tokens.grant(token), ended?.aborted]).toEqual([undefined, true]);
});

test("an end that is years away does not come at once, and one that has passed does", async () => {
  const [far, past, soon] = [new AbortController(), new AbortController(), new AbortController()];
  abortAt(far, Date.now() + 10 * YEAR_MS);
  abortAt(past, Date.now() - 1);
  const ended = new Promise((resolve) => soon.signal.addEventListener("abort", resolve));
  abortAt(soon, Date.now() + 20);
  expect([far.signal.aborted, past.signal.aborted, soon.signal.aborted]).toEqual([false, true, false]);
  await ended;
  expect(far.signal.aborted).toBeFalse();
  far.abort();
});
