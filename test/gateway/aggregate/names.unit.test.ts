/** Names, templates and filters: tables. */
import { expect, test } from "bun:test";
import { isWanted, mayCall, mayMeet, mayUse } from "../../../src/gateway/aggregate/filter.ts";
import type { Member } from "../../../src/gateway/aggregate/member.ts";
import { exposedName, matches, mayComeFrom, templateOf } from "../../../src/gateway/aggregate/names.ts";
import { FakeServer } from "./fake.ts";

const ACCEPTED = /^[a-zA-Z0-9_-]{1,64}$/;

test("names are what clients accept, and the same each time", () => {
  expect(exposedName("files", "read_file")).toBe("files__read_file");
  expect(exposedName(undefined, "docker_list_containers")).toBe("docker_list_containers");
  expect(exposedName("my.server", "tools/read.file")).toBe("my_server__tools_read_file");
  const long = exposedName("files", "x".repeat(100));
  expect(long).toMatch(ACCEPTED);
  expect(long).toHaveLength(64);
  expect(long).toBe(exposedName("files", "x".repeat(100)));
  expect(long).not.toBe(exposedName("files", "x".repeat(101)));
  for (const odd of ["ä", " ", "a\nb", "😀", "'; drop"]) expect(exposedName("s", odd)).toMatch(ACCEPTED);
  expect(exposedName("a".repeat(63), "b")).toMatch(ACCEPTED);
});

test("a name says which server it may come from", () => {
  expect(mayComeFrom("files", "files__read")).toBe(true);
  expect(mayComeFrom("file", "files__read")).toBe(false);
  expect(mayComeFrom("a".repeat(63), exposedName("a".repeat(63), "read"))).toBe(true);
});

test("patterns", () => {
  const cases: [pattern: string, text: string, fits: boolean][] = [
    ["files__*", "files__read", true],
    ["files__*", "file__read", false],
    ["*read*", "files__read_file", true],
    ["*__read", "files__read", true],
    ["*__read", "files__read_file", false],
    ["read", "read", true],
    ["a*a", "a", false],
    ["*", "", true],
  ];
  for (const [pattern, text, fits] of cases)
    expect([pattern, text, matches(pattern, text)]).toEqual([pattern, text, fits]);
});

test("of templates the one that says most of the URI is meant, and none takes long", () => {
  const known = ["file:///{+path}", "file:///logs/{name}", "db://{table}/{id}", "plain://x"].map((template) => ({
    template,
  }));
  const of = (uri: string) => templateOf(uri, known)?.template;
  expect(of("file:///logs/today")).toBe("file:///logs/{name}");
  expect(of("file:///etc/x")).toBe("file:///{+path}");
  expect(of("db://a/1")).toBe("db://{table}/{id}");
  expect(of("db://a")).toBeUndefined();
  expect(of("plain://x")).toBe("plain://x");
  const slow = [{ template: `x${"{a}y".repeat(1_000)}z` }];
  const from = performance.now();
  expect(templateOf(`x${"y".repeat(100_000)}`, slow)).toBeUndefined();
  expect(performance.now() - from).toBeLessThan(1_000);
});

test("deny wins over allow", () => {
  const filter = { deny: ["*__delete*"], rename: {}, describe: {} };
  expect(isWanted("files__read", filter)).toBe(true);
  expect(isWanted("files__delete_file", filter)).toBe(false);
  expect(isWanted("web__get", { ...filter, allow: ["files__*"] })).toBe(false);
  expect(isWanted("files__delete_all", { ...filter, allow: ["files__*"] })).toBe(false);
});

test("scopes: servers as a whole, tools by name or beginning; a server's name never means a toolset", () => {
  const member = (id: string, own = false): Member => {
    const name = id.replace("toolset:", "");
    return { id, name, prefix: own ? undefined : name, spec: "", own, upstream: new FakeServer() };
  };
  const [files, docker] = [member("files"), member("toolset:docker", true)];
  expect(mayUse(files, undefined)).toBe(true);
  expect(mayUse(files, [])).toBe(false);
  expect(mayUse(files, ["files"])).toBe(true);
  expect(mayUse(docker, ["docker"])).toBe(false);
  expect(mayUse(docker, ["toolset:docker"])).toBe(true);
  const two = member("toolset:create+docker", true);
  expect(mayUse(two, ["toolset:docker"])).toBe(false);
  expect(mayUse(two, ["toolset:docker", "toolset:create"])).toBe(true);
  expect(mayCall(files, "files__read", ["files__re*"])).toBe(true);
  expect(mayCall(files, "files__write", ["files__re*"])).toBe(false);
  expect(mayCall(files, "files__read", ["files__read"])).toBe(true);
  expect(mayCall(docker, "docker_version", ["docker_version"])).toBe(false);
  expect(mayCall(docker, "docker_version", ["docker_v*"])).toBe(true);
  expect(mayMeet(files, ["files__read"])).toBe(true);
  expect(mayMeet(files, ["file*"])).toBe(true);
  expect(mayMeet(files, ["web__read"])).toBe(false);
});
