/**
 * A machine behind SSH: an sshd of its own on loopback, with keys made here, before the engine that tests use. Whoever gets its
 * `path` first in PATH runs the system's `ssh` with a configuration of this test's; nobody's own is touched. Its hosts are
 * `engine`, which is right, and ones that are not: `stranger`, `changed` (keys of hosts), `nobody` (a user's key), `elsewhere`.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./until.ts";

const TOOLS = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`;
const START_MS = 20_000;
const INSTALL_MS = 60_000;

export interface SshHost extends AsyncDisposable {
  /** For PATH, before everything else. */
  path: string;
  /** How often somebody has logged in. */
  logins(): Promise<number>;
  /** Connections that are there now. */
  open(): number;
}

/** Why this machine cannot have one; undefined if it can. */
export async function sshProblem(): Promise<string | undefined> {
  if (process.env.LINKSPAN_TEST_ENGINE === "none") return "LINKSPAN_TEST_ENGINE=none";
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "an sshd needs root on Linux";
  const missing = ["unshare", "mount", "ssh", "ssh-keygen", "docker"].filter(
    (name) => !Bun.which(name, { PATH: TOOLS }),
  );
  if (missing.length > 0) return `${missing.join(", ")} not found`;
  return sshd() || (Bun.which("apt-get") && Bun.which("dpkg")) ? undefined : "no sshd, and none can be unpacked";
}

function sshd(): string | null {
  return Bun.which("sshd", { PATH: TOOLS });
}

/** Faults where it does not start. */
export async function startSshHost(): Promise<SshHost> {
  const folder = mkdtempSync(join(tmpdir(), "linkspan-test-ssh-"));
  const at = (name: string) => join(folder, name);
  const program = sshd() ?? (await unpacked(folder));
  for (const name of ["host", "other", "user", "foreign"])
    await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at(name)]);
  copyFileSync(at("user.pub"), at("authorized"));
  const port = await freePort();
  const closed = await freePort();
  await Bun.write(at("config"), configOf(at, port, closed));
  for (const [name, key] of [
    ["known", "host"],
    ["changed", "other"],
  ] as const) {
    const [type, text] = (await Bun.file(at(`${key}.pub`)).text()).split(" ");
    await Bun.write(at(name), `[127.0.0.1]:${port} ${type} ${text}\n`);
  }
  await Bun.write(at("unknown"), "");
  mkdirSync(at("bin"));
  await Bun.write(at("bin/ssh"), `#!/bin/sh\nexec ${Bun.which("ssh")} -F ${at("config")} "$@"\n`);
  await run(["chmod", "755", at("bin/ssh")]);
  const { child, log } = await startSshd(program, at, port);
  const end = async () => {
    child.kill("SIGTERM");
    await child.exited;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await until(
      "the start of sshd",
      () => {
        if (child.exitCode !== null) throw new Error("sshd ended");
        return answers(port);
      },
      START_MS,
    );
  } catch (error) {
    const said = await log.text().catch(() => "");
    await end();
    throw new Error(`${String(error)}; it said: ${said.slice(-1_000)}`);
  }
  return {
    path: at("bin"),
    logins: async () => (await log.text()).match(/Accepted publickey/g)?.length ?? 0,
    open: () => childrenOf(child.pid).length,
    [Symbol.asyncDispose]: end,
  };
}

function configOf(at: (name: string) => string, port: number, closed: number): string {
  const host = (name: string, known: string, key: string, to = port) => `
Host ${name}
  HostName 127.0.0.1
  Port ${to}
  User root
  IdentityFile ${at(key)}
  UserKnownHostsFile ${at(known)}`;
  return `${[
    host("engine", "known", "user"),
    host("stranger", "unknown", "user"),
    host("changed", "changed", "user"),
    host("nobody", "known", "foreign"),
    host("elsewhere", "known", "user", closed),
  ].join("\n")}
Host *
  IdentitiesOnly yes
  IdentityAgent none
  GlobalKnownHostsFile /dev/null
`;
}

/** Its user and its folder in /run are in mounts of its own, and gone with it. */
async function startSshd(program: string, at: (name: string) => string, port: number) {
  const log = Bun.file(at("sshd.log"));
  const users = await Bun.file("/etc/passwd").text();
  const own = /^sshd:/m.test(users) ? "" : "sshd:x:65500:65534::/run/sshd:/usr/sbin/nologin\n";
  await Bun.write(at("passwd"), users + own);
  mkdirSync(at("run"));
  const furnish = [
    `mount --bind ${at("passwd")} /etc/passwd`,
    `mount --rbind /run ${at("run")}`,
    "mount -t tmpfs tmpfs /run",
    `for one in ${at("run")}/*; do ln -s "$one" /run/; done`,
    "rm -rf /run/sshd",
    "mkdir /run/sshd",
    'exec "$@"',
  ].join(" && ");
  const options = {
    ListenAddress: "127.0.0.1",
    AuthorizedKeysFile: at("authorized"),
    StrictModes: "no",
    UsePAM: "no",
    PidFile: "none",
    PasswordAuthentication: "no",
    KbdInteractiveAuthentication: "no",
    PermitRootLogin: "prohibit-password",
    ...(process.env.DOCKER_HOST ? { SetEnv: `DOCKER_HOST=${process.env.DOCKER_HOST}` } : {}),
  };
  const set = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const command = [program, "-D", "-e", "-f", "/dev/null", "-p", String(port), "-h", at("host"), ...set];
  const child = Bun.spawn(
    ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", "-c", furnish, "sh", ...command],
    { env: { ...process.env, PATH: TOOLS }, stdio: ["ignore", log, log] },
  );
  return { child, log };
}

/** Debian's server without installing it, which would start one for the whole machine. */
async function unpacked(folder: string): Promise<string> {
  const into = join(folder, "package");
  mkdirSync(into, { mode: 0o755 });
  await run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "openssh-server"], into);
  const archive = readdirSync(into).find((name) => name.endsWith(".deb")) ?? "";
  await run(["dpkg", "-x", archive, "."], into);
  const program = join(into, "usr/sbin/sshd");
  if (!existsSync(program)) throw new Error("the package openssh-server has no sshd");
  return program;
}

async function run(command: string[], cwd?: string): Promise<void> {
  const child = Bun.spawn(command, {
    ...(cwd ? { cwd } : {}),
    stdio: ["ignore", "ignore", "pipe"],
    timeout: INSTALL_MS,
  });
  const [said, code] = await Promise.all([child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${command[0]}: ${said.trim()}`);
}

/** One for each connection: setpriv and the shell have become sshd by then. */
function childrenOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
