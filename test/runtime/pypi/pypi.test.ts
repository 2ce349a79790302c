/** `pypi:` through the built binary, with an index of our own: which version runs, as whom, and what a failure leaves. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Deadline } from "../../../src/base/deadline.ts";
import { listContainers } from "../../../src/docker/containers.ts";
import { inspectImage, listImages, removeImage } from "../../../src/docker/images.ts";
import { debianPython, noDebian } from "../../support/debian-image.ts";
import { ENGINE, engine, engineTest } from "../../support/engine.ts";
import { Lone } from "../../support/lone-manager.ts";
import { until } from "../../support/until.ts";
import { type Packages, type PypiIndex, startPypiIndex } from "../../support/pypi-index.ts";

const PASSWORD = "hunter2-of-the-index";
const CASE_MS = 120_000;
/** Speaks MCP by hand: its tool answers with the version, who it is, and whether it can write. */
const server = (version: string) => `
import json, os, sys
TOOL = {"name": "who", "inputSchema": {"type": "object"}}
def writable(path):
    try:
        open(path + "/written", "w").close()
        return True
    except OSError:
        return False
def main(program="hand"):
    for line in sys.stdin:
        message = json.loads(line)
        if message["method"] == "initialize":
            result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "hand", "version": "1"}}
        elif message["method"] == "tools/list":
            result = {"tools": [TOOL]}
        elif message["method"] == "tools/call":
            facts = {"version": "${version}", "program": program, "uid": os.getuid(), "args": sys.argv[1:], "app": writable(os.path.dirname(sys.executable))}
            facts["index"] = [name for name in os.environ if name.startswith("PIP_INDEX")]
            result = {"content": [{"type": "text", "text": json.dumps(facts)}]}
        else:
            continue
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
def other():
    main("other")
`;
const hand = (version: string) => ({ files: { "hand.py": server(version) }, scripts: { hand: "hand:main" } });

const packages = (): Packages => ({
  hand: { "1.0.0": hand("1.0.0"), "2.0.0": hand("2.0.0") },
  two: { "1.0": { files: { "two.py": server("1.0") }, scripts: { alpha: "two:main", beta: "two:other" } } },
  slow: { "1.0": { stalled: true } },
  library: { "1.0": { files: { "library.py": "" } } },
  compiled: { "1.0": { sourceOnly: true } },
  broken: { "1.0": { ...hand("1.0"), requires: ["there-is-no-such-thing"] } },
  old: { "1.0": { requires: ["base<2"], scripts: { old: "base:main" } } },
  base: { "1.0": { files: { "base.py": server("1") } }, "2.0": { files: { "base.py": server("2") } } },
  wide: { "1.0": { requires: ["base"], scripts: { wide: "base:main" } } },
});

interface Stand extends AsyncDisposable {
  runtime: "docker" | "process";
  lone: Lone;
  index: PypiIndex;
  wares: Packages;
}

async function stand(runtime: "docker" | "process", base: string): Promise<Stand> {
  const wares = packages();
  const index = startPypiIndex(wares, `user:${PASSWORD}`);
  const host = runtime === "docker" ? await gateway() : "127.0.0.1";
  const lone = await Lone.open(runtime, {
    env: {
      LINKSPAN_PYTHON_IMAGE: base,
      PIP_INDEX_URL: `http://user:${PASSWORD}@${host}:${index.port}/simple`,
      PIP_TRUSTED_HOST: host,
      PIP_CONFIG_FILE: "/dev/null",
      PIP_FIND_LINKS: "",
      // Whoever refuses a connection does so again.
      PIP_RETRIES: "0",
    },
  });
  const end = async () => {
    await lone[Symbol.asyncDispose]();
    await index[Symbol.asyncDispose]();
  };
  return { runtime, lone, index, wares, [Symbol.asyncDispose]: end };
}

/** Where containers of the engine's own network reach this machine. */
async function gateway(): Promise<string> {
  const child = Bun.spawn(["ip", "-4", "-o", "addr", "show", "docker0"], { stdout: "pipe" });
  const [, address] = /inet ([0-9.]+)/.exec(await child.stdout.text()) ?? [];
  if (address === undefined) throw new Error("the engine has no network docker0 on this machine");
  return address;
}

async function who({ lone }: Stand, name: string): Promise<Record<string, unknown>> {
  const answer = await lone.post(`/servers/${name}/call`, { tool: "who", arguments: {} });
  const [, text = ""] = /"text":("(?:[^"\\]|\\.)*")/.exec(JSON.stringify(answer)) ?? [];
  return JSON.parse(JSON.parse(text));
}

/** As a client's configuration has it: no name, no manager's help. */
async function byReference(lone: Lone, ref: string): Promise<string> {
  const client = new Client({ name: "linkspan-test", version: "1" });
  await client.connect(new StdioClientTransport({ ...lone.front(ref), stderr: "ignore" }));
  const { content } = await client.callTool({ name: "who", arguments: {} });
  await client.close();
  return JSON.stringify(content);
}

async function refusal({ lone }: Stand, image: string): Promise<string> {
  const name = `bad-${Bun.hash.crc32(image)}`;
  const answer = await lone.api(`/servers/${name}/start`, { method: "POST", body: JSON.stringify({ image }) });
  expect([image, answer.ok]).toEqual([image, false]);
  return await answer.text();
}

/** Containers in which that manager installs, or makes images. */
async function installations(manager: number): Promise<number> {
  const found = await listContainers(engine(), { name: ["linkspan-build-"] }, Deadline.in(30_000));
  return found.filter(({ Labels }) => JSON.stringify(Labels).includes(`\\"pid\\":${manager},`)).length;
}

/** What both runtimes do alike. An installation in a container takes seconds: there, what does not depend on it is left out. */
async function story(place: Stand, wheels: () => number): Promise<void> {
  const { lone, index, wares } = place;
  const isWhole = place.runtime === "process";
  // Four at the same time: asked once, installed once.
  await Promise.all(["a", "b", "c", "d"].map((name) => lone.run(name, { image: "pypi:Hand", args: ["--flag"] })));
  expect(await who(place, "a")).toMatchObject({ version: "2.0.0", program: "hand", args: ["--flag"], index: [] });
  expect(await who(place, "d")).toMatchObject({ version: "2.0.0" });
  expect(wheels()).toBeLessThanOrEqual(2);
  if (isWhole) {
    await lone.run("one", { image: "pypi:hand@1.0.0" });
    expect(await who(place, "one")).toMatchObject({ version: "1.0.0" });
    await lone.run("bounds", { image: "pypi:hand@>=1,<2" });
    expect(await who(place, "bounds")).toMatchObject({ version: "1.0.0" });
    await lone.run("narrow", { image: "pypi:wide@1.0,base<2" });
    expect(await who(place, "narrow")).toMatchObject({ version: "1" });
    await lone.run("beta", { image: "pypi:two", command: ["beta"] });
    expect(await who(place, "beta")).toMatchObject({ program: "other" });
  }

  const some: [image: string, words: RegExp][] = [
    ["pypi:broken", /there-is-no-such-thing/],
    ["pypi:../hand", /not a reference to a Python package/],
  ];
  const others: typeof some = [
    ["pypi:library", /library has no program to run/],
    ["pypi:two", /several programs[^]*alpha, beta/],
    ["pypi:compiled", /not-found[^]*compiled[^]*wheels/],
    ["pypi:nothing-of-that-name", /nothing-of-that-name/],
    ["pypi:hand@3.0", /from versions: 1\.0\.0, 2\.0\.0/],
    ["pypi:old,base>=2", /exclude each other/],
  ];
  const cases = isWhole ? [...some, ...others] : some;
  const answers = await Promise.all(cases.map(([image]) => refusal(place, image)));
  for (const [at, [image, words]] of cases.entries()) {
    expect(answers[at], image).toMatch(words);
    expect(answers[at], image).not.toContain(PASSWORD);
  }

  const slow = lone.run("slow", { image: "pypi:slow" }).catch(() => {});
  if (place.runtime === "docker") await until("an installation", async () => (await installations(lone.pid)) === 1);
  const { pid } = lone;
  // Without its index: what is here runs, also what only the index could say.
  await lone.post("/servers/a/stop");
  await lone.kill();
  await slow;
  await index[Symbol.asyncDispose]();
  delete wares.hand;
  await lone.open();
  await lone.run("exact", { image: "pypi:hand@2.0.0" });
  expect(await who(place, "exact")).toMatchObject({ version: "2.0.0" });
  expect(await byReference(lone, "pypi:hand@2.0.0")).toContain("2.0.0");
  await lone.post("/servers/a/start", {});
  expect(await who(place, "a")).toMatchObject({ version: "2.0.0" });
  // What a killed manager was at is ended by the next one.
  if (place.runtime === "docker") expect(await installations(pid)).toBe(0);
  expect(await refusal(place, "pypi:never-seen")).toMatch(/unreachable[^]*cannot be reached/);
}

describe("in containers", () => {
  if (ENGINE && noDebian !== undefined) process.stderr.write(`\n!! pypi: in containers was NOT TESTED: ${noDebian}\n`);

  /** One of its own, so that what is built on it is ours. */
  let base = "";
  const built = async (name: string) => {
    const images = await listImages(engine(), [`linkspan.pypi.package=${name}`], Deadline.in(30_000));
    return images.filter(({ Labels }) => Labels?.["linkspan.pypi.base"] === base).map(({ Id }) => Id);
  };

  afterAll(async () => {
    if (base === "") return;
    for (const id of [...(await built("hand")), base]) await removeImage(engine(), id, Deadline.in(30_000));
  }, 60_000);

  engineTest(
    "versions, programs, refusals; as nobody, read-only, without a password in the image; nothing is left of failures",
    async () => {
      if (noDebian !== undefined) return;
      base = await debianPython(engine(), [`LABEL run=${crypto.randomUUID()}`]);
      await using place = await stand("docker", base);
      const { requests } = place.index;
      await story(place, () => requests.filter((path) => path.includes("hand-2.0.0")).length);
      expect(await who(place, "exact")).toMatchObject({ uid: 65532, app: false });
      const deadline = Deadline.in(30_000);
      const images = await built("hand");
      expect(images).toHaveLength(1);
      for (const id of images) {
        const info = await inspectImage(engine(), id, deadline);
        expect(JSON.stringify(info)).not.toContain(PASSWORD);
        expect(info?.Config?.Labels?.["linkspan.pypi.sha256"]).toMatch(/^[0-9a-f]{64}$/);
      }
      expect(await built("broken")).toEqual([]);
      expect(await installations(place.lone.pid)).toBe(0);
    },
    CASE_MS,
  );
});

describe("as processes", () => {
  let python = "";
  beforeAll(() => {
    const candidates = ["python3", "/usr/bin/python3"].flatMap((name) => Bun.which(name) ?? []);
    python = candidates.find((path) => hasPip(path)) ?? "";
    if (python === "")
      process.stderr.write("\n!! pypi: as processes was NOT TESTED: no python3 with venv and pip 22.3\n");
  });

  test(
    "versions, programs, refusals; nothing is left of failures",
    async () => {
      if (python === "") return;
      await using place = await stand("process", `exec:${python}`);
      const { requests } = place.index;
      await story(place, () => requests.filter((path) => path.includes("hand-2.0.0")).length);
      const folders = readdirSync(join(place.lone.dir, "pypi"), { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && entry.name !== "refs")
        .map(({ name }) => name.replace(/-\d+-[0-9a-f-]{36}$/, ""));
      expect(folders.toSorted()).toEqual(["hand", "hand", "library", "two", "wide"]);
    },
    CASE_MS,
  );
});

function hasPip(python: string): boolean {
  const { stdout } = Bun.spawnSync([python, "-c", "import venv, pip; print(pip.__version__)"]);
  const [major = 0, minor = 0] = stdout.toString().split(".").map(Number);
  return major > 22 || (major === 22 && minor >= 3);
}
