import * as v from "valibot";
import { filterQuery, filters } from "../filters.ts";
import { inOrder, newestFirst, output, page, paged, paging } from "../output.ts";
import { tool } from "../tool.ts";

const text = v.optional(v.string(), "");

/** What is used of the engine's list (API reference, ContainerList). */
const listed = v.array(
  v.object({
    Id: v.string(),
    Names: v.optional(v.nullable(v.array(v.string()))),
    Image: text,
    State: text,
    Status: text,
    Created: v.number(),
    Ports: v.optional(
      v.nullable(
        v.array(
          v.object({
            IP: v.optional(v.string()),
            PrivatePort: v.number(),
            PublicPort: v.optional(v.number()),
            Type: text,
          }),
        ),
      ),
    ),
    Labels: v.optional(v.nullable(v.record(v.string(), v.string()))),
  }),
);
type Listed = v.InferOutput<typeof listed>[number];

const container = v.object({
  id: v.string(),
  name: v.string(),
  image: v.string(),
  state: v.string(),
  status: v.pipe(v.string(), v.description("For people: Up 3 hours (healthy)")),
  created: v.pipe(v.string(), v.description("ISO 8601")),
  ports: v.array(v.string()),
  labels: v.record(v.string(), v.string()),
});

export const listContainersTool = tool({
  name: "docker_list_containers",
  category: "containers",
  title: "List containers",
  description: "Running containers, or with all those that are stopped, too: id, name, image, state, ports, labels.",
  level: "safe",
  time: "quick",
  input: v.strictObject({
    all: v.optional(v.pipe(v.boolean(), v.description("Stopped ones, too")), false),
    filters,
    ...paging,
  }),
  output: output({ containers: v.array(container), ...paged }),
  example: { all: true, filters: { status: "exited" } },
  async handle({ all, filters: asked, ...paging }, call) {
    const engine = await call.engine();
    const query = { all, filters: filterQuery(asked) };
    const found = await engine.call(
      { what: "listing containers", method: "GET", path: "/containers/json", query },
      listed,
      call.deadline,
    );
    const { items, ...rest } = page(inOrder(found, newestFirst), paging);
    return { containers: items.map(describe), ...rest };
  },
  text: ({ containers, total }) =>
    [
      `${total} containers`,
      ...containers.map(
        (one) => `${one.id.slice(0, 12)}  ${one.name}  ${one.image}  ${one.status}  ${one.ports.join(", ")}`,
      ),
    ].join("\n"),
});

function describe({
  Id,
  Names,
  Image,
  State,
  Status,
  Created,
  Ports,
  Labels,
}: Listed): v.InferOutput<typeof container> {
  const ports = (Ports ?? []).map(({ IP, PrivatePort, PublicPort, Type }) =>
    PublicPort === undefined ? `${PrivatePort}/${Type}` : `${IP ?? "0.0.0.0"}:${PublicPort}->${PrivatePort}/${Type}`,
  );
  return {
    id: Id,
    name: Names?.[0]?.replace(/^\//, "") ?? "",
    image: Image,
    state: State,
    status: Status,
    created: new Date(Created * 1000).toISOString(),
    ports: [...new Set(ports)],
    labels: Labels ?? {},
  };
}
