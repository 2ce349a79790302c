import { expect, test } from "bun:test";
import { Fault } from "../../src/base/fault.ts";
import { mergeSettings, readArguments } from "../../src/manager/settings.ts";

function refused(argv: string[], env: Record<string, string> = {}): string {
  try {
    readArguments(argv, env);
  } catch (error) {
    if (error instanceof Fault && error.kind === "usage") return `${error.message} | ${error.hint}`;
    throw error;
  }
  throw new Error("it was taken");
}

test("nothing said: REST on 8080, TCP on 8081, both on loopback, Docker", () => {
  const asked = readArguments([], {});
  expect(asked).toEqual({
    help: false,
    config: undefined,
    dataDir: undefined,
    background: false,
    stdinExit: false,
    idleExitMs: 0,
    settings: {},
  });
  expect(mergeSettings(asked.settings, {})).toEqual({
    host: "127.0.0.1",
    port: 8080,
    tcpPort: 8081,
    allowHosts: [],
    runtime: "auto",
    pythonImage: "python:3.13-slim",
    allowWeaker: false,
    stopServersOnExit: false,
    cleanupInterval: 300_000,
    maxAge: 3_600_000,
    budget: { wait: 25_000 },
    oauth: undefined,
    limits: { concurrent: 256 },
    webSocket: false,
    logLevel: "info",
    logFormat: "text",
  });
});

test("every option, in both spellings", () => {
  const argv = "--host 0.0.0.0 --port=0 --tcp-port 9001 --allow-host linkspan --allow-host=box.lan --config c.yaml";
  const more =
    "--data-dir d --runtime process --allow-weaker --stop-servers-on-exit --idle-exit 1.5 --stdin-exit --background-child";
  const logs = "--log-level debug --log-format json";
  const cleanup = "--cleanup-interval 0 --max-age=1.5";
  expect(readArguments(`${argv} ${more} ${cleanup} ${logs}`.split(" "), {})).toEqual({
    help: false,
    config: "c.yaml",
    dataDir: "d",
    background: true,
    stdinExit: true,
    idleExitMs: 1_500,
    settings: {
      host: "0.0.0.0",
      port: 0,
      tcpPort: 9001,
      allowHosts: ["linkspan", "box.lan"],
      runtime: "process",
      allowWeaker: true,
      stopServersOnExit: true,
      cleanupInterval: 0,
      maxAge: 1_500,
      logLevel: "debug",
      logFormat: "json",
    },
  });
  expect(readArguments(["-h"], {}).help).toBe(true);
  expect(readArguments(["--allow-weaker=false"], {}).settings.allowWeaker).toBe(false);
});

test("options win over variables, variables over the file", () => {
  const env = {
    LINKSPAN_PORT: "1",
    LINKSPAN_TCP_PORT: "2",
    LINKSPAN_ALLOW_HOST: "a,b",
    LINKSPAN_STOP_SERVERS_ON_EXIT: "1",
  };
  const { settings } = readArguments(["--port", "9", "--allow-host", "c"], { ...env, LINKSPAN_HOST: "" });
  expect(mergeSettings(settings, { port: 5, tcpPort: 6, host: "::1", stopServersOnExit: false })).toMatchObject({
    port: 9,
    tcpPort: 2,
    host: "::1",
    allowHosts: ["c"],
    stopServersOnExit: true,
  });
});

test("the variables of the cleanup have a second name; the first one wins", () => {
  const env = { MCP_CLEANUP_INTERVAL: "60", MCP_MAX_AGE: "120", LINKSPAN_MAX_AGE: "180" };
  expect(readArguments([], env).settings).toEqual({ cleanupInterval: 60_000, maxAge: 180_000 });
  expect(readArguments(["--max-age", "1"], env).settings.maxAge).toBe(1_000);
});

test("whoever chooses processes by name accepts that they isolate nothing, unless they say otherwise", () => {
  expect(mergeSettings({ runtime: "process" }, {}).allowWeaker).toBe(true);
  expect(mergeSettings({ runtime: "process", allowWeaker: false }, {}).allowWeaker).toBe(false);
  expect(mergeSettings({}, { runtime: "docker" }).allowWeaker).toBe(false);
});

test.each([
  [["--prot", "1"], {}, "linkspan serve knows no --prot | Did you mean --port?"],
  [["files"], {}, "linkspan serve knows no files"],
  [["--port"], {}, "--port needs a value"],
  [["--port", "http"], {}, '--port: expected a number, not "http"'],
  [["--port", "-1"], {}, '--port: expected a number, not "-1"'],
  [["--port", "65536"], {}, "--port: expected <=65535, not 65536"],
  [["--port", "80.5"], {}, "--port: expected an integer"],
  [["--runtime", "lxc"], {}, '--runtime: expected ("auto" | "docker" | "process"), not "lxc"'],
  [["--allow-host", "a b"], {}, "--allow-host: expected"],
  [["--allow-weaker=maybe"], {}, '--allow-weaker: expected true or false, not "maybe"'],
  [["--log-level", "loud"], {}, "--log-level: expected"],
  [[], { MCP_MAX_AGE: "1h" }, 'MCP_MAX_AGE: expected a number, not "1h"'],
  [["--max-age", "40000000"], {}, "--max-age: expected <=31536000000"],
  [[], { LINKSPAN_PORT: "x" }, 'LINKSPAN_PORT: expected a number, not "x"'],
  [[], { LINKSPAN_ALLOW_WEAKER: "x" }, 'LINKSPAN_ALLOW_WEAKER: expected true or false, not "x"'],
])("%j %j is refused", (argv, env, message) => {
  expect(refused(argv, env)).toStartWith(message);
});
