/** What all removing tools do: plan, keep what undo needs, remove, tell. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { output } from "../output.ts";
import { type Plan, planned, type ToolCall } from "../tool.ts";
import { protect } from "../undo/keep.ts";
import type { UndoStep } from "../undo/steps.ts";
import type { Target } from "./targets.ts";

export const removal = output({
  removed: v.array(planned),
  /** Of several: what was in use by then, or would not go. */
  skipped: v.array(v.object({ name: v.string(), reason: v.string() })),
  freed_bytes: v.number(),
  undo: v.optional(v.pipe(v.string(), v.description("For docker_undo"))),
});
export type Removal = v.InferOutput<typeof removal>;

export function removalText({ removed, skipped, freed_bytes, undo }: Removal): string {
  const names = removed.map(({ kind, name }) => `${kind} ${name}`).join(", ");
  const left = skipped.map(({ name, reason }) => `${name} stays: ${reason}`);
  return [
    removed.length === 0 ? "Nothing was removed." : `Removed ${names} (${megabytes(freed_bytes)}).`,
    ...left,
    ...(undo === undefined ? [] : [`docker_undo with id ${undo} brings it back.`]),
  ].join("\n");
}

export function planOf(targets: readonly Target[]): Plan {
  const objects = targets.map((target) => target.planned);
  return { summary: summaryOf(targets), objects };
}

function summaryOf(targets: readonly Target[]): string {
  if (targets.length === 0) return "There is nothing to remove.";
  const kinds = Map.groupBy(targets, ({ planned: { kind } }) => kind);
  const parts = [...kinds].map(
    ([kind, list]) => `${list.length} ${kind}${list.length === 1 || kind === "build-cache" ? "" : "s"}`,
  );
  return `Remove ${parts.join(", ")} (${megabytes(bytesOf(targets))}).`;
}

function bytesOf(targets: readonly { planned: { bytes?: number | undefined } }[]): number {
  return targets.reduce((sum, target) => sum + (target.planned.bytes ?? 0), 0);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** Made in this order: what others need comes first. */
const ORDER: readonly UndoStep["kind"][] = ["network", "image", "volume", "container", "service"];

/**
 * Keeps all, then removes one after the other. `strict`: the first that will not go is the call's fault; else it is
 * skipped, as one that came into use since the plan.
 */
export async function removeAll(
  tool: string,
  targets: readonly Target[],
  strict: boolean,
  call: ToolCall,
): Promise<Removal> {
  if (targets.length === 0) return { removed: [], skipped: [], freed_bytes: 0 };
  const undo = await protect(tool, summaryOf(targets), call, async (keeper) => {
    const steps: UndoStep[] = [];
    for (const target of targets) steps.push(...(await target.keep(keeper)));
    return steps.toSorted((left, right) => ORDER.indexOf(left.kind) - ORDER.indexOf(right.kind));
  });
  const removed: Target[] = [];
  const skipped: Removal["skipped"] = [];
  try {
    for (const target of targets) {
      const { name } = target.planned;
      call.report({ text: `removing ${name}`, current: removed.length, total: targets.length });
      try {
        await target.remove(call);
        removed.push(target);
      } catch (error) {
        const fault = Fault.from(error);
        if (strict || (fault.kind !== "conflict" && fault.kind !== "forbidden")) throw error;
        skipped.push({ name, reason: fault.message });
      }
    }
  } finally {
    if (removed.length === 0) await call.recovery.remove(undo);
    else if (removed.length < targets.length)
      await forget(
        undo,
        targets.filter((target) => !removed.includes(target)),
        call,
      );
  }
  const told = removed.map((target) => target.planned);
  return { removed: told, skipped, freed_bytes: bytesOf(removed), ...(removed.length > 0 ? { undo } : {}) };
}

/** What has stayed is not to be made again. */
async function forget(undo: string, stayed: readonly Target[], call: ToolCall): Promise<void> {
  const { steps } = await call.recovery.read(undo);
  const names = new Set(stayed.map(({ planned: { kind, name } }) => `${kind} ${name}`));
  const kept = steps.filter(({ kind, name, tags }) => {
    const [tag] = Array.isArray(tags) ? tags : [];
    return !names.has(`${kind} ${String(name ?? tag)}`);
  });
  await call.recovery.shorten(undo, kept);
}
