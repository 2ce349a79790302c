/**
 * A container engine that is there to be killed and started again: in a network, mounts and processes of its own, so that
 * it can run beside another dockerd. The program that uses it runs inside with it; nothing of either outlives its caller.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { Engine } from "../../src/docker/engine.ts";

const TOOLS = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`;
const ANSWER_MS = 30_000;
const POLL_MS = 20;

/** Why this machine cannot have one; undefined if it can. */
export function cageProblem(): string | undefined {
  if (process.env.LINKSPAN_TEST_ENGINE === "none") return "LINKSPAN_TEST_ENGINE=none";
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "it needs root on Linux";
  const missing = ["unshare", "dockerd", "docker-init", "ip", "mount"].filter(
    (name) => !Bun.which(name, { PATH: TOOLS }),
  );
  return missing.length > 0 ? `${missing.join(", ")} not found` : undefined;
}

/** Runs the program in namespaces of its own and resolves with what it prints. It is killed when the time is over. */
export async function runCaged(program: string, args: string[], timeoutMs: number): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "linkspan-test-cage-"));
  const namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
  try {
    const child = Bun.spawn([...namespaces, "docker-init", "--", process.execPath, program, folder, ...args], {
      env: { ...process.env, PATH: TOOLS, DOCKER_HOST: `unix://${join(folder, "docker.sock")}` },
      stdio: ["ignore", "pipe", "inherit"],
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    const [said, code] = await Promise.all([child.stdout.text(), child.exited]);
    if (code === 0) return said;
    const log = await Bun.file(join(folder, "dockerd.log"))
      .text()
      .catch(() => "");
    throw new Error(`${program} ended with ${code}; the engine said: ${log.slice(-1_000)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Inside: the engine. One at a time. */
export class CagedEngine {
  private child: Bun.Subprocess | undefined;

  constructor(
    private readonly folder: string,
    private readonly liveRestore: boolean,
    private readonly more: readonly string[] = [],
  ) {}

  /** Once, before the first start: a network and a folder of containerd that are nobody else's. */
  static async furnish(): Promise<void> {
    for (const command of [
      ["ip", "link", "set", "lo", "up"],
      ["mount", "-t", "tmpfs", "tmpfs", "/run/containerd"],
    ]) {
      const code = await Bun.spawn(command, { stdio: ["ignore", "ignore", "inherit"] }).exited;
      if (code !== 0) throw new Error(`${command.join(" ")}: ${code}`);
    }
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    const log = Bun.file(join(this.folder, "dockerd.log"));
    const own = ["--data-root", join(this.folder, "data"), "--exec-root", join(this.folder, "exec")];
    const socket = join(this.folder, "docker.sock");
    const rest = ["-p", join(this.folder, "dockerd.pid"), "-H", `unix://${socket}`];
    rmSync(join(this.folder, "dockerd.pid"), { force: true });
    const mode = this.liveRestore ? ["--live-restore"] : [];
    this.child = Bun.spawn(["dockerd", ...own, ...rest, ...mode, ...this.more], { stdio: ["ignore", log, log] });
    const deadline = Deadline.in(ANSWER_MS);
    for (;;) {
      try {
        await Engine.connect({ kind: "socket", path: socket }, deadline.within(2_000));
        return;
      } catch (error) {
        if (deadline.passed || this.child.exitCode !== null) throw error;
        await Bun.sleep(POLL_MS);
      }
    }
  }

  /** Resolves when it has ended. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.child?.kill(signal);
    await this.child?.exited;
  }
}
