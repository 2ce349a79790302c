/** Every command, in the order of `linkspan --help`. A file is loaded when its command is used, not before. */
import type { CliCommand } from "./command.ts";

export type Group = "Servers" | "Tools" | "Housekeeping" | "Set-up" | "Roles";

export interface Entry {
  name: string;
  aliases?: string[];
  group: Group;
  summary: string;
  load(): Promise<CliCommand>;
}

export const COMMANDS: Entry[] = [
  {
    name: "run",
    group: "Servers",
    summary: "Start a server from an npm package or an image",
    load: async () => (await import("./run.ts")).run,
  },
  {
    name: "start",
    group: "Servers",
    summary: "Start servers that are configured or were run before",
    load: async () => (await import("./start.ts")).start,
  },
  {
    name: "stop",
    group: "Servers",
    summary: "Stop servers",
    load: async () => (await import("./stop.ts")).stop,
  },
  {
    name: "restart",
    group: "Servers",
    summary: "Stop servers and start them again",
    load: async () => (await import("./restart.ts")).restart,
  },
  {
    name: "rm",
    group: "Servers",
    summary: "Stop servers and forget them",
    load: async () => (await import("./rm.ts")).rm,
  },
  {
    name: "ps",
    aliases: ["ls"],
    group: "Servers",
    summary: "List servers",
    load: async () => (await import("./ps.ts")).ps,
  },
  {
    name: "inspect",
    group: "Servers",
    summary: "Show what a server is, how it is locked in, and how it does",
    load: async () => (await import("./inspect.ts")).inspect,
  },
  {
    name: "logs",
    group: "Servers",
    summary: "Show what a server wrote to its stderr",
    load: async () => (await import("./logs.ts")).logs,
  },
  {
    name: "stats",
    group: "Servers",
    summary: "Show memory, CPU and processes of servers",
    load: async () => (await import("./stats.ts")).stats,
  },
  {
    name: "volume",
    group: "Servers",
    summary: "List, back up, restore and remove the volumes of servers",
    load: async () => (await import("./volume.ts")).volume,
  },
  {
    name: "tools",
    group: "Tools",
    summary: "List the tools of a server",
    load: async () => (await import("./tools.ts")).tools,
  },
  {
    name: "call",
    group: "Tools",
    summary: "Call a tool",
    load: async () => (await import("./call.ts")).call,
  },
  {
    name: "approve",
    group: "Tools",
    summary: "Accept tools that have changed since their first use",
    load: async () => (await import("./approve.ts")).approve,
  },
  {
    name: "events",
    group: "Tools",
    summary: "Show what has happened to servers",
    load: async () => (await import("./events.ts")).events,
  },
  {
    name: "status",
    group: "Housekeeping",
    summary: "Show the manager, its servers and sessions, and what is left over",
    load: async () => (await import("./status.ts")).status,
  },
  {
    name: "cleanup",
    group: "Housekeeping",
    summary: "Remove containers and networks that nobody uses",
    load: async () => (await import("./cleanup.ts")).cleanup,
  },
  {
    name: "service",
    group: "Housekeeping",
    summary: "Run the manager as a systemd service",
    load: async () => (await import("./service.ts")).service,
  },
  {
    name: "demo",
    group: "Set-up",
    summary: "See it work: the official filesystem server on a sample folder",
    load: async () => (await import("./demo.ts")).demo,
  },
  {
    name: "doctor",
    group: "Set-up",
    summary: "Check engine, permissions, ports and disk, with a fix for each finding",
    load: async () => (await import("./doctor.ts")).doctor,
  },
  {
    name: "config",
    group: "Set-up",
    summary: "Check a configuration file",
    load: async () => (await import("./config.ts")).config,
  },
  {
    name: "client",
    group: "Set-up",
    summary: "Set up MCP clients (Claude, VS Code, Cursor, …) for Linkspan",
    load: async () => (await import("./client.ts")).client,
  },
  {
    name: "search",
    group: "Set-up",
    summary: "Look for MCP servers in a registry",
    load: async () => (await import("./search.ts")).search,
  },
  {
    name: "add",
    group: "Set-up",
    summary: "Add a server of a registry, or of a server.json, to linkspan.yaml",
    load: async () => (await import("./add.ts")).add,
  },
  {
    name: "import",
    group: "Set-up",
    summary: "Take over the servers of a client's configuration",
    load: async () => (await import("./import.ts")).importCommand,
  },
  {
    name: "token",
    group: "Set-up",
    summary: "Print the token of the REST API; make, list and revoke tokens for MCP clients",
    load: async () => (await import("./token.ts")).token,
  },
  {
    name: "wrap",
    group: "Set-up",
    summary: "Bake the bridge into a copy of an image",
    load: async () => (await import("./wrap.ts")).wrap,
  },
  {
    name: "completion",
    group: "Set-up",
    summary: "Print the completion script for bash, zsh or fish",
    load: async () => (await import("./completion.ts")).completion,
  },
];

/** What src/main.ts answers before any command is loaded. Each prints its own `--help`. */
export const ROLES = [
  { name: "mcp", summary: "The stdio MCP server that a client starts" },
  { name: "serve", summary: "The manager: REST and MCP on port 8080, TCP on port 8081" },
  { name: "bridge", summary: "A server's stdio on a TCP port (runs inside the container)" },
  { name: "health", summary: "Ask a bridge or a manager whether it is well" },
];

/** Answered without a command file: `version` by src/main.ts, `help` by main.ts. */
export const BUILT_IN = [
  { name: "version", summary: "Print version, commit, Bun and target" },
  { name: "help", summary: "Help for a command" },
];

export function findCommand(name: string): Entry | undefined {
  return COMMANDS.find((entry) => entry.name === name || entry.aliases?.includes(name));
}

/** Every word that may come first. */
export function firstWords(): string[] {
  return [
    ...COMMANDS.flatMap((entry) => [entry.name, ...(entry.aliases ?? [])]),
    ...[...ROLES, ...BUILT_IN].map((one) => one.name),
  ];
}
