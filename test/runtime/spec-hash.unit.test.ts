import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { SCHEDULING, serverSpec, type ServerSpec } from "../../src/model/server-spec.ts";
import { canonical, specHash } from "../../src/runtime/spec-hash.ts";

const key = new Uint8Array(32).fill(7);
const base: v.InferInput<typeof serverSpec> = { name: "a", image: "npm:x", env: { A: "1", B: "2" }, args: ["1", "2"] };
const spec = (changes: Partial<v.InferInput<typeof serverSpec>> = {}): ServerSpec =>
  v.parse(serverSpec, { ...base, ...changes });
const hash = (changes: Partial<v.InferInput<typeof serverSpec>> = {}, with_ = key) => specHash(spec(changes), with_);

describe("the spec hash", () => {
  test("is hex SHA-256 and the same every time", () => {
    expect(hash()).toMatch(/^[0-9a-f]{64}$/);
    expect(hash()).toBe(hash());
  });

  test("knows neither the name nor the order of members, nor whether a default is written out", () => {
    expect(hash({ name: "b" })).toBe(hash());
    expect(hash({ env: { B: "2", A: "1" } })).toBe(hash());
    expect(hash({ network: "none", limits: { memory: "512m" }, readOnly: true })).toBe(hash());
    expect(hash({ volumes: ["data:/data"] })).toBe(hash({ volumes: [{ target: "/data", source: "data" }] }));
  });

  test("stays as it is in later versions, whatever fields those add: an upgrade restarts nothing", () => {
    expect(hash({ secrets: { TOKEN: "one" }, limits: { memory: "1g" } })).toBe(
      "52afe480ccf0f95b495a50a1b348e107d48d7e6b815b175d4fb4e2245613ec73",
    );
    expect(specHash(v.parse(serverSpec, { name: "a", image: "alpine:3.20" }), key)).toBe(
      "febf4220b3ffeb01dc368a71d318f3800f97df4f2895f2847860f957b97208d2",
    );
    // The empty object is what is left of the defaults of a field, or of a field that is not there yet.
    expect(hash({ env: {} })).toBe(hash({ env: undefined }));
  });

  // One change for each field: a field that the hash forgets would run on with the old value.
  const changes: Record<
    Exclude<keyof ServerSpec, "name" | (typeof SCHEDULING)[number]>,
    Partial<v.InferInput<typeof serverSpec>>
  > = {
    image: { image: "npm:y" },
    command: { command: ["x"] },
    args: { args: ["2", "1"] },
    env: { env: { A: "1" } },
    secrets: { secrets: { S: "1" } },
    volumes: { volumes: ["data:/data:rw"] },
    limits: { limits: { pids: 9 } },
    health: { health: { retries: 9 } },
    network: { network: "egress" },
    user: { user: "1000" },
    workdir: { workdir: "/x" },
    readOnly: { readOnly: false },
    capAdd: { capAdd: ["NET_BIND_SERVICE"] },
    stopTimeout: { stopTimeout: 1 },
    lease: { lease: "none" },
    session: { session: "shared" },
    spare: { spare: 2 },
    labels: { labels: { x: "y" } },
  };

  test("differs for every change, pairwise", () => {
    const hashes = [hash(), ...Object.values(changes).map((change) => hash(change))];
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(Object.keys(changes).toSorted()).toEqual(
      Object.keys(serverSpec.entries)
        .filter((field) => field !== "name" && !SCHEDULING.some((other) => other === field))
        .toSorted(),
    );
  });

  test("does not change with when it runs, for how many, and how it is spoken to", () => {
    expect(hash({ start: "always", idleStop: "5m", maxSessions: 3, era: "legacy" })).toBe(hash());
  });

  test("sees a changed secret, but only with the key", () => {
    const one = hash({ secrets: { TOKEN: "one" } });
    expect(hash({ secrets: { TOKEN: "two" } })).not.toBe(one);
    expect(hash({ secrets: { OTHER: "one" } })).not.toBe(one);
    expect(hash({ secrets: { TOKEN: "one" } }, new Uint8Array(32))).not.toBe(one);
    expect(hash({}, new Uint8Array(32))).toBe(hash());
  });
});

test("canonical JSON sorts members at every depth and keeps the order of arrays", () => {
  expect(canonical({ b: [{ d: 1, c: undefined }, 2], a: null, "\u00e9": "x" })).toBe(
    '{"a":null,"b":[{"d":1},2],"é":"x"}',
  );
});
