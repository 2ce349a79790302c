/** What an engine says of itself, and what that means for a spec. */
import type { Engine, EngineInfo } from "../../docker/engine.ts";
import type { ServerSpec } from "../../model/server-spec.ts";
import { execProgram } from "../exec-ref.ts";
import type { Facts, Gap } from "../runtime.ts";

export function factsOf(engine: Engine, info: EngineInfo, direct: boolean): Facts {
  // A rootless engine without delegated cgroups has the driver `none` and takes every limit without a word.
  const none = info.CgroupDriver === "none";
  const enforced = {
    "limits.memory": info.MemoryLimit && !none,
    "limits.memory (swap)": info.SwapLimit && !none,
    "limits.cpus": info.CpuCfsQuota && !none,
    "limits.pids": info.PidsLimit && !none,
    seccomp: (info.SecurityOptions ?? []).some((option) => option.startsWith("name=seccomp")),
  };
  return {
    version: engine.version,
    api: engine.api,
    os: engine.os,
    arch: engine.arch,
    direct,
    warnings: [...(info.Warnings ?? []), ...warningsOf(engine, direct)],
    unenforced: Object.entries(enforced).flatMap(([field, does]) => (does ? [] : [field])),
  };
}

/** Not gaps of a spec: what it says holds, but with less behind it. */
function warningsOf(engine: Engine, direct: boolean): string[] {
  const warnings: string[] = [];
  if (!direct) {
    warnings.push(
      "container addresses cannot be dialled from here: bridges are published on loopback, and the network none is not internal but has no way back",
    );
  }
  if (engine.isPodman) {
    warnings.push(
      "Podman does not keep containers of one network apart: neighbours reach a bridge, and need its token",
    );
  }
  return warnings;
}

/** Pure. Fields that the engine would drop or weaken without saying so. */
export function checkSpec(spec: ServerSpec, facts: Facts): Gap[] {
  const gaps: Gap[] = [];
  const hint = "docker info shows what the engine's kernel lacks";
  for (const field of facts.unenforced ?? []) {
    gaps.push({ field, severity: "weaker", message: `the engine does not enforce ${field}`, hint });
  }
  if (execProgram(spec.image) !== undefined) {
    gaps.push({
      field: "image",
      severity: "impossible",
      message: "exec: is a program of this machine, not an image",
      hint: "use an image, npm:PACKAGE or pypi:PACKAGE, or run it as a process: --runtime process",
    });
  }
  if (facts.os !== "linux") {
    gaps.push({
      field: "image",
      severity: "impossible",
      message: `the engine runs ${facts.os} containers`,
      hint: "switch it to Linux containers",
    });
  } else if (facts.arch !== "x64" && facts.arch !== "arm64") {
    gaps.push({
      field: "image",
      severity: "impossible",
      message: `there is no bridge for ${facts.arch}`,
      hint: "use an x86-64 or arm64 engine",
    });
  }
  return gaps;
}
