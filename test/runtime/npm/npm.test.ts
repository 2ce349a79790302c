import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { installNpm, parseNpmRef, readInstalled, resolveNpm } from "../../../src/runtime/npm/npm.ts";
import type { Progress } from "../../../src/runtime/runtime.ts";
import { type Registry, startRegistry } from "../../support/npm-registry.ts";

const script = { "index.js": 'console.log("hello");' };
let registry: Registry;
let folder: string;
let count = 0;
const deadline = () => Deadline.in(30_000);
const quiet = () => {};
const saved = { registry: process.env.NPM_CONFIG_REGISTRY, cache: process.env.BUN_INSTALL_CACHE_DIR };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "linkspan-test-npm-"));
  registry = await startRegistry({
    one: {
      versions: {
        "1.0.0": { manifest: { bin: "index.js" }, files: script },
        "1.2.0": { manifest: { bin: { anything: "./index.js" }, dependencies: { dep: "^1.0.0" } }, files: script },
        "2.0.0-beta.1": { manifest: { bin: "index.js" }, files: script },
      },
      tags: { latest: "1.2.0", next: "2.0.0-beta.1" },
    },
    dep: {
      versions: { "1.0.0": { manifest: { scripts: { postinstall: "touch ran" } }, files: { "main.js": "" } } },
    },
    "@scope/several": {
      versions: {
        "1.0.0": {
          manifest: { bin: { several: "index.js", other: "other.js" } },
          files: { ...script, "other.js": "" },
        },
      },
    },
    ambiguous: {
      versions: {
        "1.0.0": { manifest: { bin: { a: "index.js", b: "other.js" } }, files: { ...script, "other.js": "" } },
      },
    },
    library: { versions: { "1.0.0": {} } },
    outside: { versions: { "1.0.0": { manifest: { bin: "../../../../etc/passwd" } } } },
    incomplete: { versions: { "1.0.0": { manifest: { bin: "missing.js" } } } },
    corrupt: { versions: { "1.0.0": { manifest: { bin: "index.js" }, files: script } }, corrupt: true },
    secret: { versions: {}, status: 403 },
    broken: { versions: {}, status: 500 },
  });
  process.env.NPM_CONFIG_REGISTRY = registry.url;
  process.env.BUN_INSTALL_CACHE_DIR = join(folder, "cache");
});

afterAll(async () => {
  restore("NPM_CONFIG_REGISTRY", saved.registry);
  restore("BUN_INSTALL_CACHE_DIR", saved.cache);
  await registry[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

const resolve = (ref: string) => resolveNpm(parseNpmRef(ref), quiet, deadline());
const fresh = () => join(folder, `install-${count++}`);
const install = async (ref: string, bin?: string) =>
  installNpm(await resolve(ref), fresh(), quiet, deadline(), bin === undefined ? {} : { bin });

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(Fault);
  return thrown as Fault;
}

describe("references", () => {
  test.each([
    ["npm:one", "one", "latest", false],
    ["npm:one@1.2.3", "one", "1.2.3", true],
    ["npm:one@1.2.3-rc.1+b.2", "one", "1.2.3-rc.1+b.2", true],
    ["npm:one@^1", "one", "^1", false],
    ["npm:one@>=1||<0.5", "one", ">=1||<0.5", false],
    ["npm:@scope/one", "@scope/one", "latest", false],
    ["npm:@scope/one@next", "@scope/one", "next", false],
    ["npm:JSONStream@1.x", "JSONStream", "1.x", false],
  ])("%s", (ref, name, want, exact) => {
    expect(parseNpmRef(ref)).toEqual({ package: name, want, exact });
  });

  test.each([
    "one",
    "npm:",
    "npm:-g",
    "npm:--registry=x",
    "npm:one@",
    "npm:one@-1",
    "npm:one@file:../x",
    "npm:one@npm:two@1",
    "npm:one@git+ssh://host/x",
    "npm:one@http://host/x.tgz",
    "npm:one@user/repo",
    "npm:one@x.tgz",
    "npm:one@.",
    "npm:user/repo",
    "npm:../one",
    "npm:./one",
    "npm:/one",
    "npm:@scope",
    "npm:@scope/",
    "npm:@/one",
    "npm:@scope/../one",
    "npm:one two",
    "npm:one@1 2",
    "npm:one#x",
    "npm:_hidden",
    `npm:${"x".repeat(215)}`,
  ])("refused: %s", (ref) => {
    expect(() => parseNpmRef(ref)).toThrow(expect.objectContaining({ kind: "invalid" }));
  });
});

describe("resolving", () => {
  test.each([
    ["npm:one", "1.2.0"],
    ["npm:one@next", "2.0.0-beta.1"],
    ["npm:one@~1.0", "1.0.0"],
    ["npm:one@1.0.0", "1.0.0"],
    ["npm:one@>=0.1||<0.05", "1.2.0"],
  ])("%s is %s", async (ref, version) => {
    const found = await resolve(ref);
    expect(found).toMatchObject({ package: "one", version });
    expect(found.integrity).toMatch(/^sha512-[A-Za-z0-9+/]{86}==$/);
  });

  test.each([
    ["npm:missing", "not-found", "npm has no package missing"],
    ["npm:@no/missing@1.0.0", "not-found", "npm has no package @no/missing"],
    ["npm:one@9.9.9", "not-found", "npm has no version one@9.9.9"],
    ["npm:one@^9", "not-found", "npm has no version one@^9"],
    ["npm:one@nosuchtag", "not-found", "npm has no version one@nosuchtag"],
    ["npm:secret", "forbidden", "the npm registry refuses access to secret@latest"],
    ["npm:broken", "unreachable", "the npm registry cannot be reached for broken@latest"],
  ])("%s: %s", async (ref, kind, message) => {
    const fault = await faultOf(resolve(ref));
    expect(fault).toMatchObject({ kind });
    expect(fault.message).toStartWith(message);
    expect(fault.hint).toBeDefined();
  });

  test("a registry that is not there is unreachable, and its password is not told", async () => {
    process.env.NPM_CONFIG_REGISTRY = "http://user:hunter2@127.0.0.1:9/";
    try {
      const fault = await faultOf(resolve("npm:one"));
      expect(fault.kind).toBe("unreachable");
      expect(JSON.stringify(fault.report())).not.toContain("hunter2");
    } finally {
      process.env.NPM_CONFIG_REGISTRY = registry.url;
    }
  });

  test("a registry that never answers ends at the deadline", async () => {
    using silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    process.env.NPM_CONFIG_REGISTRY = `http://127.0.0.1:${silent.port}/`;
    try {
      const fault = await faultOf(resolveNpm(parseNpmRef("npm:one"), quiet, Deadline.in(500)));
      expect(fault.kind).toBe("timeout");
    } finally {
      process.env.NPM_CONFIG_REGISTRY = registry.url;
      silent.stop(true);
    }
  });
});

describe("the user's npm configuration", () => {
  test("a registry and its token from the user's .npmrc are used", async () => {
    await using guarded = await startRegistry(
      { "@own/tool": { versions: { "3.0.0": { manifest: { bin: "index.js" }, files: script } } } },
      "token-of-the-user",
    );
    const home = join(folder, "home");
    const host = guarded.url.replace("http:", "");
    await Bun.write(join(home, ".npmrc"), `@own:registry=${guarded.url}\n${host}:_authToken=token-of-the-user\n`);
    process.env.NPM_CONFIG_USERCONFIG = join(home, ".npmrc");
    try {
      expect(await install("npm:@own/tool")).toMatchObject({ version: "3.0.0" });
    } finally {
      delete process.env.NPM_CONFIG_USERCONFIG;
    }
  });

  test("files of the current directory and of folders above do not count", async () => {
    const hostile = join(folder, "hostile");
    await mkdir(join(hostile, "inner"), { recursive: true });
    const trap = { name: "trap", workspaces: ["*"], dependencies: { library: "*" } };
    await Bun.write(join(hostile, "package.json"), JSON.stringify(trap));
    await Bun.write(join(hostile, ".npmrc"), "registry=http://127.0.0.1:9/\n");
    await Bun.write(join(hostile, "bunfig.toml"), '[install]\nregistry = "http://127.0.0.1:9/"\n');
    delete process.env.NPM_CONFIG_REGISTRY;
    process.env.NPM_CONFIG_USERCONFIG = join(folder, "user.npmrc");
    await Bun.write(process.env.NPM_CONFIG_USERCONFIG, `registry=${registry.url}\n`);
    const before = process.cwd();
    process.chdir(hostile);
    try {
      const installed = await installNpm(await resolve("npm:one"), join(hostile, "inner"), quiet, deadline());
      expect(await Bun.file(join(installed.folder, installed.entry)).exists()).toBe(true);
      expect(await Bun.file(join(hostile, "bun.lock")).exists()).toBe(false);
    } finally {
      process.chdir(before);
      process.env.NPM_CONFIG_REGISTRY = registry.url;
      delete process.env.NPM_CONFIG_USERCONFIG;
    }
  });
});

describe("installing", () => {
  test("the package with what it depends on, without scripts, as plain files", async () => {
    const steps: Progress[] = [];
    const target = fresh();
    const version = await resolve("npm:one");
    const installed = await installNpm(version, target, (step) => steps.push(step), deadline());
    expect(installed).toEqual({ ...version, folder: target, entry: "node_modules/one/index.js" });
    expect(await Bun.file(join(target, "node_modules/dep/main.js")).exists()).toBe(true);
    expect(await Bun.file(join(target, "node_modules/dep/ran")).exists()).toBe(false);
    expect((await Bun.file(join(target, installed.entry)).stat()).nlink).toBe(1);
    expect(steps[0]).toEqual({ step: "install", detail: "one@1.2.0" });
    expect(steps.length).toBeGreaterThan(1);
  });

  test("a second time asks nobody", async () => {
    const first = await install("npm:one@1.0.0");
    const asked = registry.requests.length;
    expect(await readInstalled(first.folder)).toEqual(first);
    expect(await installNpm(first, first.folder, quiet, deadline())).toEqual(first);
    expect(registry.requests.length).toBe(asked);
  });

  test("a folder without a finished installation has none", async () => {
    const first = await install("npm:one@1.0.0");
    await rm(join(first.folder, "linkspan-npm.json"));
    expect(await readInstalled(first.folder)).toBeUndefined();
    await Bun.write(join(first.folder, "linkspan-npm.json"), "garbage");
    expect(await readInstalled(first.folder)).toBeUndefined();
    expect(await readInstalled(join(folder, "nowhere"))).toBeUndefined();
  });

  test("of several programs the one named like the package, or the one asked for", async () => {
    expect((await install("npm:@scope/several")).entry).toBe("node_modules/@scope/several/index.js");
    expect((await install("npm:@scope/several", "other")).entry).toBe("node_modules/@scope/several/other.js");
    expect((await install("npm:ambiguous", "b")).entry).toBe("node_modules/ambiguous/other.js");
    expect(await faultOf(install("npm:ambiguous", "c"))).toMatchObject({ kind: "not-found", hint: "it has: a, b" });
  });

  test.each([
    ["npm:ambiguous", "unsupported", "several programs and none is named like it: a, b"],
    ["npm:library", "unsupported", "no program to run"],
    ["npm:outside", "unsupported", "lies outside the package"],
    ["npm:incomplete", "unsupported", "does not contain"],
  ])("%s: %s", async (ref, kind, message) => {
    const fault = await faultOf(install(ref));
    expect(fault.kind).toBe(kind as Fault["kind"]);
    expect(fault.message).toContain(message);
  });

  test("an archive that is not the registry's is refused", async () => {
    const target = fresh();
    const fault = await faultOf(installNpm(await resolve("npm:corrupt"), target, quiet, deadline()));
    expect(fault.kind).toBe("conflict");
    expect(await readInstalled(target)).toBeUndefined();
  });

  test("another integrity than the one resolved is refused", async () => {
    const version = await resolve("npm:one@1.0.0");
    const other = { ...version, integrity: `sha512-${Buffer.alloc(64).toString("base64")}` };
    expect((await faultOf(installNpm(other, fresh(), quiet, deadline()))).kind).toBe("conflict");
  });
});
