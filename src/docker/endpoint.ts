/**
 * Where the engine is, from the environment, as Docker's own client reads it: DOCKER_HOST (or DOCKER_BASE_URL, the name that
 * the Python mcp-docker uses), TLS from DOCKER_TLS_* or DOCKER_CERT_PATH, else the sockets that engines make by default.
 */
import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Fault } from "../base/fault.ts";

export interface Tls {
  ca: string | undefined;
  cert: string | undefined;
  key: string | undefined;
}

export type Endpoint =
  | { kind: "socket"; path: string }
  | { kind: "tcp"; host: string; port: number; tls: Tls | undefined }
  | {
      kind: "ssh";
      host: string;
      /** Absent: as ssh's configuration says. */
      port: number | undefined;
      user: string | undefined;
      /** The engine's, on the other machine; absent: where `docker` finds it there. */
      socket: string | undefined;
    };

export type Environment = Readonly<Record<string, string | undefined>>;

/** The endpoint that the environment names, else the first default socket that exists, else the standard one. */
export function findEndpoint(env: Environment): Endpoint {
  const named = env["DOCKER_HOST"] || env["DOCKER_BASE_URL"];
  if (named) return parseEndpoint(named, env);
  const sockets = defaultSockets(env);
  return { kind: "socket", path: sockets.find((path) => existsSync(path)) ?? sockets[0] ?? "/var/run/docker.sock" };
}

/** `unix://`, `npipe://`, `tcp://`, `http(s)://`, `ssh://`, or a bare absolute path. Throws `usage` for anything else. */
export function parseEndpoint(text: string, env: Environment): Endpoint {
  if (text.startsWith("/")) return { kind: "socket", path: text };
  if (text.startsWith("unix://")) return { kind: "socket", path: text.slice("unix://".length) };
  if (text.startsWith("npipe://")) return { kind: "socket", path: text.slice("npipe://".length) };
  let url: URL;
  try {
    url = new URL(/^[a-z]+:\/\//.test(text) ? text : `tcp://${text}`);
  } catch (cause) {
    return badEndpoint(text, cause);
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (host === "") return badEndpoint(text);
  switch (url.protocol) {
    case "ssh:":
      return sshEndpoint(url, host) ?? badEndpoint(text);
    case "tcp:":
    case "http:":
    case "https:": {
      const secure = url.protocol === "https:" || isOn(env["DOCKER_TLS_VERIFY"]) || url.port === "2376";
      const port = Number(url.port || (secure ? 2376 : 2375));
      return { kind: "tcp", host, port, tls: secure ? readTls(env) : undefined };
    }
    default:
      return badEndpoint(text);
  }
}

/** None of it can be an option of ssh, or mean anything to a shell; a password would be seen in the list of processes. */
function sshEndpoint({ username, password, port, pathname }: URL, host: string): Endpoint | undefined {
  const user = decodeURIComponent(username) || undefined;
  const socket = /^\/?$/.test(pathname) ? undefined : pathname;
  if (password !== "" || !/^[A-Za-z0-9_][A-Za-z0-9_.:-]*$|^::/.test(host)) return undefined;
  if (user !== undefined && !/^[A-Za-z0-9_][A-Za-z0-9_.@\\-]*$/.test(user)) return undefined;
  if (socket !== undefined && !/^(\/[A-Za-z0-9_.-]+)+$/.test(socket)) return undefined;
  return { kind: "ssh", host, port: port === "" ? undefined : Number(port), user, socket };
}

/** As it is shown to people: no credentials in it. */
export function formatEndpoint(endpoint: Endpoint): string {
  if (endpoint.kind === "socket") return endpoint.path;
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  const port = endpoint.port === undefined ? "" : `:${endpoint.port}`;
  return `${endpoint.kind === "ssh" ? "ssh" : endpoint.tls ? "https" : "tcp"}://${host}${port}`;
}

/** Whether the engine shares this machine's files and loopback, as far as the endpoint tells. */
export function isLocal(endpoint: Endpoint): boolean {
  if (endpoint.kind === "socket") return true;
  return endpoint.kind === "tcp" && /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(endpoint.host);
}

/**
 * Missing and forbidden are told apart before the first call: the HTTP layer reports both as a failed connection.
 * Nothing is thrown for endpoints that cannot be looked at from here.
 */
export function checkEndpoint(endpoint: Endpoint): void {
  if (endpoint.kind !== "socket" || process.platform === "win32") return;
  try {
    statSync(endpoint.path);
    accessSync(endpoint.path, constants.R_OK | constants.W_OK);
  } catch (cause) {
    throw socketFault(endpoint.path, errorCode(cause), cause);
  }
}

export function socketFault(path: string, code: string | undefined, cause: unknown): Fault {
  if (code === "EACCES" || code === "EPERM") {
    return new Fault("forbidden", `no permission to use the container engine at ${path}`, {
      hint: "add yourself to the socket's group (usually: sudo usermod -aG docker $USER) and log in again, or point DOCKER_HOST to an engine of your own",
      cause,
    });
  }
  return new Fault("unreachable", `no container engine answers at ${path}`, { hint: START_HINT, cause });
}

export const START_HINT =
  "start Docker (Linux: sudo systemctl start docker; macOS, Windows: Docker Desktop), or set DOCKER_HOST to the engine's address";

export function errorCode(thrown: unknown): string | undefined {
  if (typeof thrown !== "object" || thrown === null || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}

function defaultSockets(env: Environment): string[] {
  if (process.platform === "win32") return ["//./pipe/docker_engine"];
  const home = homedir();
  const sockets = [
    "/var/run/docker.sock",
    join(home, ".docker/run/docker.sock"),
    join(home, ".docker/desktop/docker.sock"),
  ];
  const runtimeDir = env["XDG_RUNTIME_DIR"] ?? `/run/user/${process.getuid?.() ?? 0}`;
  return [
    ...sockets,
    join(runtimeDir, "docker.sock"),
    join(runtimeDir, "podman/podman.sock"),
    "/run/podman/podman.sock",
  ];
}

function readTls(env: Environment): Tls {
  const folder = env["DOCKER_CERT_PATH"];
  const read = (variable: string, name: string): string | undefined => {
    const path = env[variable] ?? (folder ? join(folder, name) : undefined);
    if (path === undefined) return undefined;
    try {
      return readFileSync(path, "utf8");
    } catch (cause) {
      throw new Fault("usage", `cannot read the TLS file ${path}`, {
        hint: `check ${variable} and DOCKER_CERT_PATH`,
        cause,
      });
    }
  };
  return {
    ca: read("DOCKER_TLS_CA_CERT", "ca.pem"),
    cert: read("DOCKER_TLS_CLIENT_CERT", "cert.pem"),
    key: read("DOCKER_TLS_CLIENT_KEY", "key.pem"),
  };
}

function isOn(text: string | undefined): boolean {
  return text !== undefined && text !== "" && text !== "0" && text.toLowerCase() !== "false";
}

function badEndpoint(text: string, cause?: unknown): never {
  throw new Fault("usage", `DOCKER_HOST is not an engine's address: ${text.replace(/\/\/[^/@]*@/, "//…@")}`, {
    hint: "use unix:///var/run/docker.sock, tcp://HOST:2376 or ssh://USER@HOST",
    cause,
  });
}
