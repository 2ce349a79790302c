/** `requestState`: whatever differs from what it was made for, it does not open. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Binding, Seal } from "../../../src/gateway/clients/seal.ts";
import { RpcFault } from "../../../src/gateway/exchange.ts";
import { seeded } from "../../support/seed.ts";

const seal = new Seal(new Uint8Array(32).fill(1));
const BINDING: Binding = {
  upstream: "one",
  principal: "ann",
  method: "tools/call",
  params: { name: "x", arguments: { a: 1, b: [true, { c: "d" }] } },
};
const INSIDE = { kind: "server", state: "what the server said" } as const;
const HOUR_MS = 3_600_000;

function refused(binding: Binding, text: string, by = seal): boolean {
  try {
    by.open(binding, text);
    return false;
  } catch (error) {
    return error instanceof RpcFault && error.error.code === -32602 && error.message.includes("does not belong");
  }
}

test("it opens for the same request, with its names in any order, and a new progress token", () => {
  const text = seal.close(BINDING, INSIDE, HOUR_MS);
  const params = {
    _meta: { progressToken: 2 },
    arguments: { b: [true, { c: "d" }], a: 1 },
    name: "x",
    inputResponses: {},
  };
  expect(seal.open({ ...BINDING, params }, text)).toEqual(INSIDE);
  // After a restart, with the same secret.
  expect(new Seal(new Uint8Array(32).fill(1)).open(BINDING, text)).toEqual(INSIDE);
});

test("every other character at any place is refused", () => {
  const text = seal.close(BINDING, INSIDE, HOUR_MS);
  for (let at = 0; at < text.length; at++) {
    for (const other of ["A", "B", "_", "-", "9", "=", "é"]) {
      if (other !== text[at]) expect(refused(BINDING, text.slice(0, at) + other + text.slice(at + 1))).toBe(true);
    }
    expect(refused(BINDING, text.slice(0, at))).toBe(true);
  }
  expect(refused(BINDING, `${text}A`)).toBe(true);
});

test("any other request is refused", () => {
  const text = seal.close(BINDING, INSIDE, HOUR_MS);
  const others: Partial<Binding>[] = [
    { principal: "bob" },
    { upstream: "two" },
    { method: "prompts/get" },
    { params: { ...BINDING.params, name: "y" } },
    { params: { ...BINDING.params, extra: null } },
    { params: { name: "x" } },
  ];
  for (const other of others) expect(refused({ ...BINDING, ...other }, text)).toBe(true);
  expect(refused(BINDING, text, new Seal(new Uint8Array(32).fill(2)))).toBe(true);
});

test("it is over when its time is", () => {
  expect(refused(BINDING, seal.close(BINDING, INSIDE, -1))).toBe(true);
});

test("arguments that differ never open, whatever they are; the same ones always do", () => {
  const params = fc.dictionary(fc.string(), fc.jsonValue());
  fc.assert(
    fc.property(params, params, (ours, theirs) => {
      const bound = (args: unknown) => ({ ...BINDING, params: { name: "x", arguments: args } });
      // As it comes over the wire.
      const [mine, other] = [JSON.parse(JSON.stringify(ours)), JSON.parse(JSON.stringify(theirs))];
      const text = seal.close(bound(mine), INSIDE, HOUR_MS);
      expect(seal.open(bound(mine), text)).toEqual(INSIDE);
      expect(refused(bound(other), text)).toBe(!Bun.deepEquals(mine, other, true));
    }),
    seeded("sealed arguments", 200),
  );
});
