/** Prompts and resources through the real door, about real containers. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { createContainer, removeContainer, startContainer } from "../../src/docker/containers.ts";
import { ENGINE, engineTest } from "../support/engine.ts";
import { busyboxImage } from "../support/images.ts";
import { rejection } from "../support/rejection.ts";
import { type ToolsetClient, toolsetClient } from "../support/toolset-client.ts";
import { until } from "../support/until.ts";

const project = `linkspan-test-prompts-${process.pid}`;
const web = `${project}-web`;
const SECRET = "hunter2-and-more";
const deadline = () => Deadline.in(20_000);

/** Writes a line, with the value of its variable, for each that is written to its stdin's file. */
const SCRIPT = `echo "the secret is $SECRET"; while true; do [ -f /tick ] && /bin/busybox rm /tick && echo tick; /bin/busybox sleep 0.05; done`;

beforeAll(async () => {
  if (!ENGINE) return;
  const Image = await busyboxImage(ENGINE);
  const Labels = { "com.docker.compose.project": project, "com.docker.compose.service": "web" };
  await createContainer(
    ENGINE,
    web,
    {
      Image,
      Entrypoint: ["/bin/sh", "-c"],
      Cmd: [SCRIPT],
      Env: [`SECRET=${SECRET}`],
      Labels,
      HostConfig: { CapAdd: ["NET_ADMIN"], NetworkMode: "none" },
    },
    deadline(),
  );
  await startContainer(ENGINE, web, deadline());
}, 60_000);
afterAll(async () => {
  if (ENGINE) await removeContainer(ENGINE, web, deadline());
});

async function prompt({ client }: ToolsetClient, name: string, args: Record<string, string>): Promise<string> {
  const { messages } = await client.getPrompt({ name, arguments: args });
  const [{ content } = { content: undefined }] = messages;
  return content?.type === "text" ? content.text : "";
}

engineTest("each prompt shows the live state and no value of a variable", async () => {
  await using session = await toolsetClient();
  const { prompts } = await session.client.listPrompts();
  expect(prompts.map(({ name }) => name)).toEqual([
    "troubleshoot_container",
    "optimize_container",
    "generate_compose",
    "debug_networking",
    "security_audit",
    "troubleshoot_compose_stack",
    "optimize_compose_config",
  ]);
  for (const { name, arguments: known = [] } of prompts) {
    const args: Record<string, string> = known.some((one) => one.name === "project")
      ? { project }
      : { container_id: web };
    const text = await prompt(session, name, args);
    expect(text).toContain(web);
    expect(text).toContain("SECRET=***");
    expect(text).not.toContain(SECRET);
  }
  const trouble = await prompt(session, "troubleshoot_container", { container_id: web });
  expect(trouble).toContain("the secret is ***");
  expect(trouble).toContain("status: running");
  const audit = await prompt(session, "security_audit", { container_id: web });
  expect(audit).toMatch(/^FAIL +5\.3 .*NET_ADMIN/m);
  expect(audit).toMatch(/^FAIL +5\.10 /m);
  expect(await prompt(session, "generate_compose", { service_description: "a web server" })).toContain("a web server");
  expect(await prompt(session, "debug_networking", { container_id: web, target_host: "db" })).toContain(
    'cannot reach "db"',
  );
});

engineTest("prompts refuse what is not there, is missing, or is not known", async () => {
  await using session = await toolsetClient();
  expect(String(await rejection(prompt(session, "troubleshoot_container", { container_id: `${web}-x` })))).toContain(
    "there is no container",
  );
  expect(String(await rejection(prompt(session, "troubleshoot_container", {})))).toContain("needs container_id");
  expect(String(await rejection(prompt(session, "troubleshoot_container", { container_id: "../x" })))).toContain(
    "expected a container",
  );
  expect(String(await rejection(prompt(session, "optimize_compose_config", { project: "no-such" })))).toContain(
    "no compose project",
  );
  expect(String(await rejection(prompt(session, "security_audi", {})))).toContain("security_audit");
  expect(String(await rejection(prompt(session, "security_audit", { all: "yes" })))).toContain("no argument all");
});

engineTest("arguments and variables are completed", async () => {
  await using session = await toolsetClient();
  const complete = async (ref: object, name: string, value: string, known?: Record<string, string>) => {
    const params = { ref, argument: { name, value }, ...(known ? { context: { arguments: known } } : {}) };
    return (await session.client.complete(params as never)).completion.values;
  };
  const audit = { type: "ref/prompt", name: "security_audit" };
  expect(await complete(audit, "container_id", web)).toEqual([web]);
  expect(await complete({ type: "ref/prompt", name: "optimize_compose_config" }, "project", project)).toEqual([
    project,
  ]);
  const logs = { type: "ref/resource", uri: "compose://logs/{project}/{service}" };
  expect(await complete(logs, "service", "w", { project })).toEqual(["web"]);
  expect(
    await complete({ type: "ref/resource", uri: "container://stats/{container_id}" }, "container_id", web),
  ).toEqual([web]);
});

engineTest("resources are listed and read, without values of variables", async () => {
  await using session = await toolsetClient();
  const { resourceTemplates } = await session.client.listResourceTemplates();
  expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toEqual([
    "container://logs/{container_id}",
    "container://stats/{container_id}",
    "compose://config/{project}",
    "compose://services/{project}",
    "compose://logs/{project}/{service}",
  ]);
  const uris = [
    `container://logs/${web}`,
    `container://stats/${web}`,
    `compose://config/${project}`,
    `compose://services/${project}`,
    `compose://logs/${project}/web`,
  ];
  const { resources } = await session.client.listResources();
  expect(resources.map(({ uri }) => uri)).toEqual(expect.arrayContaining(uris));
  const [log, stats, config, services, logs] = await Promise.all(
    uris.map(async (uri) => {
      const [{ text } = { text: "" }] = (await session.client.readResource({ uri })).contents as { text: string }[];
      expect(text).not.toContain(SECRET);
      return text;
    }),
  );
  expect(log).toContain("the secret is ***");
  expect(JSON.parse(stats ?? "")).toMatchObject({ name: web, state: "running", processes: expect.any(Number) });
  expect(config).toContain("SECRET=***");
  expect(JSON.parse(services ?? "")).toMatchObject({ services: [{ service: "web", state: "running" }] });
  expect(logs).toContain(`== ${web}`);
  expect(String(await rejection(session.client.readResource({ uri: "container://logs/no-such-one" })))).toContain(
    "no container",
  );
  expect(String(await rejection(session.client.readResource({ uri: "container://files/x" })))).toContain("Templates:");
});

test("what is not allowed is not listed, and refused", async () => {
  const env = { SAFETY_ALLOWED_PROMPTS: "security_audit", SAFETY_ALLOWED_RESOURCES: "container_logs,compose://config" };
  await using session = await toolsetClient({ env });
  const { client } = session;
  expect((await client.listPrompts()).prompts.map(({ name }) => name)).toEqual(["security_audit"]);
  expect((await client.listResourceTemplates()).resourceTemplates.map(({ name }) => name)).toEqual([
    "container_logs",
    "compose_config",
  ]);
  expect(String(await rejection(prompt(session, "optimize_container", { container_id: "x" })))).toContain(
    "SAFETY_ALLOWED_PROMPTS",
  );
  for (const work of [
    () => client.readResource({ uri: "container://stats/x" }),
    () => client.subscribeResource({ uri: "compose://services/x" }),
    () =>
      client.complete({
        ref: { type: "ref/resource", uri: "container://stats/{container_id}" },
        argument: { name: "container_id", value: "" },
      }),
  ])
    expect(String(await rejection(work()))).toContain("SAFETY_ALLOWED_RESOURCES");
});

/** Has the container write a line. */
async function tick(session: ToolsetClient): Promise<void> {
  const files = [{ path: "tick", content: "" }];
  const done = await session.call("docker_copy_to_container", { container_id: web, path: "/", files });
  expect(done.isError).toBeUndefined();
}

for (const era of ["legacy", "modern"] as const) {
  engineTest(`a ${era} client hears of changes while it is subscribed, and of none afterwards`, async () => {
    await using session = await toolsetClient({ era });
    const updates: string[] = [];
    session.client.setNotificationHandler(
      "notifications/resources/updated",
      ({ params }) => void updates.push(params.uri),
    );
    const uris = [
      `container://logs/${web}`,
      `container://stats/${web}`,
      `compose://services/${project}`,
      `compose://logs/${project}/web`,
    ];
    const [log = "", stats = "", services = "", logs = ""] = uris;
    const listening = era === "modern" ? await session.client.listen({ resourceSubscriptions: uris }) : undefined;
    if (!listening) for (const uri of uris) await session.client.subscribeResource({ uri });
    const heard = (uri: string, times: number) =>
      until(`${times} updates of ${uri}`, () => updates.filter((one) => one === uri).length >= times);
    await heard(stats, 2);
    await tick(session);
    await Promise.all([heard(log, 1), heard(logs, 1)]);
    await session.call("docker_pause_container", { container_id: web });
    await session.call("docker_unpause_container", { container_id: web });
    await heard(services, 1);
    if (listening) await listening.close();
    else for (const uri of uris) await session.client.unsubscribeResource({ uri });
    // An answer that comes after it: what was on its way has arrived.
    await session.call("docker_version");
    const before = updates.length;
    await tick(session);
    await until("the tick in the log", async () =>
      (await session.call("docker_container_logs", { container_id: web, tail: 2 })).text.includes("tick"),
    );
    expect(updates.length).toBe(before);
  });
}

engineTest(
  "updates are a second apart, also for one who subscribes twice; a start after an end is followed",
  async () => {
    await using session = await toolsetClient();
    const updates: number[] = [];
    session.client.setNotificationHandler(
      "notifications/resources/updated",
      () => void updates.push(performance.now()),
    );
    await session.client.subscribeResource({ uri: `container://stats/${web}` });
    await session.client.subscribeResource({ uri: `container://stats/${web}` });
    await until("three samples", () => updates.length >= 3);
    const gaps = updates.slice(1).map((at, index) => at - (updates[index] ?? 0));
    // Timers are not exact; twice as many would be half a second apart.
    for (const gap of gaps) expect(gap).toBeGreaterThan(700);
    await session.call("docker_restart_container", { container_id: web, timeout: 0 });
    const before = updates.length;
    await until("samples after the restart", () => updates.length >= before + 3);
  },
);
