/** `security_audit`: section 5 of the CIS Docker Benchmark on real containers. */
import * as v from "valibot";
import { type ContainerInfo, inspectContainer, listContainers } from "../../docker/containers.ts";
import { nameOf } from "../containers/common.ts";
import type { ToolCall } from "../tool.ts";
import { type AuditItem, auditRuntime, runtimeFacts } from "./cis.ts";
import { message, type Prompt } from "./prompt.ts";
import { containerArgument, findFor, processesOf, stateText } from "./state.ts";

const CONTAINERS_MAX = 50;
const EXECS_MAX = 20;

export const securityAudit: Prompt = {
  name: "security_audit",
  title: "Audit the security of containers",
  description:
    "Checks a container, or all that run, against section 5 of the CIS Docker Benchmark; each finding has its number.",
  arguments: [{ ...containerArgument, required: false }],
  async body(args, call) {
    const one = args["container_id"] ? await findFor(args, call) : undefined;
    const infos = one ? [one] : await running(call);
    const audits = infos.map(async (info) => [nameOf(info), report(await audit(info, call))] as const);
    const states = one ? ([["State", stateText(one)]] as const) : [];
    return message(
      `Judge the security of ${one ? `the Docker container ${nameOf(one)}` : `these ${infos.length} Docker containers`} by section 5 of the CIS Docker Benchmark (numbers of versions 1.2 to 1.5; since 1.6 each is one higher). For each failed item, by its number: how bad it is here, and the setting that corrects it. Then judge the items marked review. Most serious first.`,
      [...(await Promise.all(audits)), ...states],
    );
  },
};

async function running(call: ToolCall): Promise<ContainerInfo[]> {
  const engine = await call.engine();
  const found = (await listContainers(engine, { status: ["running"] }, call.deadline)).slice(0, CONTAINERS_MAX);
  const infos = await Promise.all(found.map(({ Id }) => inspectContainer(engine, Id, call.deadline)));
  return infos.filter((info) => info !== undefined);
}

async function audit(info: ContainerInfo, call: ToolCall): Promise<AuditItem[]> {
  const processes = await processesOf(info, call).catch(() => undefined);
  return auditRuntime({ ...v.parse(runtimeFacts, info), processes, execs: await execsOf(info, call) });
}

const exec = v.object({
  ProcessConfig: v.object({
    privileged: v.optional(v.nullable(v.boolean()), false),
    user: v.optional(v.nullable(v.string()), ""),
  }),
});

/** What `docker exec` runs in it now. */
async function execsOf(info: ContainerInfo, call: ToolCall): Promise<{ privileged: boolean; user: string }[]> {
  const ids = v.safeParse(v.array(v.string()), info["ExecIDs"]);
  const engine = await call.engine();
  const asked = (ids.success ? ids.output : []).slice(0, EXECS_MAX).map(async (id) => {
    const request = {
      what: "inspecting an exec",
      method: "GET",
      path: `/exec/${encodeURIComponent(id)}/json`,
    } as const;
    // One that has ended meanwhile is none that runs.
    const found = await engine.call(request, exec, call.deadline).catch(() => undefined);
    return found ? [{ privileged: found.ProcessConfig.privileged ?? false, user: found.ProcessConfig.user ?? "" }] : [];
  });
  return (await Promise.all(asked)).flat();
}

function report(items: readonly AuditItem[]): string {
  const line = ({ number, title, verdict, detail }: AuditItem) =>
    `${verdict.toUpperCase().padEnd(7)} ${number.padEnd(4)} ${title}${detail ? `: ${detail}` : ""}`;
  const passed = items.filter(({ verdict }) => verdict === "pass").map(({ number }) => number);
  const others = items.filter(({ verdict }) => verdict !== "pass").map(line);
  return [...others, `PASS    ${passed.join(", ")}`].join("\n");
}
