/** The bridge as the first process of a namespace, as in a container without an init: what tini is tested for. */
import { expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fixture, TestBridge } from "../support/bridge.ts";
import { tempDir } from "../support/cli.ts";
import { until } from "../support/until.ts";

/** A namespace of processes of its own; its first process is a child of the launcher. */
const UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
const possible = Bun.which("unshare") !== null && Bun.spawnSync([...UNSHARE, "true"]).exitCode === 0;
if (!possible) process.stderr.write("!! tests are SKIPPED: no namespace of processes can be made here\n");

const first = (command: string[], args: string[] = []) => TestBridge.start(command, { launcher: UNSHARE, args });

/** Children of a process with their states, as `ps` has them. */
function childrenOf(pid: number): { pid: number; state: string }[] {
  const listed = Bun.spawnSync(["ps", "-o", "pid=,stat=", "--ppid", String(pid)]).stdout.toString();
  return [...listed.matchAll(/(\d+) (\S)/g)].map(([, child, state = ""]) => ({ pid: Number(child), state }));
}

async function firstProcess(bridge: TestBridge): Promise<number> {
  return await until("the first process", () => childrenOf(bridge.process.pid)[0]?.pid);
}

test.skipIf(!possible)("orphans do not stay zombies, and no end of a server is lost to that", async () => {
  await using folder = await tempDir("orphans");
  const end = join(folder.path, "end");
  await using bridge = await first(fixture("obedient-server.ts"));
  const pid = await firstProcess(bridge);
  const client = await bridge.attach();
  const orphan = `until [ -e ${end} ]; do sleep 0.1; done`;
  for (let id = 0; id < 20; id++) {
    client.request(id, "spawn", { command: ["sh", "-c", `(setsid sh -c '${orphan}' &)`] });
    await client.message();
  }
  const other = await bridge.attach();
  await until("all orphans, and both servers", () => childrenOf(pid).length === 22, 30_000);
  writeFileSync(end, "");
  other.request(1, "exit", { code: 7 });
  expect(await other.message()).toMatchObject({ error: { data: { code: 7 } } });
  // It asks for their ends once a second.
  await until("nobody is left but the first server", () => childrenOf(pid).length === 1, 30_000);
  client.request(99, "exit", { code: 9 });
  expect(await client.message()).toMatchObject({ error: { data: { code: 9 } } });
  // The launcher takes no signal for it.
  process.kill(pid, "SIGTERM");
  expect(await bridge.exited()).toBe(143);
});

test.skipIf(!possible).each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
  ["SIGHUP", 129],
] as const)("%s ends it with %i, with servers that ignore it and daemons that they have left", async (signal, code) => {
  await using bridge = await first(fixture("obedient-server.ts"), ["--stop-ms", "600"]);
  const pid = await firstProcess(bridge);
  const client = await bridge.attach();
  client.request(1, "spawn", { command: ["sh", "-c", "setsid sleep 3600 & exit 0"] });
  await client.message();
  const stubborn = await bridge.attach();
  stubborn.request(1, "spawn", { command: ["sh", "-c", "trap '' TERM HUP INT; sleep 3600"] });
  await stubborn.message();
  const daemon = await until(
    "the daemon",
    () => {
      const children = childrenOf(pid);
      return children.length === 3 && children;
    },
    30_000,
  );
  process.kill(pid, signal);
  expect(await bridge.exited()).toBe(code);
  for (const { pid } of daemon) await until("its end", () => !existsSync(`/proc/${pid}`));
});
