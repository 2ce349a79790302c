/** Created servers: real clients, the built binary, a manager that it starts itself; on the engine and as processes. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { listImages, removeImage } from "../../src/docker/images.ts";
import {
  byHand,
  containersOf,
  endAll,
  endManager,
  fresh,
  HAND,
  isolated,
  open,
  processesOf,
  say,
} from "../support/created.ts";
import { ENGINE, engineTest } from "../support/engine.ts";
import { CREATE_PROOFS, expectWorked, refusals } from "../support/proofs.ts";
import type { ToolsetClient } from "../support/toolset-client.ts";
import { until } from "../support/until.ts";

const CASE_MS = 120_000;
const ASK_MS = 100_000;
/** Waited for while others are tested. */
let silent: { dataDir: string; session: ToolsetClient; answer: ReturnType<ToolsetClient["call"]> };
beforeAll(async () => {
  const dataDir = await fresh();
  const session = await open(dataDir, { env: { LINKSPAN_RUNTIME: "process" } });
  const code = "setInterval(() => {}, 1_000);";
  silent = { dataDir, session, answer: session.call("create-server-from-template", { ...HAND, code }) };
});

afterAll(async () => {
  await endAll();
  if (!ENGINE) return;
  const deadline = Deadline.in(30_000);
  for (const { Id } of await listImages(ENGINE, ["linkspan.code"], deadline)) {
    // Another run's may be in use.
    await removeImage(ENGINE, Id, deadline).catch(() => {});
  }
}, 60_000);

const add = (session: ToolsetClient, serverId: unknown, args: Record<string, unknown> = { a: 1, b: 2 }) =>
  session.call("execute-tool", { serverId, toolName: "add", args });

engineTest(
  "a client of either era makes a template, saves it, and has it again after everything was restarted",
  async () => {
    const life = async (era: "legacy" | "modern") => {
      const dataDir = await fresh();
      const language = era === "legacy" ? "typescript" : "javascript";
      let before: Record<string, unknown>;
      {
        await using session = await open(dataDir, { era });
        const made = await session.call("create-server-from-template", { language });
        expect(made.text).toContain("greet, add");
        expect(made.structured).toMatchObject({ language, running: true, isolation: "docker" });
        const { serverId } = made.structured;
        expect((await add(session, serverId)).text).toBe("3");
        const wrong = await add(session, serverId, { a: 1, b: "two" });
        expect(wrong).toMatchObject({ isError: true, structured: { kind: "invalid" } });
        expect(wrong.text).toContain("b: ");
        before = (await session.call("get-server-tools", { serverId })).structured;
        expect(before).toMatchObject({ total: 2, tools: [{ name: "greet" }, { name: "add" }] });
        await isolated(await containersOf(dataDir));
        await session.call("save-server", { serverId, name: "adder", description: "adds" });
        expect((await session.call("list-saved-servers")).structured).toMatchObject({
          total: 1,
          servers: [
            { name: "adder", language, description: "adds", dependencies: { "@modelcontextprotocol/server": "2.4.0" } },
          ],
        });
      }
      // Its client is gone, so it is gone.
      await until("the end of its container", async () => (await containersOf(dataDir)).length === 0, ASK_MS);
      await endManager(dataDir);
      await using session = await open(dataDir, { era });
      expect((await session.call("list-servers")).structured).toMatchObject({ total: 0 });
      const loaded = await session.call("load-saved-server", { name: "adder" });
      expect(loaded.structured).toMatchObject({ savedAs: "adder", running: true });
      expect((await session.call("get-server-tools", { serverId: loaded.structured.serverId })).structured).toEqual(
        before,
      );
      expect((await add(session, loaded.structured.serverId)).text).toBe("3");
    };
    await Promise.all([life("legacy"), life("modern")]);
  },
  CASE_MS,
);

engineTest(
  "own code with a package, without network; changed, kept when the change is broken, deleted",
  async () => {
    const dataDir = await fresh();
    await using session = await open(dataDir);
    const online = `(await fetch("http://1.1.1.1", { signal: AbortSignal.timeout(2_000) }).then(() => "online", () => "offline"))`;
    const made = await session.call("create-server-from-template", {
      language: "typescript",
      code: `import ms from "ms";\n${byHand(`ms(60_000) + " " + ${online}`)}`,
      dependencies: { ms: "^2.1.0" },
    });
    const { serverId } = made.structured;
    expect((await say(session, serverId)).text).toBe("1m offline");
    const extra = await say(session, serverId, { to: "you", too: 1 });
    expect(extra.text).toContain("too: the tool has no such argument");

    const changed = await session.call("update-server", { serverId, code: byHand(`"hello " + params.arguments.to`) });
    expect(changed.structured).toMatchObject({ serverId, running: true });
    expect((await say(session, serverId)).text).toBe("hello you");
    const broken = await session.call("update-server", { serverId, code: "let a: number = 1;\nlet b = ;\n" });
    expect(broken).toMatchObject({ isError: true, structured: { kind: "server-failed" } });
    expect(broken.text).toContain("server.ts:2:");
    expect(broken.text).toContain("The server serves on as it was.");
    expect((await say(session, serverId)).text).toBe("hello you");
    expect(await containersOf(dataDir)).toHaveLength(1);

    const asked = await session.call("delete-server", { serverId });
    expect(asked).toMatchObject({ isError: true, structured: { kind: "confirmation-required" } });
    const { confirmation_token } = asked.structured;
    const deleted = await session.call("delete-server", { serverId, confirmation_token });
    expect(deleted.structured).toMatchObject({ serverId, source: { language: "typescript" } });
    expect(await containersOf(dataDir)).toEqual([]);
    expect(await say(session, serverId)).toMatchObject({ isError: true, structured: { kind: "not-found" } });
    const undone = await session.call("docker_undo", { id: deleted.structured.undo });
    expect(undone.structured).toMatchObject({ restored: [`created-server ${serverId}`] });
    expect((await say(session, serverId)).text).toBe("hello you");
  },
  CASE_MS,
);

engineTest(
  "broken ones answer with what is wrong, and leave nothing running",
  async () => {
    const dataDir = await fresh();
    await using session = await open(dataDir);
    const cases: [string, Record<string, unknown>, RegExp][] = [
      ["does not compile", { ...HAND, code: "const a = 1;\n\nconst = 2;\n" }, /server\.ts:3:/],
      [
        "throws",
        { ...HAND, language: "javascript", code: "\n\nthrow new Error('no luck');" },
        /no luck[^]*server\.js:3/,
      ],
      ["ends", { ...HAND, code: "process.exit(3)" }, /exit code 3/],
      ["lacks a package", { ...HAND, code: 'import "left-pad";' }, /left-pad/],
      [
        "wants a package that does not exist",
        { ...HAND, code: "", dependencies: { "linkspan-no-such-package-at-all": "1" } },
        /linkspan-no-such-package-at-all/,
      ],
    ];
    const answers = cases.map(async ([name, args, words]) => {
      const answer = await session.call("create-server-from-template", args);
      expect(answer.isError, name).toBe(true);
      expect(answer.text, name).toMatch(words);
    });
    await Promise.all(answers);
    expect(await containersOf(dataDir)).toEqual([]);
    expect((await session.call("list-servers")).structured).toMatchObject({ total: 0 });
  },
  CASE_MS,
);

test(
  "on the process runtime: said so, made again after a restart, with the versions it was saved with",
  async () => {
    const dataDir = await fresh();
    const env = { LINKSPAN_RUNTIME: "process" };
    {
      await using session = await open(dataDir, { env });
      const made = await session.call("create-server-from-template", {
        language: "typescript",
        code: `import ms from "ms";\n${byHand("ms(1_000)")}`,
        dependencies: { ms: "2.1" },
      });
      expect(made.text).toContain("WITHOUT isolation");
      const { serverId } = made.structured;
      expect((await say(session, serverId)).text).toBe("1s");
      await session.call("save-server", { serverId, name: "second" });
      const file = join(dataDir, "created", "saved", "second.json");
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      expect((await stat(join(dataDir, "created"))).mode & 0o777).toBe(0o700);
      const kept = JSON.parse(await readFile(file, "utf8"));
      expect(kept.source.dependencies.ms).toMatch(/^2\.1\.\d+$/);
      expect(kept.source.lock).toContain("sha512-");
    }
    await until("the end of its process", async () => (await processesOf(dataDir)).length === 0, ASK_MS);
    await endManager(dataDir);
    await using session = await open(dataDir, { env });
    const loaded = await session.call("load-saved-server", { name: "second" });
    expect((await say(session, loaded.structured.serverId)).text).toBe("1s");
    const asked = await session.call("delete-saved-server", { name: "second" });
    const { confirmation_token } = asked.structured;
    const deleted = await session.call("delete-saved-server", { name: "second", confirmation_token });
    expect(deleted.isError).toBeUndefined();
    expect(await session.call("load-saved-server", { name: "second" })).toMatchObject({
      isError: true,
      structured: { kind: "not-found" },
    });
    const undone = await session.call("docker_undo", { id: deleted.structured.undo });
    expect(undone.structured).toMatchObject({ restored: ["saved-server second"] });
    expect((await session.call("list-saved-servers")).structured).toMatchObject({ total: 1 });
  },
  CASE_MS,
);

test(
  "a server that ends in a call says why, and the next call starts it again",
  async () => {
    const dataDir = await fresh();
    await using session = await open(dataDir, { env: { LINKSPAN_RUNTIME: "process" } });
    const code = byHand(
      `params.arguments.to === "death" ? (console.error("as you wish"), process.exit(7)) : String(process.pid)`,
    );
    const { serverId } = (await session.call("create-server-from-template", { ...HAND, code })).structured;
    const first = await say(session, serverId);
    const died = await say(session, serverId, { to: "death" });
    expect(died.isError).toBe(true);
    expect(died.text).toContain("as you wish");
    const second = await say(session, serverId);
    expect(second.isError).toBeUndefined();
    expect(second.text).not.toBe(first.text);
  },
  CASE_MS,
);

test("a server that says nothing is ended, and its author told", async () => {
  await using _ = silent.session;
  const answer = await silent.answer;
  expect(answer).toMatchObject({ isError: true, structured: { kind: "server-failed" } });
  expect(answer.text).toContain("did not answer initialize within 15 s");
  expect(await processesOf(silent.dataDir)).toEqual([]);
}, 60_000);

test("refused: by level, by input, what is not there", async () => {
  const dataDir = await fresh();
  await using careful = await open(dataDir, {
    env: { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "false", SAFETY_ALLOW_MODERATE_OPERATIONS: "false" },
  });
  const { tools } = await careful.client.listTools();
  expect(tools.map(({ name }) => name)).toEqual(["get-server-tools", "list-servers", "list-saved-servers"]);
  for (const [name, args] of [
    ["create-server-from-template", { language: "typescript" }],
    ["delete-server", { serverId: "x" }],
    ["delete-saved-server", { name: "x" }],
    ["execute-tool", { serverId: "x", toolName: "y" }],
  ] as const) {
    expect(await careful.call(name, args)).toMatchObject({ isError: true, structured: { kind: "forbidden" } });
  }
  await using session = await open(dataDir);
  for (const [name, args, words] of [
    ["create-server-from-template", { language: "perl" }, "language"],
    ["create-server-from-template", { language: "javascript", dependencies: { "../x": "1" } }, "name of a package"],
    ["create-server-from-template", { language: "javascript", dependencies: { x: "file:/etc" } }, "expected a version"],
    ["create-server-from-template", { language: "javascript", image: "alpine" }, "image"],
    ["update-server", { serverId: "x" }, "expected code or dependencies"],
    ["save-server", { serverId: "x", name: "../../x" }, "name"],
    ["load-saved-server", { name: "../x" }, "name"],
  ] as const) {
    const refused = await session.call(name, args);
    expect(refused, name).toMatchObject({ isError: true, structured: { kind: "invalid" } });
    expect(refused.text, name).toContain(words);
  }
  for (const [name, args] of [
    ["update-server", { serverId: "x", code: "" }],
    ["execute-tool", { serverId: "x", toolName: "y" }],
    ["get-server-tools", { serverId: "x" }],
    ["delete-server", { serverId: "x" }],
    ["save-server", { serverId: "x" }],
    ["load-saved-server", { name: "x" }],
    ["delete-saved-server", { name: "x" }],
  ] as const) {
    expect(await session.call(name, args), name).toMatchObject({ isError: true, structured: { kind: "not-found" } });
  }
});

test("what is not there, and what is refused", async () => {
  await using session = await open(await fresh(), { env: { LINKSPAN_RUNTIME: "process" } });
  await refusals(session, CREATE_PROOFS);
});

engineTest("the tools that are shown here have worked", async () => expectWorked(import.meta.path));
