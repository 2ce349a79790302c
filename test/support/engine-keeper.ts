/**
 * Runs a dockerd until its stdin ends, then removes everything of it. The runner holds the other end of that pipe, so a
 * killed runner leaves nothing. Should this process be killed too, the kernel kills dockerd and all of its containers
 * (a parent-death signal and a process namespace); folders of earlier runs like that are removed at the next start.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline, sleep } from "../../src/base/deadline.ts";
import { Engine } from "../../src/docker/engine.ts";

const PREFIX = "linkspan-test-engine-";
const START_MS = 50_000;
const STOP_MS = 15_000;
const OWNER = "owner.pid";

removeStale();
const before = interfaces();
const [forwarding] = /^-P FORWARD \w+/m.exec(await quietly(["iptables", "-S"])) ?? [];
const folder = mkdtempSync(join(tmpdir(), PREFIX));
writeFileSync(join(folder, OWNER), String(process.pid));
const socket = join(folder, "docker.sock");
const log = Bun.file(join(folder, "dockerd.log"));

const dockerd = ["dockerd", "--data-root", join(folder, "data"), "--exec-root", join(folder, "exec")];
const own = ["-p", join(folder, "dockerd.pid"), "-H", `unix://${socket}`];
const namespaces = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
const child = Bun.spawn(["setpriv", "--pdeathsig", "KILL", ...namespaces, ...dockerd, ...own], {
  stdin: "ignore",
  stdout: log,
  stderr: log,
});

const stop = new AbortController();
void ended().then(() => stop.abort());
process.on("SIGTERM", () => stop.abort());
process.on("SIGINT", () => stop.abort());

try {
  const started = await start(Deadline.in(START_MS, stop.signal));
  process.stdout.write(`${started}\n`);
  await Promise.race([child.exited, new Promise((resolve) => stop.signal.addEventListener("abort", resolve))]);
} finally {
  await end();
}
process.exit(0);

/** The socket's address once the engine answers, else why it does not, as one line. */
async function start(deadline: Deadline): Promise<string> {
  while (!deadline.passed && child.exitCode === null) {
    try {
      await Engine.connect({ kind: "socket", path: socket }, deadline.within(2_000));
      return `unix://${socket}`;
    } catch {
      await sleep(100, stop.signal).catch(() => {});
    }
  }
  const said = await log.text().catch(() => "");
  return said.trim().split("\n").slice(-3).join(" | ").slice(-600) || "no reason given";
}

async function ended(): Promise<void> {
  for await (const _ of Bun.stdin.stream());
}

async function end(): Promise<void> {
  // To dockerd itself, not to unshare, which would not pass it on: dockerd stops its containers first.
  const inside = Number(readdirSync("/proc").find((pid) => isDockerd(pid)) ?? 0);
  if (inside > 0) process.kill(inside, "SIGTERM");
  const inTime = await Promise.race([child.exited.then(() => true), sleep(STOP_MS).then(() => false)]);
  if (!inTime) child.kill("SIGKILL");
  await child.exited;
  await undoNetwork();
  rmSync(folder, { recursive: true, force: true });
}

function isDockerd(pid: string): boolean {
  try {
    return (
      /^\d+$/.test(pid) &&
      readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0] === "dockerd" &&
      readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(folder)
    );
  } catch {
    return false;
  }
}

/** What a dockerd leaves in the network namespace; there is no other engine whose it could be (private-engine.ts). */
async function undoNetwork(): Promise<void> {
  const mine = interfaces().filter((name) => name === "docker0" || /^(br-[0-9a-f]{12}|veth[0-9a-f]{7})$/.test(name));
  for (const name of mine.filter((each) => !before.includes(each))) await quietly(["ip", "link", "delete", name]);
  if (forwarding) await quietly(["iptables", ...forwarding.split(" ")]);
  for (const table of ["filter", "nat"]) {
    const rules = await quietly(["iptables", "-t", table, "-S"]);
    const made = rules.split("\n").filter((rule) => /^-A .*(DOCKER|docker0|br-[0-9a-f]{12})/.test(rule));
    for (const rule of made) await quietly(["iptables", "-t", table, ...rule.replace(/^-A/, "-D").split(" ")]);
    for (const [, chain = ""] of rules.matchAll(/^-N (DOCKER\S*)$/gm)) {
      await quietly(["iptables", "-t", table, "-F", chain]);
      await quietly(["iptables", "-t", table, "-X", chain]);
    }
  }
}

function interfaces(): string[] {
  const lines = readFileSync("/proc/self/net/dev", "utf8").split("\n");
  return lines.map((line) => line.slice(0, line.indexOf(":")).trim()).filter(Boolean);
}

async function quietly(command: string[]): Promise<string> {
  try {
    return await Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "ignore" }).stdout.text();
  } catch {
    return "";
  }
}

function removeStale(): void {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    try {
      process.kill(Number(readFileSync(join(tmpdir(), name, OWNER), "utf8")), 0);
    } catch {
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    }
  }
}
