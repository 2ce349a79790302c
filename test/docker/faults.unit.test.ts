import { describe, expect, test } from "bun:test";
import type { FaultKind } from "../../src/base/fault.ts";
import { engineFault, messageFault } from "../../src/docker/faults.ts";

describe("what the engine's messages mean", () => {
  const cases: [kind: FaultKind, message: string, status?: number][] = [
    ["not-found", "No such container: x", 404],
    [
      "not-found",
      "pull access denied for nothing, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
      404,
    ],
    ["not-found", "manifest for alpine:nope not found: manifest unknown: manifest unknown", 404],
    ["not-found", "no matching manifest for linux/arm64/v8 in the manifest list entries"],
    ["unauthenticated", 'Head "https://host/v2/x/manifests/1": no basic auth credentials', 500],
    ["unauthenticated", "unauthorized: authentication required", 500],
    ["exhausted", "toomanyrequests: You have reached your pull rate limit.", 500],
    ["exhausted", "write /var/lib/docker/tmp/GetImageBlob1: no space left on device"],
    [
      "exhausted",
      "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
      404,
    ],
    [
      "conflict",
      "driver failed programming external connectivity: Bind for 127.0.0.1:80 failed: port is already allocated",
      500,
    ],
    ["conflict", 'Conflict. The container name "/x" is already in use by container "abc"', 409],
    ["unreachable", 'Get "https://host/v2/": dial tcp: lookup host: no such host', 500],
    [
      "unreachable",
      'Get "https://host/v2/": net/http: request canceled (Client.Timeout exceeded while awaiting headers)',
      500,
    ],
    ["unreachable", 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused', 500],
    ["invalid", "invalid reference format", 400],
    ["forbidden", "authorization denied by plugin", 403],
    ["engine-failed", "something nobody has seen before", 500],
  ];
  for (const [kind, message, status] of cases) {
    test(`${kind}: ${message}`, () => {
      expect(messageFault(message, "doing it", status)).toMatchObject({ kind, message: `doing it: ${message}` });
    });
  }

  test("missing and forbidden are told apart, each with its fix", () => {
    const failed = (code: string) => engineFault(Object.assign(new Error(code), { code }), "doing it", "/run/x.sock");
    expect(failed("EACCES")).toMatchObject({ kind: "forbidden", hint: expect.stringContaining("docker $USER") });
    expect(failed("ENOENT")).toMatchObject({ kind: "unreachable", hint: expect.stringContaining("start Docker") });
    expect(failed("ECONNRESET")).toMatchObject({ kind: "unreachable", message: expect.stringContaining("ECONNRESET") });
  });
});
