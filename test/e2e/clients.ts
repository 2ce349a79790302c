/** Real clients through the compiled front to real servers; the same tests for every runtime. */
import { afterAll, beforeAll, expect } from "bun:test";
import { realpath } from "node:fs/promises";
import { tempDir } from "../support/cli.ts";
import { until } from "../support/until.ts";
import { converse } from "./everything.ts";
import { browse, fillFolder } from "./filesystem.ts";
import { converseLegacy, converseModern } from "./generations.ts";
import { INSTALL_MS, inspect, installInspector } from "./inspector.ts";
import { Stage, type StageRuntime } from "./stage.ts";

export const EVERYTHING = "npm:@modelcontextprotocol/server-everything@2026.8.31";
const FILESYSTEM = "npm:@modelcontextprotocol/server-filesystem@2026.8.31";
/** The first use of a package installs it, and in a container makes its image. */
const FIRST_MS = 180_000;

export interface Subject {
  runtime: StageRuntime;
  test: (name: string, body: () => Promise<void>, timeoutMs?: number) => void;
  /** A body that runs test/fixtures/modern-server.ts. */
  modern(): Promise<Record<string, unknown>>;
}

export function testClients({ runtime, test, modern }: Subject): void {
  let opened: Promise<Stage> | undefined;
  /** Opened by the first test that runs: where there is no engine, none does. */
  const stage = () => (opened ??= Stage.open(runtime));
  const started = new Map<string, Promise<void>>();
  const server = async (name: string, body: () => Promise<Record<string, unknown>>): Promise<Stage> => {
    const at = await stage();
    if (!started.has(name))
      started.set(
        name,
        body().then((spec) => at.start(name, spec)),
      );
    await started.get(name);
    return at;
  };
  const everything = () => server("everything", async () => ({ image: EVERYTHING }));
  let folder: Awaited<ReturnType<typeof tempDir>>;
  beforeAll(async () => {
    folder = await tempDir("files");
    await fillFolder(folder.path);
  });
  afterAll(async () => {
    await (await opened)?.[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  }, 60_000);

  test(
    "SDK 1.x: tools, prompts, resources, progress, cancellation, sampling, elicitation, roots, logging",
    async () => {
      await converse((await everything()).front("everything"));
    },
    FIRST_MS,
  );

  test(
    "SDK 1.x: the filesystem server on a real folder",
    async () => {
      const path = await realpath(folder.path);
      const body = { image: FILESYSTEM, args: [path], volumes: [{ source: path, target: path }] };
      const at = await server("files", async () => body);
      await browse(at.front("files"), path);
    },
    FIRST_MS,
  );

  test(
    "SDK 1.x: a package named directly runs under a name of its own",
    async () => {
      await converse((await stage()).front(EVERYTHING));
    },
    FIRST_MS,
  );

  test(
    "SDK 2.x: finds the older era by itself",
    async () => {
      await converseLegacy((await everything()).front("everything"));
    },
    FIRST_MS,
  );

  test(
    "SDK 2.x: the era of 2026-07-28, questions of the server included",
    async () => {
      await converseModern((await server("modern", modern)).front("modern"));
    },
    FIRST_MS,
  );

  test(
    "MCP Inspector's command line lists, calls and reads",
    async () => {
      const front = (await everything()).front("everything");
      await installInspector();
      const { tools } = (await inspect(front, "tools/list")) as { tools: { name: string }[] };
      expect(tools.map(({ name }) => name)).toContain("get-sum");
      const sum = await inspect(front, "tools/call", "--tool-name", "get-sum", "--tool-arg", "a=2", "b=3");
      expect(JSON.stringify(sum)).toContain("5");
      expect(await inspect(front, "resources/list")).toHaveProperty("resources");
      const prompt = await inspect(front, "prompts/get", "--prompt-name", "args-prompt", "--prompt-args", "city=Ulm");
      expect(JSON.stringify(prompt)).toContain("Ulm");
    },
    FIRST_MS + INSTALL_MS,
  );

  test("all sessions are given back", async () => {
    const at = await stage();
    await until("no session is left", async () => (await at.sessions()).length === 0);
  }, 20_000);
}
