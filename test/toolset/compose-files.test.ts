/** Which files make a project: one, several, a folder's. No engine is needed. */
import { expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toolsetClient } from "../support/toolset-client.ts";

test("several files are laid over each other, a folder has its override; nothing of it leads out", async () => {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-test-compose-files-"));
  const secret = await mkdtemp(join(tmpdir(), "linkspan-test-compose-secret-"));
  try {
    await mkdir(join(folder, "shop"));
    const file = (name: string, text: string) => writeFile(join(folder, "shop", name), text);
    await file("compose.yaml", "services: { web: { image: web, command: [a], ports: ['80'] }, db: { image: db } }");
    await file("compose.override.yaml", "services: { web: { command: [b] } }");
    await file("live.yaml", "services: { web: { ports: !reset [] }, db: !reset null }");
    await writeFile(join(secret, "compose.yaml"), "services: { a: { image: a } }");
    await symlink(secret, join(folder, "out"));
    await symlink(join(secret, "compose.yaml"), join(folder, "shop", "link.yaml"));
    await using session = await toolsetClient({ env: { SAFETY_COMPOSE_DIRECTORY: folder } });
    const config = async (asked: string | string[]) => {
      const { structured } = await session.call("docker_compose_config", { file: asked });
      return structured.config ?? structured.kind;
    };
    expect(await config("shop")).toMatchObject({
      services: { web: { command: ["b"], ports: [{ target: 80 }] }, db: {} },
    });
    expect(await config("shop/compose.yaml")).toMatchObject({ services: { web: { command: ["a"] } } });
    const live = await config(["shop/compose.yaml", "shop/live.yaml"]);
    expect(live).toMatchObject({ name: "shop", services: { web: { command: ["a"] } } });
    expect(live).not.toHaveProperty("services.db");
    expect(live).not.toHaveProperty("services.web.ports");
    const rows: [string | string[], string][] = [
      ["none", "not-found"],
      ["out", "forbidden"],
      ["shop/link.yaml", "forbidden"],
      [["shop/compose.yaml", "shop/link.yaml"], "forbidden"],
      [secret, "forbidden"],
      [[], "invalid"],
      [["shop/compose.yaml", "../x.yaml"], "invalid"],
    ];
    for (const [asked, kind] of rows) expect([asked, await config(asked)]).toEqual([asked, kind]);
    const written = { file: "shop/more.yaml", content: "services: { web: { labels: { a: b } } }" };
    const alone = await session.call("docker_compose_write_file", written);
    expect([alone.structured.kind, alone.text]).toEqual(["invalid", expect.stringContaining("name them all")]);
    const over = await session.call("docker_compose_write_file", { ...written, over: "shop" });
    expect([over.text, over.structured.services]).toEqual([over.text, ["web", "db"]]);
    const outside = await session.call("docker_compose_write_file", { ...written, over: "out", overwrite: true });
    expect(outside.structured.kind).toBe("forbidden");
    await file(".env", `COMPOSE_FILE=compose.yaml:../out/compose.yaml`);
    expect(await config("shop")).toBe("forbidden");
  } finally {
    for (const one of [folder, secret]) await rm(one, { recursive: true });
  }
});
