/**
 * MCP clients, as data: where each keeps its servers, in what form, how to see that it is there, and the page that says so.
 * A place begins with `~/` (home), `${VARIABLE:-instead}`, or, in a project, with nothing. Of several, the first that
 * exists is meant, else the first.
 */
import type { Data } from "../edit/editor.ts";

export const PLATFORMS = ["linux", "darwin", "win32"] as const;
export type Platform = (typeof PLATFORMS)[number];

export interface Launch {
  /** The entry's name. */
  name: string;
  command: string;
  args: string[];
  env: Record<string, string>;
}

export interface Client {
  id: string;
  title: string;
  format: "json" | "toml" | "yaml";
  /** The keys that lead to its servers. */
  keys: string[];
  /** The same in files of a newer version, when they have them. */
  newerKeys?: string[];
  /** Its servers are a list whose items have a name. */
  list?: true;
  user: Record<Platform, string[]>;
  project?: string[];
  /** What a file needs besides, when there is none yet. */
  fresh?: string;
  entry(launch: Launch): Data;
  /** It is there when one of these is, or the folder of its file. */
  signs?: string[];
  programs: string[];
  docs: string;
  /** What its user does next. */
  next: string;
}

const everywhere = (...places: string[]): Client["user"] => ({ linux: places, darwin: places, win32: places });
const inConfig = (path: string) => `\${XDG_CONFIG_HOME:-~/.config}/${path}`;
const inSupport = (path: string) => `~/Library/Application Support/${path}`;
const inRoaming = (path: string) => `\${APPDATA:-~/AppData/Roaming}/${path}`;

const env = (launch: Launch, key = "env") => (Object.keys(launch.env).length > 0 ? { [key]: launch.env } : {});
const plain = (launch: Launch): Data => ({ command: launch.command, args: launch.args, ...env(launch) });
const typed = (launch: Launch): Data => ({ type: "stdio", ...plain(launch) });

const CLINE = "${CLINE_MCP_SETTINGS_PATH:-${CLINE_DATA_DIR:-~/.cline/data}/settings/cline_mcp_settings.json}";
/** Where its extension for VS Code had them before it shared them with the command line. */
const CLINE_BEFORE = "Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json";
const CONTINUE = "name: Linkspan\nversion: 0.0.1\nschema: v1\n";

export const CLIENTS: Client[] = [
  {
    id: "claude-desktop",
    title: "Claude Desktop",
    format: "json",
    keys: ["mcpServers"],
    user: {
      linux: [inConfig("Claude/claude_desktop_config.json")],
      darwin: [inSupport("Claude/claude_desktop_config.json")],
      win32: [inRoaming("Claude/claude_desktop_config.json")],
    },
    entry: plain,
    programs: ["claude-desktop"],
    docs: "https://modelcontextprotocol.io/docs/develop/connect-local-servers",
    next: "Quit Claude Desktop and start it again.",
  },
  {
    id: "claude-code",
    title: "Claude Code",
    format: "json",
    keys: ["mcpServers"],
    user: everywhere("${CLAUDE_CONFIG_DIR:-~}/.claude.json"),
    project: [".mcp.json"],
    entry: typed,
    signs: ["${CLAUDE_CONFIG_DIR:-~}/.claude.json", "${CLAUDE_CONFIG_DIR:-~/.claude}"],
    programs: ["claude"],
    docs: "https://code.claude.com/docs/en/mcp",
    next: "claude mcp list shows it; a session that runs takes it with /mcp.",
  },
  {
    id: "vscode",
    title: "VS Code",
    format: "json",
    keys: ["servers"],
    user: {
      linux: [inConfig("Code/User/mcp.json")],
      darwin: [inSupport("Code/User/mcp.json")],
      win32: [inRoaming("Code/User/mcp.json")],
    },
    project: [".vscode/mcp.json"],
    entry: typed,
    programs: ["code"],
    docs: "https://code.visualstudio.com/docs/agents/reference/mcp-configuration",
    next: "MCP: List Servers in the command palette shows and starts it.",
  },
  {
    id: "cursor",
    title: "Cursor",
    format: "json",
    keys: ["mcpServers"],
    user: everywhere("~/.cursor/mcp.json"),
    project: [".cursor/mcp.json"],
    entry: plain,
    programs: ["cursor"],
    docs: "https://cursor.com/docs/mcp",
    next: "Switch it on in Cursor's settings for MCP, if it is off there.",
  },
  {
    id: "windsurf",
    title: "Windsurf",
    format: "json",
    keys: ["mcpServers"],
    user: everywhere("~/.codeium/windsurf/mcp_config.json"),
    entry: plain,
    programs: ["windsurf"],
    docs: "https://docs.windsurf.com/windsurf/cascade/mcp",
    next: "Refresh the MCP servers of Cascade.",
  },
  {
    id: "zed",
    title: "Zed",
    format: "json",
    keys: ["context_servers"],
    user: {
      linux: [inConfig("zed/settings.json")],
      darwin: ["~/.config/zed/settings.json"],
      win32: [inRoaming("Zed/settings.json")],
    },
    project: [".zed/settings.json"],
    entry: plain,
    programs: ["zed", "zeditor"],
    docs: "https://zed.dev/docs/ai/mcp",
    next: "The settings of the Agent Panel show it with a green dot.",
  },
  {
    id: "gemini",
    title: "Gemini CLI",
    format: "json",
    keys: ["mcpServers"],
    user: everywhere("~/.gemini/settings.json"),
    project: [".gemini/settings.json"],
    entry: plain,
    programs: ["gemini"],
    docs: "https://geminicli.com/docs/tools/mcp-server/",
    next: "gemini mcp list shows it, in a folder that Gemini CLI trusts.",
  },
  {
    id: "codex",
    title: "Codex",
    format: "toml",
    keys: ["mcp_servers"],
    user: everywhere("${CODEX_HOME:-~/.codex}/config.toml"),
    project: [".codex/config.toml"],
    entry: plain,
    programs: ["codex"],
    docs: "https://developers.openai.com/codex/mcp",
    next: "codex mcp list shows it. A project's file counts only where Codex trusts the project.",
  },
  {
    id: "goose",
    title: "Goose",
    format: "yaml",
    keys: ["extensions"],
    user: {
      linux: [inConfig("goose/config.yaml")],
      darwin: ["~/.config/goose/config.yaml"],
      win32: [inRoaming("Block/goose/config/config.yaml")],
    },
    entry: (launch) => ({
      name: launch.name,
      type: "stdio",
      enabled: true,
      cmd: launch.command,
      args: launch.args,
      timeout: 300,
      ...env(launch, "envs"),
    }),
    programs: ["goose"],
    docs: "https://block.github.io/goose/docs/guides/config-files",
    next: "Start a new session of Goose.",
  },
  {
    id: "continue",
    title: "Continue",
    format: "yaml",
    keys: ["mcpServers"],
    list: true,
    user: everywhere("~/.continue/config.yaml"),
    project: [".continue/mcpServers/linkspan.yaml"],
    fresh: CONTINUE,
    entry: plain,
    programs: ["cn"],
    docs: "https://docs.continue.dev/customize/deep-dives/mcp",
    next: "Continue uses MCP servers in agent mode.",
  },
  {
    id: "cline",
    title: "Cline",
    format: "json",
    keys: ["mcpServers"],
    user: {
      linux: [CLINE, inConfig(CLINE_BEFORE)],
      darwin: [CLINE, inSupport(CLINE_BEFORE)],
      win32: [CLINE, inRoaming(CLINE_BEFORE)],
    },
    entry: plain,
    signs: ["~/.cline"],
    programs: ["cline"],
    docs: "https://docs.cline.bot/mcp/mcp-overview",
    next: "cline config mcp lists it; in editors, MCP Servers shows it.",
  },
  {
    id: "lmstudio",
    title: "LM Studio",
    format: "json",
    keys: ["mcpServers"],
    user: everywhere("~/.lmstudio/mcp.json"),
    entry: plain,
    programs: ["lms"],
    docs: "https://lmstudio.ai/docs/app/mcp",
    next: "Program, Install, Edit mcp.json shows it.",
  },
  {
    id: "opencode",
    title: "opencode",
    format: "json",
    keys: ["mcp"],
    newerKeys: ["mcp", "servers"],
    user: everywhere(inConfig("opencode/opencode.json"), inConfig("opencode/opencode.jsonc")),
    project: ["opencode.json", "opencode.jsonc"],
    entry: (launch) => ({
      type: "local",
      command: [launch.command, ...launch.args],
      ...env(launch, "environment"),
    }),
    programs: ["opencode"],
    docs: "https://opencode.ai/docs/mcp-servers",
    next: "opencode mcp list shows it.",
  },
];
