import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { inspectContainer } from "../../src/docker/containers.ts";
import { callOnce, openSession } from "../support/contract-client.ts";
import { engine, engineTest } from "../support/engine.ts";
import { busyboxImage } from "../support/images.ts";
import { rejection } from "../support/rejection.ts";
import {
  addressOf,
  cleanUpAfterwards,
  derived,
  healthy,
  IMAGES,
  managerImage,
  run,
  soon,
  stateOf,
  trustingImage,
  withToken,
} from "./bench.ts";

cleanUpAfterwards();

describe("the images of images/", () => {
  engineTest(
    "the manager: no other program in it, not root, healthy, and gone at SIGTERM",
    async () => {
      const hardening = { Init: true, ReadonlyRootfs: true, CapDrop: ["ALL"], SecurityOpt: ["no-new-privileges"] };
      const fast = { Test: ["CMD", "/.linkspan/linkspan", "health"], Interval: 1e9 };
      const id = await run({
        Image: await managerImage(),
        Cmd: ["serve", "--runtime", "process"],
        Healthcheck: fast,
        HostConfig: { ...hardening, Tmpfs: { "/data": "uid=65532", "/tmp": "mode=1777" } },
      });
      await healthy(id);
      const info = await inspectContainer(engine(), id, soon());
      expect(info?.Config).toMatchObject({ User: "65532:65532", Entrypoint: ["/.linkspan/linkspan"] });
      await engine().act(
        { what: "stopping", method: "POST", path: `/containers/${id}/stop`, query: { t: 20 } },
        soon(),
      );
      expect(await stateOf(id)).toMatchObject({ Status: "exited", ExitCode: 0 });
    },
    180_000,
  );

  engineTest(
    "wrap: any image serves MCP by itself, to whoever has the token",
    async () => {
      const image = await derived("wrap", { BASE: await busyboxImage(engine(), ["ENTRYPOINT []"]) });
      await withToken(async (token, mount) => {
        const id = await run({
          Image: image,
          Cmd: ["/bin/sh", "/server.sh", "one", "two words"],
          User: "1234",
          Healthcheck: { Test: [], Interval: 1e9 },
          HostConfig: { Init: true, ReadonlyRootfs: true, Tmpfs: { "/tmp": "mode=1777" }, Binds: [mount] },
        });
        await healthy(id);
        const answer = await callOnce(await addressOf(id), token, "where");
        expect(answer).toMatchObject({ uid: 1234, argv: ["/server.sh", "one", "two words"] });
        expect(await rejection(openSession(await addressOf(id), "wrong"))).toMatchObject({ kind: "unauthenticated" });
      });
    },
    180_000,
  );

  engineTest(
    "filesystem: the official server, installed and run by the Bun inside Linkspan",
    async () => {
      const image = await derived("filesystem", {}, trustingImage());
      await withToken(async (token, mount) => {
        const id = await run({
          Image: image,
          Healthcheck: { Test: [], Interval: 1e9 },
          HostConfig: { Init: true, ReadonlyRootfs: true, Tmpfs: { "/tmp": "mode=1777" }, Binds: [mount] },
        });
        await healthy(id);
        using session = await openSession(await addressOf(id), token);
        const clientInfo = { name: "test", version: "1" };
        await session.call("initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo });
        const listed = await session.call("tools/call", { name: "list_directory", arguments: { path: "/files" } });
        expect(JSON.stringify(listed)).toContain("README.md");
      });
    },
    240_000,
  );
});

test("the node template is a server", async () => {
  const child = Bun.spawn([process.execPath, join(IMAGES, "node/server.js")], { stdin: "pipe", stdout: "pipe" });
  const clientInfo = { name: "test", version: "1" };
  const messages = [
    { id: 1, method: "initialize", params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo } },
    { method: "notifications/initialized" },
    { id: 2, method: "tools/call", params: { name: "greet", arguments: { name: "Ann" } } },
  ];
  for (const message of messages) child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  await child.stdin.flush();
  let said = "";
  for await (const chunk of child.stdout) {
    said += Buffer.from(chunk).toString();
    if (said.includes('"id":2')) void child.stdin.end();
  }
  expect(said).toContain("Hello, Ann!");
  expect(await soon(10_000).race("the end of the template", child.exited)).toBe(0);
});
