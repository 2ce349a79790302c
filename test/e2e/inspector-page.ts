/** The web page of the official Inspector in a headless Chromium of npm; the browser is unpacked into .cache once. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../support/until.ts";
import { PROGRAM } from "./inspector.ts";
import { installed } from "./real-clients.ts";

const PACKAGES = ["@sparticuz/chromium@153.0.0", "playwright-core@1.65.1"];
const STEP_MS = 30_000;

/** As much of playwright-core as is used here. */
interface Locator {
  click(options?: { force?: boolean; timeout?: number }): Promise<void>;
  first(): Locator;
  innerText(): Promise<string>;
}
export interface Page {
  goto(url: string): Promise<unknown>;
  getByRole(role: string, options?: { name?: string | RegExp; exact?: boolean }): Locator;
  getByText(text: string, options?: { exact?: boolean }): Locator;
  locator(selector: string): Locator;
  setDefaultTimeout(ms: number): void;
}
interface Browser {
  newPage(options: object): Promise<Page>;
  close(): Promise<void>;
}

/** The folder of the packages, or the reason why there is no browser here. */
export async function browserFolder(): Promise<string> {
  if (process.platform !== "linux" || process.arch !== "x64") return "the Chromium of npm is for linux-x64 only";
  return installed(PACKAGES);
}

export async function openBrowser(folder: string): Promise<Browser> {
  const unpacked = join(folder, "unpacked");
  await mkdir(unpacked, { recursive: true });
  // It unpacks itself into the folder for temporary files, and only once where that stays.
  const code = `const { default: c } = await import("@sparticuz/chromium");
    console.log(JSON.stringify({ executablePath: await c.executablePath(), args: c.args }));`;
  const env = { ...process.env, TMPDIR: unpacked };
  const child = Bun.spawn([process.execPath, "-e", code], { cwd: folder, env, timeout: STEP_MS });
  const options = JSON.parse(await child.stdout.text());
  const { chromium } = await import(Bun.resolveSync("playwright-core", folder));
  const launcher = chromium as { launch(options: object): Promise<Browser> };
  return launcher.launch({ ...options, headless: true, timeout: STEP_MS });
}

/** The page's server on the servers of a file in the form of `mcpServers`. */
export async function serveInspector(config: string, home: string): Promise<{ url: string } & AsyncDisposable> {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = probe;
  probe.stop(true);
  const child = Bun.spawn([process.execPath, PROGRAM, "--web", "--config", config], {
    env: {
      ...process.env,
      HOME: home,
      MCP_AUTO_OPEN_ENABLED: "false",
      MCP_INSPECTOR_SECRET_STORE: "memory",
      CLIENT_PORT: String(port),
      MCP_SANDBOX_PORT: "0",
      MCP_APP_ORIGIN_PORT: "0",
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
  });
  let words = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) words += decoder.decode(chunk, { stream: true });
  })();
  const address = () => /http:\/\/127\.0\.0\.1:\d+\?MCP_INSPECTOR_API_TOKEN=\w+/.exec(words)?.[0];
  return {
    url: await until("the Inspector's address", address, STEP_MS),
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
      await reading;
    },
  };
}
