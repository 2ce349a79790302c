/**
 * Section 5 (container runtime) of the CIS Docker Benchmark as functions of what the engine says about a container. Pure.
 * Numbers as in versions 1.2 to 1.5; since 1.6, whose 5.1 is about swarm mode, each is one higher.
 */
import * as v from "valibot";
import { CHECKS } from "./cis-checks.ts";

const text = v.optional(v.nullable(v.string()), "");
const flag = v.optional(v.nullable(v.boolean()), false);
const count = v.optional(v.nullable(v.number()), 0);
const words = v.optional(v.nullable(v.array(v.string())), []);

/** API reference, ContainerInspect; beside it what only a running container tells. */
export const runtimeFacts = v.object({
  AppArmorProfile: text,
  Config: v.object({ Image: text }),
  State: v.object({ Health: v.optional(v.nullable(v.object({ Status: text }))) }),
  HostConfig: v.object({
    SecurityOpt: words,
    CapAdd: words,
    Privileged: flag,
    NetworkMode: text,
    Memory: count,
    CpuShares: count,
    NanoCpus: count,
    CpuQuota: count,
    ReadonlyRootfs: flag,
    RestartPolicy: v.optional(v.object({ Name: text, MaximumRetryCount: count }), {}),
    PidMode: text,
    IpcMode: text,
    UTSMode: text,
    UsernsMode: text,
    CgroupParent: text,
    Devices: v.optional(v.nullable(v.array(v.object({ PathOnHost: text }))), []),
    Ulimits: v.optional(v.nullable(v.array(v.object({ Name: text }))), []),
    PidsLimit: count,
  }),
  Mounts: v.optional(
    v.nullable(v.array(v.object({ Type: text, Source: text, Destination: text, RW: flag, Propagation: text }))),
    [],
  ),
  NetworkSettings: v.object({
    Ports: v.optional(
      v.nullable(v.record(v.string(), v.nullable(v.array(v.object({ HostIp: text, HostPort: text }))))),
      {},
    ),
    Networks: v.optional(v.nullable(v.record(v.string(), v.unknown())), {}),
  }),
  /** Command lines inside; undefined where it does not run. */
  processes: v.optional(v.array(v.string())),
  /** What `docker exec` runs now; undefined where it could not be asked. */
  execs: v.optional(v.array(v.object({ privileged: v.boolean(), user: v.string() }))),
});
export type RuntimeFacts = v.InferOutput<typeof runtimeFacts>;

/** `review`: the benchmark leaves it to a person; `unknown`: the engine does not tell. */
export type Verdict = "pass" | "fail" | "review" | "unknown";

export interface AuditItem {
  /** `5.4` */
  number: string;
  title: string;
  verdict: Verdict;
  detail: string;
}

/** One item for each recommendation, in the benchmark's order. */
export function auditRuntime(facts: RuntimeFacts): AuditItem[] {
  return CHECKS.map(({ number, title, check }) => ({ number, title, ...check(facts) }));
}
