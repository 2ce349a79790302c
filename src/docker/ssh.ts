/**
 * An engine behind SSH, by the system's own `ssh`: keys, agents, jump hosts and `known_hosts` are as its configuration says, and a
 * host whose key is not known is refused. For the HTTP client there is a socket of ours; each connection to it is a
 * `docker system dial-stdio` on the other machine, as Docker's own client does it.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { errorCode, type Endpoint, START_HINT } from "./endpoint.ts";

type SshEndpoint = Extract<Endpoint, { kind: "ssh" }>;

const CONNECT_S = 10;
/** A connection that others share lives on for so long: a login is some round trips and signatures. */
const PERSIST_S = 30;
const END_MS = 2_000;
/** Kept of what ssh says. */
const SAID_CHARS_MAX = 8_192;

const open = new Map<string, Promise<SshTunnel>>();

export class SshTunnel {
  /** Why the last connection failed; undefined once one has answered. */
  problem: Fault | undefined;

  private constructor(
    /** The socket to dial. */
    readonly path: string,
    private readonly command: readonly string[],
    private readonly host: string,
  ) {}

  /** One for each address and process; it goes with the process. Faults: `unsupported` without `ssh`, `timeout`. */
  static to(endpoint: SshEndpoint, deadline: Deadline): Promise<SshTunnel> {
    const address = JSON.stringify(endpoint);
    const opening = open.get(address) ?? SshTunnel.listen(endpoint);
    open.set(address, opening);
    opening.catch(() => open.delete(address));
    return deadline.race("opening a way through SSH", opening);
  }

  private static async listen(endpoint: SshEndpoint): Promise<SshTunnel> {
    const target = targetOf(endpoint);
    const theirs = await sharesAlready(target);
    const folder = mkdtempSync(join(tmpdir(), "linkspan-ssh-"));
    const shared = theirs || process.platform === "win32" ? undefined : join(folder, "c");
    const path =
      process.platform === "win32" ? `\\\\.\\pipe\\linkspan-ssh-${crypto.randomUUID()}` : join(folder, "engine.sock");
    const tunnel = new SshTunnel(path, commandOf(endpoint, target, shared), endpoint.host);
    const server = createServer((client) => tunnel.carry(client));
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
    server.unref();
    process.once("exit", () => {
      if (shared) spawnSync("ssh", ["-S", shared, "-O", "exit", ...target], { stdio: "ignore", timeout: END_MS });
      rmSync(folder, { recursive: true, force: true });
    });
    return tunnel;
  }

  private carry(client: Socket): void {
    const [program = "ssh", ...args] = this.command;
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], windowsHide: true });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-SAID_CHARS_MAX);
    });
    child.stdout.once("data", () => {
      this.problem = undefined;
    });
    for (const stream of [client, child.stdin, child.stdout]) stream.on("error", () => {});
    client.pipe(child.stdin);
    // The end of the answer is passed on when it is known why: whoever reads it looks at `problem`.
    child.stdout.pipe(client, { end: false });
    client.on("close", () => child.kill());
    child.on("error", (error) => this.over(client, child, error, said));
    child.on("close", (code) => this.over(client, child, code, said));
  }

  private over(client: Socket, child: ChildProcess, end: Error | number | null, said: string): void {
    if (end instanceof Error || (end !== null && end !== 0 && !client.destroyed))
      this.problem = problemOf(end, said.trim(), this.host);
    child.stdin?.destroy();
    client.end();
  }
}

function targetOf({ host, port, user }: SshEndpoint): string[] {
  return [...(port === undefined ? [] : ["-p", String(port)]), ...(user === undefined ? [] : ["-l", user]), "--", host];
}

/** What runs on the other side goes through a shell there: the address was checked for that. */
function commandOf({ socket }: SshEndpoint, target: readonly string[], shared: string | undefined): string[] {
  return [
    "ssh",
    "-T",
    // Nobody is there to answer: what would ask fails, a host that is not known included.
    "-o",
    "BatchMode=yes",
    "-o",
    `ConnectTimeout=${CONNECT_S}`,
    ...(shared ? ["-o", "ControlMaster=auto", "-o", `ControlPersist=${PERSIST_S}`, "-o", `ControlPath=${shared}`] : []),
    ...target,
    "docker",
    ...(socket === undefined ? [] : ["--host", `unix://${socket}`]),
    "system",
    "dial-stdio",
  ];
}

/** Whether somebody's own configuration shares connections: then it is theirs, with whatever they have logged in by. */
function sharesAlready(target: readonly string[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn("ssh", ["-G", ...target], { stdio: ["ignore", "pipe", "ignore"], windowsHide: true });
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    child.on("error", (error) => reject(problemOf(error, "", "")));
    child.on("close", () => resolve(/^controlpath (?!none$)/m.test(said)));
  });
}

const ONCE = "run ssh to that host once by hand";
/** In what ssh, or the program on the other side, says. */
const MEANINGS: { says: RegExp; kind: "unauthenticated" | "forbidden" | "unreachable"; hint: string }[] = [
  {
    says: /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    kind: "unauthenticated",
    hint: "the host has another key than known_hosts says: find out why before you change that",
  },
  {
    says: /Host key verification failed|No .* host key is known/,
    kind: "unauthenticated",
    hint: `the host's key is not known: ${ONCE} and compare it, or put it into known_hosts`,
  },
  {
    says: /trying to connect to the [Dd]ocker/,
    kind: "forbidden",
    hint: "that user may not use the engine there: add it to the group docker on that machine",
  },
  {
    says: /Permission denied|Too many authentication failures/,
    kind: "unauthenticated",
    hint: `nothing is asked for here: use an agent (SSH_AUTH_SOCK) or a key without a passphrase, and ${ONCE}`,
  },
  {
    says: /Cannot connect to the Docker daemon|open the raw stream connection/i,
    kind: "unreachable",
    hint: `on that machine: ${START_HINT}`,
  },
  {
    says: /not found|No such file/,
    kind: "unreachable",
    hint: "the program docker is needed on that machine, where a shell without login finds it",
  },
];

function problemOf(end: Error | number, said: string, host: string): Fault {
  if (end instanceof Error) {
    const absent = errorCode(end) === "ENOENT";
    return new Fault("unsupported", absent ? "there is no program ssh here" : `ssh cannot be run: ${end.message}`, {
      hint: "install OpenSSH's client, or reach the engine over TCP with TLS",
      cause: end,
    });
  }
  const meaning = MEANINGS.find(({ says }) => says.test(said));
  const why = said.split("\n").at(-1)?.trim() || `ssh ended with ${end}`;
  return new Fault(
    meaning?.kind ?? "unreachable",
    `the container engine behind ssh://${host} cannot be reached: ${why}`,
    {
      hint: meaning?.hint ?? `see whether ssh ${host} docker version works`,
    },
  );
}
