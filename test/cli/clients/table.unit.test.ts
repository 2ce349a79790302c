import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isOurs } from "../../../src/cli/clients/launch.ts";
import { expandPlace, placesOf } from "../../../src/cli/clients/place.ts";
import { CLIENTS } from "../../../src/cli/clients/table.ts";
import { GOLDEN, golden, PAGE, withClients } from "../../support/clients-reference.ts";

const launch = { name: "linkspan", command: "/usr/local/bin/linkspan", args: ["mcp"], env: { LINKSPAN_CONFIG: "/x" } };

test.each(CLIENTS)(
  "$title: places and entry on every system (bun test/support/clients-reference.ts writes them)",
  async (client) => {
    expect(await Bun.file(join(GOLDEN, `${client.id}.json`)).json()).toEqual(JSON.parse(golden(client)));
  },
);

test("there is a golden file for each client and for nothing else", () => {
  expect(readdirSync(GOLDEN).sort()).toEqual(CLIENTS.map(({ id }) => `${id}.json`).sort());
});

test("docs/clients.md has the block of every client (bun test/support/clients-reference.ts writes it)", async () => {
  const page = await Bun.file(PAGE).text();
  expect(withClients(page)).toBe(page);
});

test.each(CLIENTS)("$title: its entry is recognised as ours; its page is named", (client) => {
  expect(isOurs(client.entry(launch))).toBe(true);
  expect(isOurs(client.entry({ ...launch, command: "C:\\Tools\\LINKSPAN.EXE" }))).toBe(true);
  expect(isOurs(client.entry({ ...launch, command: "/usr/bin/linkspan-like" }))).toBe(false);
  expect(isOurs(client.entry({ ...launch, args: ["serve"] }))).toBe(false);
  expect(client.docs).toMatch(/^https:\/\/[a-z.]+\//);
  expect(JSON.stringify(client.entry(launch))).toContain('"LINKSPAN_CONFIG":"/x"');
});

test("variables that are no absolute path are ignored, and a home with special characters is taken as it is", () => {
  const around = {
    platform: "linux" as const,
    env: { HOME: "/home/$&", CODEX_HOME: "elsewhere", XDG_CONFIG_HOME: "/etc/x" },
    cwd: "/w",
  };
  expect(expandPlace("${CODEX_HOME:-~/.codex}/config.toml", around)).toBe("/home/$&/.codex/config.toml");
  expect(expandPlace("${XDG_CONFIG_HOME:-~/.config}/zed/settings.json", around)).toBe("/etc/x/zed/settings.json");
  const cline = (env: Record<string, string>) =>
    expandPlace(CLIENTS.find(({ id }) => id === "cline")?.user.linux[0] ?? "", {
      ...around,
      env: { HOME: "/h", ...env },
    });
  expect(cline({})).toBe("/h/.cline/data/settings/cline_mcp_settings.json");
  expect(cline({ CLINE_DATA_DIR: "/d" })).toBe("/d/settings/cline_mcp_settings.json");
  expect(cline({ CLINE_DATA_DIR: "/d", CLINE_MCP_SETTINGS_PATH: "/m.json" })).toBe("/m.json");
  const windows = { platform: "win32" as const, env: { USERPROFILE: "C:\\Users\\me" }, cwd: "C:\\w" };
  const vscode = CLIENTS.find(({ id }) => id === "vscode");
  expect(vscode && placesOf(vscode, "user", windows)).toEqual([
    "C:\\Users\\me\\AppData\\Roaming\\Code\\User\\mcp.json",
  ]);
});
