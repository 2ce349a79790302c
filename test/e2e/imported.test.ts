/** From a client's configuration to servers that answer: `linkspan import`, a manager, a call. */
import { expect } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { linkspan, tempDir } from "../support/cli.ts";
import { engine, engineTest } from "../support/engine.ts";
import { busyboxImage } from "../support/images.ts";
import { Stage } from "./stage.ts";

engineTest(
  "an npx line and a docker run line become containers with what they said",
  async () => {
    await using dir = await tempDir("imported");
    const [notes, config, mcp] = [join(dir.path, "notes"), join(dir.path, "linkspan.yaml"), join(dir.path, "mcp.json")];
    await mkdir(notes, { mode: 0o755 });
    await writeFile(join(notes, "a.txt"), "from the host");
    const image = await busyboxImage(engine());
    const docker = `run -i --rm --name taken -m 64m --pids-limit 32 -e MODE=fast -e API_TOKEN -v ${notes}:/in:ro ${image}`;
    const servers = {
      files: { command: "npx", args: ["-y", "@modelcontextprotocol/server-filesystem", notes] },
      shell: { command: "docker", args: docker.split(" "), env: { API_TOKEN: "hunter2" } },
    };
    await writeFile(mcp, JSON.stringify({ mcpServers: servers }));
    const ran = await linkspan(["import", mcp, "--to", config]);
    expect(ran).toMatchObject({ code: 0 });
    expect(await Bun.file(config).text()).not.toContain("hunter2");
    await using stage = await Stage.open("docker", { args: ["--config", config], env: { API_TOKEN: "hunter2" } });
    const env = { LINKSPAN_DATA_DIR: stage.dataDir };
    const read = await linkspan(["call", "files", "read_text_file", `path=${notes}/a.txt`], {
      env,
      timeoutMs: 120_000,
    });
    expect(read).toMatchObject({ code: 0, out: expect.stringContaining("from the host") });
    expect((await linkspan(["start", "shell"], { env, timeoutMs: 120_000 })).code).toBe(0);
    const { raw } = JSON.parse((await linkspan(["inspect", "shell", "--json"], { env })).out);
    expect(raw.HostConfig).toMatchObject({ Memory: 64 * 1024 ** 2, PidsLimit: 32, CapDrop: ["ALL"] });
    expect(raw.Mounts).toContainEqual(expect.objectContaining({ Source: notes, Destination: "/in", RW: false }));
    expect(JSON.stringify(raw)).not.toContain("hunter2");
    expect(raw.Config.Env).toContain("MODE=***");
  },
  180_000,
);
