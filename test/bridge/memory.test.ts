/** A server that is killed for memory: the report says so, with the limit. Needs a memory control group of its own. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { readMemoryEvents } from "../../bridge/memory.ts";
import { fixture, TestBridge } from "../support/bridge.ts";
import { until } from "../support/until.ts";

const LIMIT_BYTES = 96 * 1024 * 1024;
const group = makeGroup();

/** A control group with a small limit, as a container has one; undefined where this user may not make one. */
function makeGroup(): string | undefined {
  const name = `linkspan-test-${process.pid}`;
  for (const [root, limit] of [
    ["/sys/fs/cgroup/memory", "memory.limit_in_bytes"],
    ["/sys/fs/cgroup", "memory.max"],
  ] as const) {
    const folder = `${root}/${name}`;
    try {
      mkdirSync(folder);
      if (existsSync(`${folder}/${limit}`)) {
        writeFileSync(`${folder}/${limit}`, String(LIMIT_BYTES));
        return folder;
      }
      rmdirSync(folder);
    } catch {}
  }
  process.stderr.write("!! a test is SKIPPED: no memory control group can be made here\n");
  return undefined;
}

afterAll(() => {
  if (group) rmdirSync(group);
});

test.skipIf(!group)(
  "the end for lack of memory is reported as that, within a second, with the limit",
  async () => {
    const launcher = ["sh", "-c", `echo $$ > ${group}/cgroup.procs; exec "$@"`, "sh"];
    await using bridge = await TestBridge.start(fixture("memory-eater.ts"), { launcher });
    const client = await bridge.attach();
    client.request(1, "eat");
    const died = await client.message(20_000);
    expect(died).toMatchObject({ id: 1, error: { code: -32052, data: { oom: true, kind: "server-failed" } } });
    expect(died.error?.message).toContain("ran out of memory");
    expect(died.error?.message).toContain("the limit is 96 MiB");
    expect(await client.frame("exit")).toMatchObject({ oom: true });
    // The bridge itself lives, and a server that is killed by somebody else is not called out of memory.
    const other = await bridge.attach();
    const started = () => [...bridge.stderr.matchAll(/server process (\d+) started/g)];
    const pid = await until("the second server", () => started().length > 1 && Number(started().at(-1)?.[1]));
    process.kill(pid, "SIGKILL");
    expect(await other.frame("exit")).toMatchObject({ signal: "SIGKILL", oom: false });
  },
  30_000,
);

test("the counter can be read where the system has one", () => {
  const events = readMemoryEvents();
  if (existsSync("/sys/fs/cgroup/memory/memory.oom_control") || existsSync("/sys/fs/cgroup/memory.events")) {
    expect(events?.kills).toBeGreaterThanOrEqual(0);
  } else expect(events === undefined || events.kills >= 0).toBe(true);
});
