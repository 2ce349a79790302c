/** The Inspector's page in a browser, with the entry that `linkspan client setup` has written. */
import { afterAll, expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { linkspan, tempDir } from "../support/cli.ts";
import { until } from "../support/until.ts";
import { INSTALL_MS, installInspector } from "./inspector.ts";
import { browserFolder, openBrowser, serveInspector } from "./inspector-page.ts";
import { Stage } from "./stage.ts";

const TOOLS = join(import.meta.dir, "../fixtures/tools-legacy.ts");
const found = await browserFolder();
const isMissing = !found.startsWith("/");

afterAll(() => {
  if (isMissing) process.stderr.write(`\n!! the Inspector's page was SKIPPED: ${found}\n`);
});

test.skipIf(isMissing)(
  "the page connects, lists the tools of all servers and calls one",
  async () => {
    await installInspector();
    await using home = await tempDir("page");
    await mkdir(join(home.path, ".cursor"));
    const config = join(home.path, "linkspan.yaml");
    await Bun.write(config, `servers:\n  tools:\n    image: exec:${process.execPath}\n    args: [${TOOLS}]\n`);
    await using stage = await Stage.open("process", { args: ["--config", config] });
    const env = { HOME: home.path, LINKSPAN_DATA_DIR: stage.dataDir, LINKSPAN_CONFIG: config };
    expect((await linkspan(["client", "setup", "cursor"], { env })).code).toBe(0);
    await using inspector = await serveInspector(join(home.path, ".cursor/mcp.json"), home.path);
    const browser = await openBrowser(found);
    try {
      const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
      page.setDefaultTimeout(30_000);
      await page.goto(inspector.url);
      await page.getByRole("switch", { name: 'Connect or disconnect "linkspan"' }).click({ force: true });
      await page.getByText("Tools", { exact: true }).first().click();
      await page.getByRole("button", { name: "tools__environment" }).click();
      const shown = () => page.locator("body").innerText();
      expect(await shown()).not.toContain("(none)");
      await page.getByRole("button", { name: "Execute Tool" }).click();
      await until("the tool's answer", async () => (await shown()).includes("(none)"), 30_000);
      expect(await shown()).toContain("tools__echo");
    } finally {
      await browser.close();
    }
  },
  INSTALL_MS + 120_000,
);
