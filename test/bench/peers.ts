/** Other programs that the benchmark runs beside Linkspan, installed once from npm into .cache/bench. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

const PACKAGES = [
  "supergateway@4.0.0",
  "mcp-proxy@6.7.19",
  "@modelcontextprotocol/server-everything@2026.8.31",
  "@modelcontextprotocol/server-filesystem@2026.8.31",
];

export const PEERS = join(import.meta.dir, "../../.cache/bench");
export const EVERYTHING = join(PEERS, "node_modules/@modelcontextprotocol/server-everything/dist/index.js");
export const MCP_PROXY = join(PEERS, "node_modules/mcp-proxy/dist/bin/mcp-proxy.mjs");
export const SUPERGATEWAY = join(PEERS, "node_modules/supergateway/dist/index.js");

export async function installPeers(): Promise<void> {
  if (await Bun.file(MCP_PROXY).exists()) return;
  await mkdir(PEERS, { recursive: true });
  await Bun.write(join(PEERS, "package.json"), '{"private":true}\n');
  await finished(
    ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", ...PACKAGES],
    PEERS,
  );
}

/** The echo server, compiled as a static executable so that it runs FROM scratch. */
export async function compileEcho(): Promise<string> {
  const out = join(PEERS, "echo");
  await finished(["cc", "-D_GNU_SOURCE", "-O2", "-static", "-o", out, join(import.meta.dir, "echo.c")], PEERS);
  return out;
}

async function finished(command: string[], cwd: string): Promise<void> {
  const child = Bun.spawn(command, { cwd, stdout: "ignore", stderr: "inherit" });
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")} failed`);
}

/** Starts a server program and waits until its port answers (at most 15 s). */
export async function listening(command: string[], port: number, env = process.env): Promise<AsyncDisposable> {
  const child = Bun.spawn(command, { stdout: "ignore", stderr: "ignore", env });
  for (let i = 0; i < 300; i++) {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }).catch(() => undefined);
    if (socket) {
      socket.end();
      return {
        async [Symbol.asyncDispose]() {
          child.kill("SIGTERM");
          const timer = setTimeout(() => child.kill("SIGKILL"), 3_000);
          await child.exited;
          clearTimeout(timer);
        },
      };
    }
    await Bun.sleep(50);
  }
  child.kill("SIGKILL");
  throw new Error(`${command[0]} does not listen on ${port}`);
}
