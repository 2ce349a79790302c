import { readdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { runtimeContract } from "../contract.ts";

const described = v.object({ folder: v.string(), run: v.object({ bridge: v.object({ pid: v.number() }) }) });

runtimeContract({
  kind: "process",
  async killOutside({ raw }) {
    process.kill(v.parse(described, raw).run.bridge.pid, "SIGKILL");
  },
  async removeOutside({ raw }) {
    await rm(v.parse(described, raw).folder, { recursive: true });
  },
  async leftovers({ instance, dataDir }) {
    return [...processesOf(`linkspan-${instance}-`), ...readdirSync(join(dataDir, "process"))];
  },
});

/** PID and command of every process with the mark of such an instance. */
function processesOf(prefix: string): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      const marked = readFileSync(`/proc/${pid}/environ`, "latin1").includes(`LINKSPAN_PROCESS=${prefix}`);
      return marked ? [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, "latin1")}`] : [];
    } catch {
      return [];
    }
  });
}
