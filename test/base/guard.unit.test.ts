/** Who may ask: Host, Origin and token. */
import { describe, expect, test } from "bun:test";
import { checkHost, checkOrigin, checkToken, type Door } from "../../src/base/guard.ts";

const tcp: Door = { token: "s3cret-token", hosts: ["linkspan.example"] };
const socket: Door = { token: undefined, hosts: [] };

describe("the Host header", () => {
  test.each([
    "localhost",
    "localhost:8080",
    "LOCALHOST:8080",
    "127.0.0.1:8080",
    "[::1]:8080",
    "192.168.1.20:8080",
    "app.localhost:8080",
    "linkspan.example",
    "linkspan.example:443",
  ])("%s is answered", (host) => expect(checkHost(host, tcp)).toBeUndefined());

  test.each([
    null,
    "",
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "sub.linkspan.example",
    "127.0.0.1@evil.example",
    "evil.example/127.0.0.1",
    "localhost evil.example",
    "[::1",
    "::1",
  ])("%p is refused", (host) => expect(checkHost(host, tcp)?.kind).toBe("forbidden"));

  test("does not matter on the socket", () => expect(checkHost("anything", socket)).toBeUndefined());
});

describe("the Origin header", () => {
  test("absent, as every client that is no browser sends it", () =>
    expect(checkOrigin(null, "localhost:8080")).toBeUndefined());
  test.each([
    ["http://localhost:8080", "localhost:8080"],
    ["http://127.0.0.1:8080", "127.0.0.1:8080"],
    ["http://linkspan.example", "linkspan.example:80"],
    ["https://linkspan.example", "linkspan.example"],
  ])("%s on %s is the manager's own page", (origin, host) => expect(checkOrigin(origin, host)).toBeUndefined());
  test.each([
    ["http://evil.example", "localhost:8080"],
    ["http://localhost:3000", "localhost:8080"],
    ["http://127.0.0.1:8080", "localhost:8080"],
    ["null", "localhost:8080"],
    ["", "localhost:8080"],
    ["file://", "localhost:8080"],
    ["chrome-extension://abc", "localhost:8080"],
    ["http://localhost:8080", null],
  ])("%p on %p is refused", (origin, host) => expect(checkOrigin(origin, host)?.kind).toBe("forbidden"));
});

describe("the bearer token", () => {
  test.each(["Bearer s3cret-token", "bearer s3cret-token", "Bearer  s3cret-token "])("%p is taken", (header) =>
    expect(checkToken(header, tcp)).toBeUndefined(),
  );
  test.each([
    null,
    "",
    "Bearer",
    "Bearer ",
    "s3cret-token",
    "Basic s3cret-token",
    "Bearer s3cret-toke",
    "Bearer s3cret-token2",
    "Bearer S3CRET-TOKEN",
    "Bearer s3cret-token extra",
  ])("%p is refused", (header) => {
    const fault = checkToken(header, tcp);
    expect(fault?.kind).toBe("unauthenticated");
    expect(JSON.stringify(fault?.report())).not.toContain("s3cret");
  });
  test("is not needed on the socket", () => expect(checkToken(null, socket)).toBeUndefined());
});
