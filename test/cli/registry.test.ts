/** `linkspan search` and `linkspan add` against an HTTP server that speaks the registry's API. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { faultLine, linkspan, type Ran, tempDir } from "../support/cli.ts";
import { FAR, ROWS, SEARCHER, SHARP, startRegistry } from "./registry/documents.ts";

async function stand(versions?: string[]) {
  const dir = await tempDir("registry");
  const registry = startRegistry(versions);
  const env = { HOME: dir.path, NO_PROXY: "*", no_proxy: "*" };
  return {
    registry,
    path: (name: string) => join(dir.path, name),
    read: (name: string) => readFileSync(join(dir.path, name), "utf8"),
    run: (...args: string[]): Promise<Ran> => linkspan(args, { env, cwd: dir.path }),
    [Symbol.asyncDispose]: async () => {
      await registry[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test("search looks through the pages of a registry and shows nothing that moves a cursor", async () => {
  await using my = await stand();
  const found = await my.run("search", "tools", "rows", "--registry", my.registry.url);
  expect(found).toMatchObject({ code: 0 });
  expect(found.out).toMatch(
    /^com\.example\.tools\/rows +2\.0\.1 +oci, pypi +Rows of a database: \$5 \{braces\} and marks$/m,
  );
  expect(found.out).not.toContain("\u202e");
  expect(found.out).not.toContain("\u001b");
  expect(my.registry.requests[0]).toBe("/v0.1/servers?search=tools&version=latest&limit=50");
  expect(my.registry.requests).toHaveLength(3);
  const json = JSON.parse(
    (await my.run("search", "example", "--registry", `${my.registry.url}/v0`, "--limit", "2", "--json")).out,
  );
  expect(json).toMatchObject([{ name: SEARCHER.name }, { name: ROWS.name }]);
  expect((await my.run("search", "nothing-like-it", "--registry", my.registry.url)).err).toContain(
    "has no server with",
  );
  expect(faultLine(await my.run("search", "x", "--limit", "0", "--json"))).toMatchObject({ kind: "usage" });
});

test("a registry that knows the older API only, and a file in the place of one", async () => {
  await using my = await stand(["v0"]);
  expect((await my.run("search", "far", "--registry", my.registry.url)).out).toContain("remote");
  expect(my.registry.requests.map((path) => path.split("/")[1])).toEqual(["v0.1", "v0"]);
  writeFileSync(my.path("list.json"), JSON.stringify({ servers: [SEARCHER, { server: ROWS }] }));
  expect((await my.run("search", "web", "--registry", "list.json")).out).toContain(SEARCHER.name);
  expect(await my.run("add", SEARCHER.name, "--registry", "list.json", "--to", "l.yaml")).toMatchObject({ code: 0 });
  expect(
    faultLine(await my.run("add", "com.example.tools/seracher", "--registry", "list.json", "--json")).hint,
  ).toContain(SEARCHER.name);
});

test("an npm package: arguments, environment, secrets; what has to be set is said", async () => {
  await using my = await stand();
  const ran = await my.run("add", `${SEARCHER.name}@1.4.0`, "--registry", my.registry.url, "--to", "linkspan.yaml");
  expect(ran).toMatchObject({ code: 0 });
  expect(my.read("linkspan.yaml")).toBe(`servers:
  searcher:
    image: npm:@example/searcher-mcp@1.4.0
    args:
      - serve
      - --mode=fast
    env:
      SEARCHER_REGION: \${SEARCHER_REGION}
      LOG_LEVEL: info
    secrets:
      SEARCHER_API_KEY: \${SEARCHER_API_KEY}
    network: egress
`);
  expect(ran.out).toContain("${SEARCHER_API_KEY} has to be set: Its key; such as se_…");
  expect(ran.out).toContain("${SEARCHER_REGION} has to be set: Where it looks; one of eu, us");
  expect(ran.out).toContain("mode is fast by default: one of fast, deep");
  expect(ran.out).toContain("SEARCHER_PROXY may be set, too: A proxy");
  expect(ran.out).toContain("--index may be given, too: An index of your own");
  expect(ran.err).toContain("Set SEARCHER_REGION, SEARCHER_API_KEY where the manager starts");
  const again = faultLine(
    await my.run("add", SEARCHER.name, "--registry", my.registry.url, "--to", "linkspan.yaml", "--json"),
  );
  expect(again).toMatchObject({ kind: "conflict", hint: expect.stringContaining("--as") });
});

test("an image with arguments of its runtime; the same server as another package, under another name", async () => {
  await using my = await stand();
  const common = ["--registry", my.registry.url, "--to", "linkspan.yaml", "--json"];
  const done = JSON.parse((await my.run("add", ROWS.name, ...common)).out);
  expect(done.decisions[0].body).toEqual({
    image: "docker.io/example/rows:2.0.1",
    network: "egress",
    volumes: ["${ROWS_SOURCE}:/data"],
    args: ["--host=localhost", "-p", "5432", "${ROWS_DATABASE_NAME}"],
    env: { KIND: "${ROWS_KIND}" },
    secrets: { DB_PASSWORD: "${DB_PASSWORD}" },
  });
  expect(done.unset.sort()).toEqual(["DB_PASSWORD", "ROWS_DATABASE_NAME", "ROWS_KIND", "ROWS_SOURCE"]);
  await my.run("add", ROWS.name, "--as", "py-rows", "--package", "pypi", ...common);
  expect(my.read("linkspan.yaml")).toEndWith("  py-rows:\n    image: pypi:example-rows@2.0.1\n    network: egress\n");
});

test("a file and a URL, through a redirect; a dry run writes nothing", async () => {
  await using my = await stand();
  writeFileSync(my.path("server.json"), JSON.stringify(SEARCHER));
  const dry = await my.run("add", "./server.json", "--dry-run");
  expect(dry.out).toStartWith("servers:\n  searcher:\n");
  expect(readdirSync(my.path("."))).toEqual(["server.json"]);
  expect((await my.run("add", `${my.registry.url}/moved/server.json`, "--dry-run")).out).toBe(dry.out);
});

const REFUSED: [what: string, args: (url: string) => string[], kind: string, message: string][] = [
  [
    "a remote server",
    (url) => [FAR.name, "--registry", url],
    "unsupported",
    "no npm, oci or pypi package that speaks stdio",
  ],
  ["other kinds of packages", (url) => [SHARP.name, "--registry", url], "unsupported", "no npm, oci or pypi"],
  ["a name that is not there", (url) => ["com.example.tools/row", "--registry", url], "not-found", "has no server"],
  ["another scheme", (url) => [`${url}/elsewhere`], "forbidden", "redirects to another scheme (file:)"],
  ["a circle", (url) => [`${url}/circle`], "unreachable", "redirects more than 3 times"],
  ["no end", (url) => [`${url}/endless`], "too-large", "answers with more than"],
  ["no JSON", (url) => [`${url}/text`], "invalid", "is not JSON"],
  ["an error", (url) => [`${url}/broken`], "unreachable", "status 500"],
  ["nobody there", () => ["x/y", "--registry", "http://127.0.0.1:9"], "unreachable", "cannot be reached"],
];

test.each(REFUSED)("refused: %s", async (_, args, kind, message) => {
  await using my = await stand();
  const fault = faultLine(await my.run("add", ...args(my.registry.url), "--to", "linkspan.yaml", "--json"));
  expect(fault).toMatchObject({ kind, message: expect.stringContaining(message) });
  expect(readdirSync(my.path("."))).toEqual([]);
});

const HOSTILE: [what: string, change: object][] = [
  ["a program of this machine as an image", { registryType: "oci", identifier: "exec:/bin/sh" }],
  ["a folder as a package", { registryType: "npm", identifier: "../../etc" }],
  ["a URL as a package", { registryType: "pypi", identifier: "https://e.example/x" }],
  [
    "the engine's socket",
    {
      registryType: "oci",
      identifier: "x",
      runtimeArguments: [{ type: "named", name: "-v", value: "/var/run/docker.sock:/s" }],
    },
  ],
  [
    "--privileged",
    { registryType: "oci", identifier: "x", runtimeArguments: [{ type: "named", name: "--privileged" }] },
  ],
];

test.each(HOSTILE)("a server.json with %s is refused", async (_, change) => {
  await using my = await stand();
  writeFileSync(
    my.path("server.json"),
    JSON.stringify({ ...SEARCHER, packages: [{ transport: { type: "stdio" }, ...change }] }),
  );
  expect(faultLine(await my.run("add", "./server.json", "--json"))).toMatchObject({ kind: "unsupported" });
});

test("documents that are none", async () => {
  await using my = await stand();
  writeFileSync(my.path("a.json"), JSON.stringify({ name: "no slash" }));
  expect(faultLine(await my.run("add", "a.json", "--json")).message).toContain("is no server.json at name");
  writeFileSync(
    my.path("old.json"),
    JSON.stringify({ name: "a/b", packages: [{ registry_type: "npm", identifier: "x" }] }),
  );
  expect(faultLine(await my.run("add", "old.json", "--json")).hint).toContain("older than 2025-09-16");
});
