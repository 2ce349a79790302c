/** The manager's line to a real bridge: first contact, secrets, a bridge that hangs, one that dies, one that comes back. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ExitReport } from "../../bridge/wire.ts";
import { Deadline } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { BridgeLink, type LinkOptions } from "../../src/manager/bridge-link.ts";
import { tempDir } from "../support/cli.ts";
import { until } from "../support/until.ts";

const HEALTH = { interval: 300, timeout: 200, startPeriod: 0, retries: 3 };
const MAIN = join(import.meta.dir, "../../src/main.ts");

interface Bench extends AsyncDisposable {
  bridge: Bun.Subprocess;
  link: BridgeLink;
  answered: number;
  missed: string[];
  exits: ExitReport[];
  /** Another bridge at the same place. */
  again(): Promise<void>;
}

async function bench(options: Partial<LinkOptions> = {}, bridgeArgs: string[] = []): Promise<Bench> {
  const folder = await tempDir("bridge-link");
  const portFile = join(folder.path, "port");
  const start = (port: string) => {
    const args = ["bridge", "--listen", `127.0.0.1:${port}`, "--port-file", portFile, ...bridgeArgs, "--", "cat"];
    return Bun.spawn([process.execPath, MAIN, ...args], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  };
  let port = 0;
  const found: Bench = {
    bridge: start("0"),
    link: new BridgeLink(
      {
        addresses: () => [{ kind: "tcp", host: "127.0.0.1", port }],
        token: "",
        secrets: {},
        health: HEALTH,
        leaseMs: () => undefined,
        ...options,
      },
      {
        answered: () => void (found.answered += 1),
        missed: (reason) => void found.missed.push(reason),
        troubled: (reason) => void found.missed.push(reason),
        exit: (report) => void found.exits.push(report),
      },
    ),
    answered: 0,
    missed: [],
    exits: [],
    async again() {
      found.bridge.kill("SIGKILL");
      await found.bridge.exited;
      found.bridge = start(String(port));
    },
    async [Symbol.asyncDispose]() {
      found.link.close();
      found.bridge.kill("SIGKILL");
      await found.bridge.exited;
      await folder[Symbol.asyncDispose]();
    },
  };
  await until("the bridge listens", () => existsSync(portFile));
  port = Number(readFileSync(portFile, "utf8").trim().split(":").at(-1));
  return found;
}

test("asks at the interval; a bridge that hangs is missed within its timeout, and answers again", async () => {
  await using found = await bench();
  expect((await found.link.connect(() => undefined, Deadline.in(5_000))).status).toBe("ok");
  void found.link.watch();
  await until("two probes", () => found.answered >= 2);
  expect(found.missed).toEqual([]);
  found.bridge.kill("SIGSTOP");
  await until("two misses", () => found.missed.length >= 2);
  expect(found.missed[0]).toBe("the bridge does not answer: the health report did not end within 200 ms");
  found.bridge.kill("SIGCONT");
  const before = found.answered;
  await until("it answers", () => found.answered > before);
});

test("a bridge that dies is missed at once, and one in its place is found without a new link", async () => {
  await using found = await bench({ health: { ...HEALTH, interval: 60_000 } });
  await found.link.connect(() => undefined, Deadline.in(5_000));
  void found.link.watch();
  await found.again();
  await until("it is missed", () => found.missed.length > 0);
  await until("the new one answers", () => found.answered > 0);
  // A bridge that is gone is asked about once a second, not in a loop.
  expect(found.missed.length).toBeLessThan(10);
});

test("hands over the secrets to every new bridge before it says that it answers", async () => {
  const await_ = ["--await-configure"];
  await using found = await bench({ secrets: { KEY: "s" } }, await_);
  await found.link.connect(() => undefined, Deadline.in(5_000));
  void found.link.watch();
  await found.again();
  await until("the new one answers", () => found.answered > 0);
});

test("waiting ends when the instance has ended, with its reason, and with the deadline, with the last one", async () => {
  const nobody = { addresses: () => [{ kind: "unix", path: "/nowhere/bridge.sock" } as const] };
  await using found = await bench(nobody);
  const over = new Fault("server-failed", "it ended");
  expect(await found.link.connect(() => over, Deadline.in(5_000)).catch((fault: unknown) => fault)).toBe(over);
  const late = await found.link.connect(() => undefined, Deadline.in(300)).catch((fault: unknown) => Fault.from(fault));
  expect(late).toMatchObject({ kind: "timeout", message: expect.stringContaining("/nowhere/bridge.sock") });
  const cancelled = new AbortController();
  setTimeout(() => cancelled.abort(), 20);
  const deadline = Deadline.in(60_000, cancelled.signal);
  const ended = await found.link.connect(() => undefined, deadline).catch((fault: unknown) => Fault.from(fault));
  expect(ended).toMatchObject({ kind: "cancelled" });
});
