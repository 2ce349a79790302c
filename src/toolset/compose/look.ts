/** Tools that only look: at projects, their logs, and files. */
import * as v from "valibot";
import { shownConfig } from "../../compose/config.ts";
import { LABELS } from "../../compose/project.ts";
import { listContainers } from "../../docker/containers.ts";
import { openLogs } from "../../docker/logs.ts";
import { findContainer } from "../containers/common.ts";
import { output, page, paged, paging } from "../output.ts";
import { moment } from "../times.ts";
import { tool, type ToolCall } from "../tool.ts";
import {
  containersOf,
  nameOfProject,
  hasProject,
  ONE_PROJECT,
  hasOneSource,
  ONE_SOURCE,
  projectOf,
  readProject,
  runningFields,
  services,
  sourceFields,
} from "./common.ts";

const LINES_MAX = 10_000;

const container = v.object({
  project: v.string(),
  service: v.string(),
  name: v.string(),
  id: v.string(),
  image: v.string(),
  state: v.string(),
});

export const composePsTool = tool({
  name: "docker_compose_ps",
  category: "compose",
  title: "List compose projects and containers",
  description:
    "The containers of one project, or of all projects where none is named, stopped ones too, whoever has made them. Values of variables are not shown.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ ...runningFields, services, ...paging }),
  output: output({ containers: v.array(container), ...paged }),
  example: { project_name: "shop" },
  async handle({ file, project_name, services: named, ...paging }, call) {
    const engine = await call.engine();
    const all = file === undefined && project_name === undefined;
    const project = all ? undefined : await nameOfProject({ file, project_name }, call);
    const label = project === undefined ? LABELS.project : `${LABELS.project}=${project}`;
    const found = await listContainers(engine, { label: [label] }, call.deadline);
    const containers = found
      .map(({ Id, Names, Labels, Image, State }) => ({
        project: Labels?.[LABELS.project] ?? "",
        service: Labels?.[LABELS.service] ?? "",
        name: Names?.[0]?.replace(/^\//, "") ?? "",
        id: Id,
        image: Image,
        state: State,
      }))
      .filter(({ service }) => named.length === 0 || named.includes(service))
      .toSorted((left, right) => left.name.localeCompare(right.name, "en", { numeric: true }));
    const { items, ...rest } = page(containers, paging);
    return { containers: items, ...rest };
  },
  text: ({ containers, total }) =>
    [
      total === 0
        ? "No containers. Without project_name, docker_compose_ps shows all projects."
        : `${total} containers`,
      ...containers.map(
        ({ project, service, name, image, state }) => `${project}  ${service}  ${name}  ${image}  ${state}`,
      ),
    ].join("\n"),
});

export const composeLogsTool = tool({
  name: "docker_compose_logs",
  category: "compose",
  title: "Logs of a project",
  description:
    "What the containers of a project, or of some of its services, have written, in the order of time. Take tail to see the newest lines of each only.",
  level: "safe",
  time: "long",
  input: v.pipe(
    v.strictObject({
      ...runningFields,
      services,
      tail: v.optional(
        v.pipe(
          v.number(),
          v.integer(),
          v.minValue(1),
          v.maxValue(LINES_MAX),
          v.description("Newest lines of each container"),
        ),
        100,
      ),
      since: moment,
      until: moment,
    }),
    v.check((asked) => hasProject(asked), ONE_PROJECT),
  ),
  output: output({
    lines: v.array(
      v.object({ at: v.string(), container: v.string(), source: v.picklist(["stdout", "stderr"]), text: v.string() }),
    ),
  }),
  example: { project_name: "shop", services: ["web"], tail: 50 },
  async handle({ services: named, tail, since, until, ...asked }, call) {
    const found = await containersOf(await nameOfProject(asked, call), named, call);
    const each = Math.min(tail, Math.ceil(LINES_MAX / found.length));
    const lines = [];
    for (const { id, name } of found) lines.push(...(await linesOf(id, name, { tail: each, since, until }, call)));
    return { lines: lines.toSorted((left, right) => (left.at < right.at ? -1 : Number(left.at > right.at))) };
  },
  text: ({ lines }) =>
    lines.length === 0 ? "The logs are empty." : lines.map((line) => `${line.container} | ${line.text}`).join("\n"),
});

interface LogPart {
  tail: number;
  since: number | undefined;
  until: number | undefined;
}

async function linesOf(id: string, container: string, part: LogPart, call: ToolCall) {
  const { Config } = await findContainer(id, call);
  const request = { ...part, follow: false, terminal: Config.Tty };
  const lines = [];
  for await (const { at, source, text } of await openLogs(await call.engine(), id, request, call.deadline, call.signal))
    lines.push({ at: new Date(at).toISOString(), container, source, text });
  return lines;
}

const finding = v.object({
  kind: v.picklist(["invalid", "forbidden", "unsupported"]),
  file: v.string(),
  line: v.number(),
  column: v.number(),
  path: v.string(),
  message: v.string(),
  hint: v.optional(v.string()),
});

export const composeValidateTool = tool({
  name: "docker_compose_validate",
  category: "compose",
  title: "Check a compose file",
  description:
    "Says whether a compose file can be used here, with the line and column of everything that is wrong, unknown or not allowed. Nothing is made; the engine is not asked.",
  level: "safe",
  time: "quick",
  input: v.pipe(
    v.strictObject(sourceFields),
    v.check((asked) => hasOneSource(asked), ONE_SOURCE),
  ),
  output: output({
    valid: v.boolean(),
    findings: v.array(finding),
    services: v.array(v.string()),
    remarks: v.array(v.string()),
  }),
  example: { content: "name: shop\nservices:\n  web:\n    image: nginx:1.27\n" },
  async handle(asked, call) {
    const read = await readProject(asked, call);
    if (!read.ok) return { valid: false, findings: read.findings, services: [], remarks: [] };
    const { services: found, remarks } = read.project;
    return { valid: true, findings: [], services: [...found.keys()], remarks };
  },
  text: ({ valid, findings, services: names, remarks }) =>
    valid
      ? [`Valid: ${names.join(", ") || "no services"}`, ...remarks].join("\n")
      : findings
          .map(
            ({ file, line, column, path, message, hint }) =>
              `${file}:${line}:${column}: ${path === "" ? "" : `${path}: `}${message}${hint === undefined ? "" : ` (${hint})`}`,
          )
          .join("\n"),
});

export const composeConfigTool = tool({
  name: "docker_compose_config",
  category: "compose",
  title: "Show a compose file resolved",
  description:
    "A compose file with everything resolved: variables, extends, profiles, short forms, names. Values of environments and whatever came out of a variable are shown as ***.",
  level: "safe",
  time: "quick",
  input: v.pipe(
    v.strictObject(sourceFields),
    v.check((asked) => hasOneSource(asked), ONE_SOURCE),
  ),
  output: output({ config: v.record(v.string(), v.unknown()), remarks: v.array(v.string()) }),
  example: { file: "shop/compose.yaml", profiles: ["debug"] },
  async handle(asked, call) {
    const project = await projectOf(asked, call);
    return { config: shownConfig(project), remarks: project.remarks };
  },
  text: ({ config, remarks }) => [JSON.stringify(config, null, 2), ...remarks].join("\n"),
});
