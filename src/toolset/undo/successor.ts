/** The container that took the place of one that comes back: kept itself, and gone only when the other one is there. */
import { Deadline } from "../../base/deadline.ts";
import { LABELS } from "../../compose/project.ts";
import { at, type ContainerInfo, startContainer } from "../../docker/containers.ts";
import type { ToolCall } from "../tool.ts";
import { protect } from "./keep.ts";
import type { ContainerStep } from "./steps.ts";

const BACK_MS = 30_000;
const ROLE = [LABELS.project, LABELS.service, LABELS.number];

/** Whether it is the same container of the same service of the same project, made anew. */
export function succeeds({ Config }: ContainerInfo, { replaced, config }: ContainerStep): boolean {
  const before = config["Labels"];
  if (!replaced || typeof before !== "object" || before === null) return false;
  return ROLE.every(
    (label) => Config.Labels?.[label] !== undefined && Config.Labels[label] === Reflect.get(before, label),
  );
}

/** Where making the other one fails, it has its place again. */
export async function changePlaces(
  info: ContainerInfo,
  make: () => Promise<string | undefined>,
  call: ToolCall,
): Promise<string> {
  const engine = await call.engine();
  const { Id, State } = info;
  const name = info.Name.replace(/^\//, "");
  const bundle = await protect("docker_undo", `Give the place of ${name} back.`, call, async (keeper) => [
    { ...(await keeper.container(info)), replaced: true },
  ]);
  const act = (what: string, action: string, query: Record<string, string>, deadline: Deadline) =>
    engine.act({ what: `${what} ${name}`, method: "POST", path: at(Id, action), query, patient: true }, deadline);
  await act("stopping", "stop", {}, call.deadline);
  await act("renaming", "rename", { name: `${Id.slice(0, 12)}_${name}` }, call.deadline);
  let remark: string | undefined;
  try {
    remark = await make();
  } catch (error) {
    const back = Deadline.in(BACK_MS);
    await act("renaming", "rename", { name }, back).catch(() => {});
    if (State.Status === "running") await startContainer(engine, Id, back).catch(() => {});
    await call.recovery.remove(bundle);
    throw error;
  }
  // Not its volumes without names: they are the other one's, too.
  await engine.act({ what: `removing the later ${name}`, method: "DELETE", path: at(Id) }, call.deadline);
  return [`The container ${name} that had taken its place is kept in the bundle ${bundle}`, remark]
    .filter((part) => part !== undefined)
    .join("; ");
}
