import { describe, expect, test } from "bun:test";
import { findEndpoint, formatEndpoint, isLocal, parseEndpoint } from "../../src/docker/endpoint.ts";

describe("where the engine is", () => {
  const cases: [text: string, shown: string, local: boolean][] = [
    ["unix:///run/user/1000/docker.sock", "/run/user/1000/docker.sock", true],
    ["/var/run/docker.sock", "/var/run/docker.sock", true],
    ["npipe:////./pipe/docker_engine", "//./pipe/docker_engine", true],
    ["tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375", true],
    ["tcp://build.example:2375", "tcp://build.example:2375", false],
    ["tcp://build.example", "tcp://build.example:2375", false],
    ["build.example:4000", "tcp://build.example:4000", false],
    ["tcp://build.example:2376", "https://build.example:2376", false],
    ["https://build.example", "https://build.example:2376", false],
    ["tcp://[::1]:2375", "tcp://[::1]:2375", true],
    ["ssh://ann@build.example", "ssh://build.example", false],
  ];
  test.each(cases)("%s", (text, shown, local) => {
    const endpoint = parseEndpoint(text, {});
    expect(formatEndpoint(endpoint)).toBe(shown);
    expect(isLocal(endpoint)).toBe(local);
  });

  test.each([
    "ftp://x",
    "tcp://",
    "://",
    "ssh://",
    "ssh://-oProxyCommand=id",
    "ssh://ann:hunter2@host",
    "ssh://-l@host",
    "ssh://host/a;id",
    "ssh://host/$(id)",
    "ssh://host/../x y",
  ])("%s is refused, whatever is secret in it is not said", (text) => {
    expect(() => parseEndpoint(text, {})).toThrow(/^DOCKER_HOST is not an engine's address((?!hunter2).)*$/);
  });

  test("credentials in an address are never shown", () => {
    expect(() => parseEndpoint("ftp://ann:hunter2@host", {})).toThrow(/^((?!hunter2).)*$/s);
    expect(formatEndpoint(parseEndpoint("tcp://ann:hunter2@host:1", {}))).toBe("tcp://host:1");
  });

  test("DOCKER_HOST comes before DOCKER_BASE_URL", () => {
    const both = { DOCKER_HOST: "unix:///a.sock", DOCKER_BASE_URL: "unix:///b.sock" };
    expect(findEndpoint(both)).toEqual({ kind: "socket", path: "/a.sock" });
    expect(findEndpoint({ DOCKER_BASE_URL: "unix:///b.sock" })).toEqual({ kind: "socket", path: "/b.sock" });
  });

  test.each([
    ["ssh://ann@build.example:2222", { host: "build.example", port: 2222, user: "ann", socket: undefined }],
    ["ssh://build.example/", { host: "build.example", port: undefined, user: undefined, socket: undefined }],
    ["ssh://a%40b@[::1]", { host: "::1", port: undefined, user: "a@b", socket: undefined }],
    ["ssh://Alias/run/user/1/docker.sock", { host: "Alias", port: undefined, socket: "/run/user/1/docker.sock" }],
  ])("%s is taken apart", (text, parts) => {
    expect(findEndpoint({ DOCKER_BASE_URL: text })).toMatchObject({ kind: "ssh", ...parts });
  });

  test("a missing certificate file is named", () => {
    const env = { DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: "/nowhere/certs" };
    expect(() => parseEndpoint("tcp://host:2376", env)).toThrow("/nowhere/certs/ca.pem");
  });
});
