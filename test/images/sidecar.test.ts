import { describe, expect } from "bun:test";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { listContainers, waitForEnd } from "../../src/docker/containers.ts";
import { engine, engineTest } from "../support/engine.ts";
import { until } from "../support/until.ts";
import {
  cleanUpAfterwards,
  healthy,
  IMAGES,
  logOf,
  readToken,
  RUN,
  run,
  soon,
  stateOf,
  trustingImage,
  volumes,
} from "./bench.ts";
import { hostConfig, readCompose } from "./compose.ts";

cleanUpAfterwards();

describe("the sidecar of images/sidecar", () => {
  engineTest(
    "compose.yaml: the application starts when Linkspan is healthy, and calls a tool on 127.0.0.1:8081",
    async () => {
      const { services } = await readCompose(join(IMAGES, "sidecar/compose.yaml"));
      const volume = `linkspan-test-data-${RUN}`;
      volumes.push(volume);
      const place = { folder: join(IMAGES, "sidecar"), volumes: { data: volume } };
      const sidecar = services["linkspan"];
      const app = services["app"];
      if (!sidecar || !app) throw new Error("compose.yaml has other services");
      expect(app.depends_on).toEqual({ linkspan: { condition: "service_healthy" } });
      expect(app.network_mode).toBe("service:linkspan");
      const Image = await trustingImage();
      const fast = { Test: ["CMD", "/.linkspan/linkspan", "health"], Interval: 1e9 };
      const first = await run({
        Image,
        Cmd: sidecar.command,
        Healthcheck: fast,
        HostConfig: hostConfig(sidecar, place),
      });
      await healthy(first);
      const second = await run({
        Image,
        Entrypoint: app.entrypoint,
        Cmd: [],
        Env: Object.entries(app.environment).map(([name, value]) => `${name}=${value}`),
        HostConfig: { ...hostConfig(app, place), NetworkMode: `container:${first}` },
      });
      expect(await waitForEnd(engine(), second, soon(90_000)), `${await logOf(second)}\n${await logOf(first)}`).toBe(0);
      const log = await logOf(second);
      expect(log).toContain("get-sum");
      expect(log).toContain("The sum of 2 and 40 is 42");
    },
    240_000,
  );

  engineTest(
    "compose.engine.yaml: the manager in a container runs servers in others, and takes them along",
    async () => {
      const { endpoint } = engine();
      if (endpoint.kind !== "socket") return;
      const { services } = await readCompose(join(IMAGES, "sidecar/compose.engine.yaml"));
      const sidecar = services["linkspan"];
      expect(sidecar).toMatchObject({ network_mode: "host", volumes: ["/var/run/docker.sock:/var/run/docker.sock"] });
      const { gid } = await stat(endpoint.path);
      const port = freePort();
      const data = `linkspan-test-engine-${RUN}`;
      volumes.push(data);
      const server = `e${RUN}`;
      const id = await run({
        Image: await trustingImage(),
        Cmd: ["serve", "--port", String(port), "--tcp-port", "0", "--stop-servers-on-exit"],
        HostConfig: {
          Init: true,
          ReadonlyRootfs: true,
          CapDrop: ["ALL"],
          Tmpfs: { "/tmp": "uid=65532,gid=65532" },
          NetworkMode: "host",
          GroupAdd: [String(gid)],
          Binds: [`${endpoint.path}:/var/run/docker.sock`, `${data}:/data`],
        },
      });
      const token = await until("the token", async () => (await readToken(id)) || undefined, 30_000);
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const ask = (path: string, body: object) =>
        fetch(`http://127.0.0.1:${port}/servers/${server}/${path}`, {
          method: "POST",
          headers,
          body: JSON.stringify(body),
        });
      await until("the manager", () =>
        fetch(`http://127.0.0.1:${port}/health`).then(
          (answer) => answer.ok,
          () => false,
        ),
      );
      const started = await ask("start", { image: "npm:@modelcontextprotocol/server-everything@2026.8.31" });
      expect(await started.json(), await logOf(id)).toMatchObject({ state: "ready", runtime: "docker" });
      const called = await ask("call", { tool: "get-sum", arguments: { a: 2, b: 40 } });
      expect(JSON.stringify(await called.json())).toContain("42");
      await engine().act(
        { what: "stopping", method: "POST", path: `/containers/${id}/stop`, query: { t: 30 } },
        soon(),
      );
      expect(await stateOf(id)).toMatchObject({ ExitCode: 0 });
      const left = await listContainers(engine(), { label: [`linkspan.server=${server}`] }, soon());
      expect(left).toEqual([]);
    },
    240_000,
  );
});

function freePort(): number {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = server;
  server.stop(true);
  return port;
}
