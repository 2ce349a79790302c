/** Created servers in Python, and the create tools beside Docker's over HTTP. */
import { afterAll, expect, test } from "bun:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { listImages, removeImage } from "../../src/docker/images.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv } from "../support/cli.ts";
import {
  byHand,
  containersOf,
  endAll,
  endManager,
  fresh,
  HAND,
  isolated,
  open,
  PYTHON,
  say,
} from "../support/created.ts";
import { debianPython, noDebian } from "../support/debian-image.ts";
import { ENGINE, engine, engineTest } from "../support/engine.ts";
import { until } from "../support/until.ts";

const CASE_MS = 180_000;
const ASK_MS = 100_000;
/** A small package without needs of its own. */
const PACKAGE = { six: ">=1.16,<2" };
/** Says which version of it there is, and whether it reaches anything. */
const WITH_PACKAGE = `import six, socket\ndef online():\n    try:\n        socket.create_connection(("1.1.1.1", 80), 1)\n        return " online"\n    except OSError:\n        return " offline"\n${PYTHON.replace('"hello " +', 'six.__version__ + online() + " " +')}`;

let base = "";
afterAll(async () => {
  await endAll();
  if (!ENGINE || base === "") return;
  const deadline = Deadline.in(30_000);
  for (const label of ["linkspan.code.python", "linkspan.python.lock"])
    for (const { Id } of await listImages(ENGINE, [label], deadline))
      await removeImage(ENGINE, Id, deadline).catch(() => {});
}, 60_000);

engineTest(
  "Python: packages are installed, without network it runs; the same again after a restart; broken ones say why",
  async () => {
    if (noDebian !== undefined) {
      process.stderr.write(`\n!! created Python servers in containers were NOT TESTED: ${noDebian}\n`);
      return;
    }
    base = await debianPython(engine());
    const dataDir = await fresh();
    const env = { LINKSPAN_PYTHON_IMAGE: base };
    let answer: string;
    {
      await using session = await open(dataDir, { env });
      const made = await session.call("create-server-from-template", {
        language: "python",
        code: WITH_PACKAGE,
        dependencies: PACKAGE,
      });
      expect([made.text, made.isError]).toEqual([made.text, undefined]);
      const { serverId } = made.structured;
      answer = (await say(session, serverId)).text;
      expect(answer).toMatch(/^1\.\d+\.\d+ offline you$/);
      await isolated(await containersOf(dataDir));
      await session.call("save-server", { serverId, name: "python" });
      const kept = JSON.parse(await readFile(join(dataDir, "created/saved/python.json"), "utf8")).source;
      expect(kept).toMatchObject({ base, dependencies: { six: answer.split(" ")[0] } });
      expect(kept.lock).toMatch(/^six==\S+ --hash=sha256:[0-9a-f]{64}\n$/);

      const cases: [args: Record<string, unknown>, words: RegExp][] = [
        [{ code: "a = 1\nb = = 2\n" }, /"server\.py", line 2[^]*SyntaxError/],
        [{ code: "\nimport nothing_here\n" }, /"server\.py", line 2[^]*nothing_here/],
        [{ code: "", dependencies: { "linkspan-no-such-package-at-all": "1" } }, /linkspan-no-such-package-at-all==1/],
        [{ code: "", dependencies: { six: "^1" } }, /six \^1 is no requirement/],
      ];
      const answers = cases.map(async ([args, words]) => {
        const broken = { language: "python", dependencies: {}, ...args };
        const { isError, text } = await session.call("create-server-from-template", broken);
        expect([isError, text]).toEqual([true, expect.stringMatching(words)]);
      });
      await Promise.all(answers);
      expect(await containersOf(dataDir)).toHaveLength(1);
    }
    await until("the end of its container", async () => (await containersOf(dataDir)).length === 0, ASK_MS);
    await endManager(dataDir);
    await using session = await open(dataDir, { env });
    const loaded = await session.call("load-saved-server", { name: "python" });
    expect((await say(session, loaded.structured.serverId)).text).toBe(answer);
  },
  CASE_MS,
);

test(
  "the template, as a process",
  async () => {
    const python = ["python3", "/usr/bin/python3"].flatMap((name) => Bun.which(name) ?? []).find(canInstall);
    if (python === undefined) {
      process.stderr.write("\n!! created Python servers as processes were NOT TESTED: no python3 with venv and pip\n");
      return;
    }
    await using session = await open(await fresh(), {
      env: { LINKSPAN_RUNTIME: "process", LINKSPAN_PYTHON_IMAGE: `exec:${python}` },
    });
    const made = await session.call("create-server-from-template", { language: "python" });
    expect(made.text).toContain("greet, add");
    expect(made.text).toContain("WITHOUT isolation");
    const call = { serverId: made.structured.serverId, toolName: "add", args: { a: 1, b: 2 } };
    expect((await session.call("execute-tool", call)).text).toBe("3");
  },
  CASE_MS,
);

engineTest(
  "docker and create together over HTTP: what one makes the other sees, and it ends with the server",
  async () => {
    const dataDir = await fresh();
    const child = Bun.spawn([BINARY, "mcp", "--toolset", "docker,create", "--transport", "http", "--port", "0"], {
      env: cleanEnv({ LINKSPAN_DATA_DIR: dataDir, MCP_JSON_LOGGING: "true" }),
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    const reading = (async () => {
      for await (const chunk of child.stderr) said += Buffer.from(chunk).toString();
    })();
    try {
      const url = new URL(await until("the address", () => /"url":"([^"]+)"/.exec(said)?.[1]));
      const token = (await readFile(join(dataDir, "token"), "utf8")).trim();
      const client = new Client({ name: "linkspan-test", version: "1" });
      const headers = { authorization: `Bearer ${token}` };
      await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
      const names = (await client.listTools()).tools.map(({ name }) => name);
      expect(names).toContain("docker_list_containers");
      expect(names.filter((name) => name === "docker_undo")).toHaveLength(1);
      const call = async (name: string, args: Record<string, unknown>) =>
        (await client.callTool({ name, arguments: args })).structuredContent as Record<string, unknown>;
      const { serverId } = await call("create-server-from-template", {
        ...HAND,
        code: byHand('"hello " + params.arguments.to'),
      });
      const answer = await call("execute-tool", { serverId, toolName: "say", args: { to: "HTTP" } });
      expect(answer).toMatchObject({ content: [{ type: "text", text: "hello HTTP" }] });
      const [id = ""] = await containersOf(dataDir);
      expect(JSON.stringify(await call("docker_list_containers", { all: true }))).toContain(id);
      await client.close();
    } finally {
      child.kill("SIGTERM");
    }
    expect(await child.exited).toBe(0);
    await reading;
    await until("the end of its container", async () => (await containersOf(dataDir)).length === 0, ASK_MS);
  },
  CASE_MS,
);

function canInstall(python: string): boolean {
  const { stdout } = Bun.spawnSync([python, "-c", "import venv, pip; print(pip.__version__)"]);
  const [major = 0, minor = 0] = stdout.toString().split(".").map(Number);
  return major > 22 || (major === 22 && minor >= 3);
}
