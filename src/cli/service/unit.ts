/**
 * The manager as a systemd service (systemd.exec(5), systemd.resource-control(5)). Pure. Every line narrows what a manager
 * that was taken over could do; what it needs stays: the engine's socket, its ports, its data directory.
 *
 * Not here, on purpose: MemoryDenyWriteExecute (a JavaScript engine makes code), ProtectProc (a session ends with its
 * client's process, which may be any user's), PrivateNetwork and PrivateUsers (the engine's socket and addresses).
 */

export type Variant = "system" | "user";

export interface UnitOptions {
  variant: Variant;
  /** The program and its arguments. */
  command: readonly string[];
  /** A group that may use the engine's socket; of a system service, which has a user of its own. */
  group?: string | undefined;
}

export const UNIT_NAME = "linkspan.service";
/** By which a unit is known as ours. */
export const MARKER = "# Made by `linkspan service install`; `linkspan service uninstall` removes it.";

/**
 * Both limits hold for the manager alone: servers are in containers, with limits of their own. 50 servers and 200 sessions
 * take 50 MiB, 10,000 connections some 200 (docs/reliability.md).
 */
const LIMITS = ["MemoryHigh=320M", "MemoryMax=384M", "TasksMax=256", "OOMPolicy=continue"];

/** What works without privileges, and so in a user's service, too. */
const HARDENING = [
  "NoNewPrivileges=yes",
  "LockPersonality=yes",
  "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
  "RestrictNamespaces=yes",
  "RestrictRealtime=yes",
  "RestrictSUIDSGID=yes",
  "SystemCallArchitectures=native",
  "SystemCallFilter=@system-service",
  "SystemCallErrorNumber=EPERM",
  "UMask=0077",
];

/** A user that exists only while the service runs, and sees no more of the machine than it needs. */
const SYSTEM_HARDENING = [
  "DynamicUser=yes",
  "StateDirectory=linkspan",
  "StateDirectoryMode=0700",
  "Environment=LINKSPAN_DATA_DIR=/var/lib/linkspan",
  "CapabilityBoundingSet=",
  "AmbientCapabilities=",
  "ProtectSystem=strict",
  "ProtectHome=read-only",
  "PrivateTmp=yes",
  "PrivateDevices=yes",
  "ProtectClock=yes",
  "ProtectControlGroups=yes",
  "ProtectHostname=yes",
  "ProtectKernelLogs=yes",
  "ProtectKernelModules=yes",
  "ProtectKernelTunables=yes",
  "RemoveIPC=yes",
];

export function unitText({ variant, command, group }: UnitOptions): string {
  const system = variant === "system";
  const lines = [
    MARKER,
    "[Unit]",
    "Description=Linkspan, the manager of MCP servers in containers",
    ...(system ? ["Wants=network-online.target", "After=network-online.target docker.service podman.socket"] : []),
    "StartLimitIntervalSec=60",
    "StartLimitBurst=5",
    "",
    "[Service]",
    "Type=exec",
    `ExecStart=${command.map(quoted).join(" ")}`,
    "Restart=on-failure",
    "RestartSec=2",
    // What is in flight has 5 s, and what is to be removed 15 s more.
    "TimeoutStopSec=30",
    // The servers of the process runtime outlive their manager, as containers do.
    "KillMode=process",
    "",
    ...LIMITS,
    "",
    ...(system ? [...SYSTEM_HARDENING, ...(group ? [`SupplementaryGroups=${group}`] : [])] : []),
    ...HARDENING,
    "",
    "[Install]",
    `WantedBy=${system ? "multi-user.target" : "default.target"}`,
  ];
  return `${lines.join("\n")}\n`;
}

/** One word of a command line, as systemd reads it: `%` and `$` are its own. */
function quoted(word: string): string {
  const escaped = word.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /^[\w./:@=,+%-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}
