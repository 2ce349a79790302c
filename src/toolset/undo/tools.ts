/** Undo: the answer to every destructive tool. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { output } from "../output.ts";
import { type Tool, tool } from "../tool.ts";
import { redo } from "./restore.ts";
import { step } from "./steps.ts";

const bundle = v.object({ id: v.string(), at: v.string(), tool: v.string(), summary: v.string() });

const undoTool = tool({
  name: "docker_undo",
  category: "undo",
  title: "Undo",
  description:
    "Makes again what a destructive tool has removed, from the recovery bundle that it has left: containers with their settings and changed files, volumes with their files, networks, images, services, created servers. Without an id it lists the bundles.",
  level: "moderate",
  time: "long",
  input: v.strictObject({
    id: v.optional(v.pipe(v.string(), v.maxLength(64), v.description("undo of a destructive tool's result"))),
  }),
  output: output({ bundles: v.optional(v.array(bundle)), restored: v.array(v.string()), remarks: v.array(v.string()) }),
  example: {},
  async handle({ id }, call) {
    if (id === undefined) {
      const bundles = (await call.recovery.list()).map(({ id: one, at, tool: by, summary }) => ({
        id: one,
        at,
        tool: by,
        summary,
      }));
      return { bundles, restored: [], remarks: [] };
    }
    const found = await call.recovery.open(id);
    const parsed = v.safeParse(v.array(step), found.steps);
    if (!parsed.success) throw new Fault("unsupported", `the bundle ${id} was made by another version of Linkspan`);
    const restored: string[] = [];
    const remarks: string[] = [];
    for (const [index, one] of parsed.output.entries()) {
      const name = one.kind === "image" ? (one.tags[0] ?? one.id) : one.name;
      call.report({ text: `${one.kind} ${name}`, current: index + 1, total: parsed.output.length });
      try {
        const remark = await redo(one, call.recovery.folderOf(id), call);
        if (remark) remarks.push(remark);
      } catch (error) {
        const fault = Fault.from(error);
        // What is back is not made twice when this is called again.
        await call.recovery.shorten(id, found.steps.slice(index));
        const done = restored.length > 0 ? `; ${restored.join(", ")} is back` : "";
        throw new Fault(fault.kind, `${one.kind} ${name}: ${fault.message}${done}`, {
          ...(fault.hint ? { hint: fault.hint } : {}),
          cause: error,
        });
      }
      restored.push(`${one.kind} ${name}`);
    }
    await call.recovery.remove(id);
    return { restored, remarks };
  },
  text: ({ bundles, restored, remarks }) => {
    if (!bundles) return [`Back again: ${restored.join(", ")}`, ...remarks].join("\n");
    return (
      bundles.map(({ id, at, tool: by, summary }) => `${id}  ${at}  ${by}: ${summary}`).join("\n") ||
      "There is nothing to undo."
    );
  },
});

export const UNDO_TOOLS: readonly Tool[] = [undoTool];
