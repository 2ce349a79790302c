/** Fronts of the gateway: without a manager, with one inside, across its restart, and the TCP port beside them. */
import { expect, test } from "bun:test";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { gatewaySocket, managerSocket } from "../../src/base/data-dir.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv, tempDir } from "../support/cli.ts";
import { until } from "../support/until.ts";
import type { Launch } from "./launch.ts";
import { RawFront } from "./raw-front.ts";
import { speak } from "./speakers.ts";
import { Stage } from "./stage.ts";
import { TcpClient } from "./tcp-client.ts";

const fixture = (name: string) => join(import.meta.dir, "../fixtures", name);
const CONFIG = `
manager: { runtime: process, allowWeaker: true, stopServersOnExit: true }
servers:
  old: { image: "exec:${process.execPath}", args: ["${fixture("tools-legacy.ts")}"] }
  new: { image: "exec:${process.execPath}", args: ["${fixture("tools-modern.ts")}"] }
gateway:
  groups:
    some: { servers: [old] }
`;
const START_MS = 60_000;
const MODERN = {
  _meta: {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "raw", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  },
};

/** A home with a configuration and nothing else. */
async function home(): Promise<{ path: string; data: string; launch(...args: string[]): Launch } & AsyncDisposable> {
  const dir = await tempDir("home");
  await Bun.write(join(dir.path, ".config/linkspan/linkspan.yaml"), CONFIG);
  // Too long for a socket in it.
  const data = join(dir.path, `data-${"x".repeat(100)}`);
  const given = cleanEnv({ HOME: dir.path, LINKSPAN_DATA_DIR: data });
  const env = Object.fromEntries(
    Object.entries(given).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
  const launch = (...args: string[]) => ({ command: BINARY, args: ["mcp", ...args], env });
  return { path: dir.path, data, launch, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() };
}

/** The names of the tools, once all servers have been heard. */
async function tools(front: RawFront, wanted: string[]): Promise<string[]> {
  return await until(
    "the tools",
    async () => {
      const names: string[] = [];
      let cursor: unknown;
      do {
        const { result } = await front.request("tools/list", cursor === undefined ? {} : { cursor });
        const { tools: page = [] } = (result ?? {}) as { tools?: { name: string }[] };
        names.push(...page.map(({ name }) => name));
        cursor = result?.nextCursor;
      } while (cursor !== undefined);
      return wanted.every((name) => names.includes(name)) && names;
    },
    START_MS,
  );
}

test(
  "`linkspan mcp` starts a manager and serves all servers as one, a group those of it",
  async () => {
    await using at = await home();
    await using front = new RawFront(at.launch());
    let manager = 0;
    try {
      expect((await front.initialize(30_000)).result).toMatchObject({ protocolVersion: "2025-11-25" });
      manager = Number(await readFile(join(at.data, "manager.pid"), "utf8"));
      const socket = gatewaySocket(managerSocket(at.data));
      expect(socket.startsWith(at.data)).toBe(false);
      expect((await stat(socket)).mode & 0o777).toBe(0o600);
      await tools(front, ["old__echo", "new__echo"]);
      const echo = await front.call("new__echo", { text: "hello" });
      expect(echo.result).toMatchObject({ content: [{ text: "hello" }] });
      await using group = new RawFront(at.launch("--group", "some"));
      await group.initialize();
      expect((await tools(group, ["old__echo"])).filter((name) => !name.startsWith("old__"))).toEqual([]);
      for (const one of [front, group]) {
        one.endInput();
        expect(await one.ended()).toBe(0);
      }
    } finally {
      if (manager > 0) process.kill(manager, "SIGTERM");
      await until("the end of the manager", () => manager === 0 || !alive(manager));
    }
  },
  START_MS,
);

test(
  "--embedded serves all servers as one, or one that is translated, without another process",
  async () => {
    await using at = await home();
    await using front = new RawFront(at.launch("--embedded"));
    await front.initialize(30_000);
    await tools(front, ["old__echo", "new__echo"]);
    await using one = new RawFront(at.launch("--embedded", "new", "--translate"));
    expect((await one.initialize(30_000)).result).toMatchObject({ serverInfo: { name: "tools-modern" } });
    expect((await one.call("echo", { text: "hi" })).result).toMatchObject({ content: [{ text: "hi" }] });
    expect(await Bun.file(managerSocket(at.data)).exists()).toBe(false);
    for (const each of [front, one]) {
      each.endInput();
      expect(await each.ended()).toBe(0);
    }
  },
  START_MS,
);

test(
  "clients of both eras go on after a restart of the manager; what was in flight gets one error",
  async () => {
    await using at = await home();
    const file = join(at.path, ".config/linkspan/linkspan.yaml");
    await using stage = await Stage.open("process", { args: ["--config", file] });
    await using front = new RawFront(stage.front("old", "--translate"));
    await front.initialize(30_000);
    await using all = new RawFront(stage.front());
    await all.initialize();
    await tools(all, ["old__echo", "new__echo"]);
    await using modern = await speak("modern", stage.front("new", "--translate"));
    await modern.call("echo", { text: "before" });
    const inFlight = front.ask("tools/call", { name: "never" });
    await front.call("echo", { text: "before" });
    await stage.end("SIGKILL");
    const failed = await front.answered(inFlight);
    expect(failed.error?.message).toContain("the connection to the manager has ended");
    const held = front.ask("tools/call", { name: "echo", arguments: { text: "held" } });
    await stage.restart();
    expect((await front.answered(held)).result).toMatchObject({ content: [{ text: "held" }] });
    expect((await all.call("new__echo", { text: "all" })).result).toMatchObject({ content: [{ text: "all" }] });
    expect(await modern.call("echo", { text: "after" })).toContain("after");
    expect(front.messages.filter(({ error }) => error)).toHaveLength(1);
    expect(all.messages.filter(({ error }) => error)).toHaveLength(0);
    // In order this time: nothing is in flight, and nobody notices.
    await stage.end("SIGTERM");
    await stage.restart();
    expect((await front.call("echo", { text: "again" })).result).toMatchObject({ content: [{ text: "again" }] });
    expect(await modern.call("echo", { text: "again" })).toContain("again");
  },
  START_MS,
);

test(
  "the TCP port: all servers, a group, one that is translated; a line too long harms nothing",
  async () => {
    await using at = await home();
    const file = join(at.path, ".config/linkspan/linkspan.yaml");
    await using stage = await Stage.open("process", { args: ["--config", file] });
    const token = await stage.token();
    const open = async (attach: object) => {
      const client = await TcpClient.connect(stage.tcpPort);
      client.send({ link: "attach", token, ...attach });
      return client;
    };
    const answer = (client: TcpClient, id: unknown) =>
      until("the answer", () => client.lines.map((line) => JSON.parse(line)).find((message) => message.id === id));
    using all = await open({ server: "*" });
    all.send({ jsonrpc: "2.0", id: 1, method: "server/discover", params: MODERN });
    expect((await answer(all, 1)).result.supportedVersions).toEqual(["2026-07-28"]);
    using one = await open({ server: "old", translate: true });
    one.send({
      jsonrpc: "2.0",
      id: "a",
      method: "tools/call",
      params: { ...MODERN, name: "echo", arguments: { text: "x" } },
    });
    expect((await answer(one, "a")).result).toMatchObject({ resultType: "complete", content: [{ text: "x" }] });
    const long = `{"jsonrpc":"2.0","id":"long","method":"tools/call","params":{"x":"${"x".repeat(17 * 1024 * 1024)}"}}\n`;
    expect(await one.offer(Buffer.from(long))).toBe(true);
    expect((await answer(one, "long")).error).toMatchObject({ code: -32013, data: { kind: "too-large" } });
    one.send({
      jsonrpc: "2.0",
      id: "b",
      method: "tools/call",
      params: { ...MODERN, name: "echo", arguments: { text: "y" } },
    });
    expect((await answer(one, "b")).result).toMatchObject({ content: [{ text: "y" }] });
    for (const wrong of [{ group: "none" }, { server: "none", translate: true }, { server: "*", token: "wrong" }]) {
      using refused = await open(wrong);
      const line = await until("the refusal", () => refused.lines[0]);
      expect(JSON.parse(line).kind).toBe("token" in wrong ? "unauthenticated" : "not-found");
    }
    // The full wire, as fronts speak it.
    using full = await open({ group: "some", version: 1, session: "s-1" });
    const attached = JSON.parse(await until("attached", () => full.lines[0]));
    expect(attached).toMatchObject({
      link: "attached",
      version: 1,
      session: "s-1",
      resumed: false,
      limits: { resumeMs: 0 },
    });
    full.send({ link: "detach" });
    await until("the end", () => full.ended);
  },
  START_MS,
);

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
