import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nameOfRef } from "../../../src/model/ref-name.ts";
import { lockOf, Said } from "../../../src/runtime/pypi/installer.ts";
import { chooseProgram } from "../../../src/runtime/pypi/program.ts";
import { flavourOf, parsePypiRef, pythonRequirement, requirementOf } from "../../../src/runtime/pypi/ref.ts";
import { parsePipConf, pipSettings } from "../../../src/runtime/pypi/settings.ts";

test("references: name, extras, version, bounds, further requirements", () => {
  const cases: [ref: string, asked: string, flavour: string, exact: boolean, name: string][] = [
    ["pypi:mcp-server-time", "mcp-server-time", "", false, "mcp-server-time"],
    ["pypi:MCP_Server.Time@2026.10.19", "mcp-server-time==2026.10.19", "", true, "mcp_server.time"],
    ["pypi:mcp@latest", "mcp", "", false, "mcp"],
    ["pypi:mcp[cli,ws]@2.3.0", "mcp[cli,ws]==2.3.0", "[cli,ws]", true, "mcp"],
    ["pypi:mcp@>=1,<2", "mcp>=1,<2", "", false, "mcp"],
    ["pypi:mcp@~=1.9", "mcp~=1.9", "", false, "mcp"],
    ["pypi:postgres-mcp@0.1.0,mcp<2", "postgres-mcp==0.1.0", "mcp<2", true, "postgres-mcp"],
    ["pypi:a@>=1,!=1.5,b[x,y]>=2,<3,c", "a>=1,!=1.5", "b[x,y]>=2,<3,c", false, "a"],
    ["pypi:torch@2.0+cpu", "torch==2.0+cpu", "", true, "torch"],
  ];
  for (const [ref, asked, flavour, exact, name] of cases) {
    const parsed = parsePypiRef(ref);
    expect([requirementOf(parsed), flavourOf(parsed), parsed.exact, nameOfRef(ref)], ref).toEqual([
      asked,
      flavour,
      exact,
      name,
    ]);
  }
  for (const ref of [
    "pypi:",
    "pypi:-r",
    "pypi:--index-url=http://x",
    "pypi:a@",
    "pypi:a@@1",
    "pypi:../a",
    "pypi:a@git+https://x/y",
    "pypi:https://x/y.whl",
    "pypi:a;os_name=='nt'",
    "pypi:a,-e.",
    "pypi:a[b",
    "pypi:a@1 b",
    "npm:a",
  ])
    expect(() => parsePypiRef(ref), ref).toThrow("not a reference to a Python package");
});

test("requirements of created servers", () => {
  const cases = { "1.2": "a==1.2", ">=1,<2": "a>=1,<2", "~=1.2": "a~=1.2", latest: "a", "*": "a", "==1.*": "a==1.*" };
  for (const [want, requirement] of Object.entries(cases)) expect(pythonRequirement("a", want)).toBe(requirement);
  expect(pythonRequirement("a[x]", "1")).toBe("a[x]==1");
  for (const want of ["^1", "next", ">1||2", "1,--pre"]) expect(() => pythonRequirement("a", want), want).toThrow();
  expect(() => pythonRequirement("@scope/a", "1")).toThrow();
});

test("which program is the server", () => {
  expect(chooseProgram("my-server", ["anything"], undefined)).toBe("anything");
  expect(chooseProgram("my-server", ["other", "my_server"], undefined)).toBe("my_server");
  expect(chooseProgram("my-server", ["a", "b"], "b")).toBe("b");
  expect(() => chooseProgram("my-server", ["a", "b"], undefined)).toThrow("several programs");
  expect(() => chooseProgram("my-server", ["a"], "c")).toThrow("no program");
  expect(() => chooseProgram("my-server", [], undefined)).toThrow("no program to run");
});

test("pip.conf: sections, continued lines, comments; the section of install wins", () => {
  const text =
    "# mine\n[global]\nindex_url = https://a/simple\nextra-index-url =\n    https://b/simple\n    https://c/simple\ntimeout: 60\n[install]\ntimeout = 7\n[freeze]\ntimeout = 9\nproxy = no\n";
  expect(Object.fromEntries(parsePipConf(text))).toEqual({
    "index-url": "https://a/simple",
    "extra-index-url": "https://b/simple https://c/simple",
    timeout: "7",
  });
});

test("pip's settings for a container: files come along, what leads elsewhere stays, variables win", () => {
  const home = mkdtempSync(join(tmpdir(), "linkspan-test-pip-"));
  try {
    const [conf, cert] = [join(home, "pip.conf"), join(home, "ca.pem")];
    writeFileSync(
      conf,
      `[global]\nindex-url = https://conf/simple\ntrusted-host = conf\ncert = ${cert}\ntarget = /x\n`,
    );
    writeFileSync(cert, "CERTIFICATE");
    const { environment, files } = pipSettings("/work", {
      HOME: home,
      PIP_CONFIG_FILE: conf,
      PIP_INDEX_URL: "https://user:secret@env/simple",
      PIP_FIND_LINKS: "/opt/wheels https://links/",
      PIP_DEFAULT_TIMEOUT: "33",
      PIP_RETRIES: "0",
      PIP_TARGET: "/elsewhere",
      PIP_CONSTRAINT: "/there/is/none",
      https_proxy: "http://proxy:3128",
      SECRET: "of somebody else",
    });
    expect(environment).toMatchObject({
      PIP_INDEX_URL: "https://user:secret@env/simple",
      PIP_TRUSTED_HOST: "conf",
      PIP_FIND_LINKS: "https://links/",
      PIP_TIMEOUT: "33",
      PIP_RETRIES: "1",
      PIP_CERT: "/work/cert-ca.pem",
      https_proxy: "http://proxy:3128",
    });
    expect(Object.keys(environment).filter((name) => /TARGET|CONSTRAINT|SECRET/.test(name))).toEqual([]);
    expect([...files].map(([name, bytes]) => [name, Buffer.from(bytes).toString()])).toEqual([
      ["cert-ca.pem", "CERTIFICATE"],
    ]);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});

test("what pip says: bounded, without passwords, and what it means", () => {
  const told: string[] = [];
  const said = new Said("a==1", ({ detail = "" }) => told.push(detail));
  said.hear("Looking in indexes: https://user:secret@index/simple");
  said.hear("ERROR: Ignored the following versions that require a different python version: 0.1");
  said.hear("ERROR: Could not find a version that satisfies the requirement a==1 (from versions: 2, 3)");
  said.hear("ERROR: No matching distribution found for a==1");
  expect(told[0]).toBe("a==1: Looking in indexes: https://index/simple");
  expect(said.fault()).toMatchObject({ kind: "not-found" });
  expect(said.fault().message).toContain("from versions: 2, 3");
  const kinds: [line: string, kind: string][] = [
    ["WARNING: Retrying … NewConnectionError: Failed to establish a new connection", "unreachable"],
    ["ERROR: HTTP error 401 while getting https://x", "forbidden"],
    ["ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "conflict"],
    ["ERROR: ResolutionImpossible: for help visit", "conflict"],
    ["linkspan: this Python has no pip of version 22.3 or newer", "unsupported"],
    ["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "exhausted"],
    ["something else", "internal"],
  ];
  for (const [line, kind] of kinds) {
    const one = new Said("a", () => {});
    one.hear(line);
    expect(one.fault().kind, line).toBe(kind as never);
  }
});

test("a lock names exact archives only", () => {
  const packages = [
    { name: "a", version: "1", sha256: "0".repeat(64) },
    { name: "b", version: "2", sha256: "" },
  ];
  expect(lockOf({ packages, programs: [], python: "3.13.0" })).toBe(`a==1 --hash=sha256:${"0".repeat(64)}\n`);
});
