/** Where the manager keeps its files, and how others find its socket. Reads the file system, opens nothing. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";

type Environment = Record<string, string | undefined>;

/** Names inside the data directory. */
export const DATA_FILE = {
  /** 32 random bytes from which bridge tokens are derived. */
  key: "key",
  /** The bearer token of the REST API. */
  token: "token",
  /** The manager's instance id. */
  instance: "instance",
  socket: "manager.sock",
  /** Beside it: lines of MCP, for fronts of the gateway (docs/wire.md). Not longer, so that it fits where that one does. */
  gateway: "gateway.sock",
  /** Where the socket is instead, when its path inside the data directory would be too long. */
  socketPath: "manager.sock.path",
  /** The process that holds the directory's lock. */
  pid: "manager.pid",
  /** The same process, if it is one that a front has started in the background. */
  background: "manager.background",
  state: "state.db",
  logs: "logs",
  /** Data directories of managers inside fronts. */
  embedded: "embedded",
} as const;

/** sockaddr_un holds 108 bytes on Linux and 104 on macOS; one is the ending NUL. */
export const SOCKET_PATH_BYTES_MAX = 100;

/** `LINKSPAN_DATA_DIR` (alias `MCP_CREATE_DATA_DIR`), else the platform's place for the data of programs. */
export function dataDir(env: Environment = process.env, platform: NodeJS.Platform = process.platform): string {
  const asked = env.LINKSPAN_DATA_DIR || env.MCP_CREATE_DATA_DIR;
  if (asked) return resolve(asked);
  const home = env.HOME || homedir();
  if (platform === "darwin") return join(home, "Library", "Application Support", "linkspan");
  if (platform === "win32") return join(env.LOCALAPPDATA || join(home, "AppData", "Local"), "linkspan");
  // An XDG variable that is not absolute is to be ignored (XDG Base Directory Specification).
  const xdg = env.XDG_DATA_HOME;
  return join(xdg?.startsWith("/") ? xdg : join(home, ".local", "share"), "linkspan");
}

/** The manager's socket, as the manager says in the data directory, else where it will be. */
export function managerSocket(dir: string): string {
  try {
    const elsewhere = readFileSync(join(dir, DATA_FILE.socketPath), "utf8").trim();
    if (elsewhere) return elsewhere;
  } catch {
    // Not written: the socket is in the data directory.
  }
  return join(dir, DATA_FILE.socket);
}

/** The socket for fronts of the gateway, next to the manager's. */
export function gatewaySocket(managerSocketPath: string): string {
  return join(dirname(managerSocketPath), DATA_FILE.gateway);
}
