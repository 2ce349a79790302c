/** docs/clients.md and the golden files of clients, from their table: `bun test/support/clients-reference.ts` writes them. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { placesOf, type Surroundings } from "../../src/cli/clients/place.ts";
import { printed } from "../../src/cli/clients/setup.ts";
import { type Client, CLIENTS, type Launch, type Platform, PLATFORMS } from "../../src/cli/clients/table.ts";

const ROOT = join(import.meta.dir, "../..");
export const PAGE = join(ROOT, "docs/clients.md");
export const GOLDEN = join(ROOT, "test/golden/clients");

const AROUND: Record<Platform, Surroundings> = {
  linux: { platform: "linux", env: { HOME: "/home/me" }, cwd: "/home/me/work" },
  darwin: { platform: "darwin", env: { HOME: "/Users/me" }, cwd: "/Users/me/work" },
  win32: {
    platform: "win32",
    env: { USERPROFILE: "C:\\Users\\me", APPDATA: "C:\\Users\\me\\AppData\\Roaming" },
    cwd: "C:\\Users\\me\\work",
  },
};
const PROGRAM: Record<Platform, string> = {
  linux: "/usr/local/bin/linkspan",
  darwin: "/usr/local/bin/linkspan",
  win32: "C:\\Program Files\\linkspan\\linkspan.exe",
};
const NAMES: Record<Platform, string> = { linux: "Linux", darwin: "macOS", win32: "Windows" };

function launch(platform: Platform, server?: string, env: Record<string, string> = {}): Launch {
  const args = ["mcp", ...(server ? [server] : [])];
  return { name: server ?? "linkspan", command: PROGRAM[platform], args, env };
}

/** Where a client's files are on each system, and what is written into them. */
export function golden(client: Client): string {
  const systems = PLATFORMS.map((platform) => {
    const around = AROUND[platform];
    return [
      platform,
      {
        user: placesOf(client, "user", around),
        project: placesOf(client, "project", around),
        gateway: printed(client, launch(platform)).split("\n"),
        server: printed(client, launch(platform, "files", { LINKSPAN_DATA_DIR: "/srv/linkspan" })).split("\n"),
      },
    ];
  });
  return `${JSON.stringify(Object.fromEntries(systems), null, 2)}\n`;
}

/** The page with the blocks of all clients in their place. */
export function withClients(page: string): string {
  const blocks = CLIENTS.map(block).join("\n\n");
  return page.replace(/(?<=<!-- clients -->\n\n)[\s\S]*?(?=\n\n<!-- \/clients -->)/, () => blocks);
}

function block(client: Client): string {
  const heading = `### ${client.title}`;
  const commands = [`linkspan client setup ${client.id}`];
  if (client.project) commands.push(`linkspan client setup ${client.id} --project`);
  const entry = `\`\`\`${client.format}\n${printed(client, launch("linux")).trimEnd()}\n\`\`\``;
  const last = `${client.next} [Its documentation](${client.docs}).`;
  return [heading, `\`\`\`sh\n${commands.join("\n")}\n\`\`\``, places(client), entry, last].join("\n\n");
}

function places(client: Client): string {
  const byPlace = Map.groupBy(PLATFORMS, (platform) => client.user[platform].map(shown).join(" or "));
  const user = [...byPlace].map(([place, platforms]) => {
    const where = platforms.length === PLATFORMS.length ? "" : ` (${platforms.map((one) => NAMES[one]).join(", ")})`;
    return `- ${place}${where}`;
  });
  const project = client.project ? [`- ${client.project.map((path) => `\`${path}\``).join(" or ")} in a project`] : [];
  return [...user, ...project].join("\n");
}

/** `${CODEX_HOME:-~/.codex}/config.toml` as people write it. */
function shown(template: string): string {
  const variables = [...template.matchAll(/\$\{(\w+):-/g)].map(([, name = ""]) => name);
  if (variables.includes("APPDATA")) {
    return `\`${template.replace(/^\$\{APPDATA:-[^}]*\}/, "%APPDATA%").replaceAll("/", "\\")}\``;
  }
  let path = template;
  while (path.includes("${")) path = path.replace(/\$\{\w+:-([^${}]*)\}/, "$1");
  const others = variables.filter((name) => name !== "XDG_CONFIG_HOME").map((name) => `\`$${name}\``);
  return `\`${path}\`${others.length > 0 ? ` (${others.join(", ")})` : ""}`;
}

if (import.meta.main) {
  await mkdir(GOLDEN, { recursive: true });
  for (const client of CLIENTS) await Bun.write(join(GOLDEN, `${client.id}.json`), golden(client));
  await Bun.write(PAGE, withClients(await Bun.file(PAGE).text()));
}
