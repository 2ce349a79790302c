import { describe, expect, test } from "bun:test";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { serverSpec } from "../../../src/model/server-spec.ts";
import { checkSpec } from "../../../src/runtime/docker/check.ts";
import { refusal } from "../../../src/docker/bind-rules.ts";
import { mountsOf } from "../../../src/runtime/docker/mounts.ts";
import { splitEnvironment } from "../../../src/runtime/docker/environment.ts";
import { rejection } from "../../support/rejection.ts";

const spec = (body: object = {}) => v.parse(serverSpec, { name: "x", image: "y", ...body });

describe("which variables the bridge sees", () => {
  test("steering names are blank for it and go to the server, the spec's value over the image's", () => {
    const image = ["PATH=/bin", "NODE_OPTIONS=--require=/evil.js", "BUN_OPTIONS=a=b", "EMPTY"];
    expect(splitEnvironment(image, { LD_PRELOAD: "/x.so", PLAIN: "1", NODE_OPTIONS: "mine" })).toEqual({
      bridge: {
        NODE_OPTIONS: "",
        BUN_OPTIONS: "",
        LD_PRELOAD: "",
        PLAIN: "1",
        LINKSPAN_CHILD_ENV: JSON.stringify({ NODE_OPTIONS: "mine", BUN_OPTIONS: "a=b", LD_PRELOAD: "/x.so" }),
      },
      child: { NODE_OPTIONS: "mine", BUN_OPTIONS: "a=b", LD_PRELOAD: "/x.so" },
    });
  });

  test("nothing is added where nothing steers", () => {
    expect(splitEnvironment(["PATH=/bin"], { A: "1" }).bridge).toEqual({ A: "1" });
  });

  test("an image cannot say what the server gets in the bridge's name", () => {
    const { LINKSPAN_CHILD_ENV: given = "" } = splitEnvironment(['LINKSPAN_CHILD_ENV={"A":"1"}'], {}).bridge;
    expect(JSON.parse(given)).not.toHaveProperty("A");
  });
});

describe("what may be bound", () => {
  const protect = ["/srv/engine.sock", "/srv/data/linkspan"];
  const refused: [path: string, readOnly: boolean][] = [
    ["/", true],
    ["/etc", true],
    ["/etc/ssl", true],
    ["/proc/1", true],
    ["/run", true],
    ["/run/docker.sock", true],
    ["/var", true],
    ["/var/run", true],
    ["/var/lib", true],
    ["/var/lib/docker/volumes/x", true],
    ["/srv", true],
    ["/srv/engine.sock", true],
    ["/srv/data", true],
    ["/srv/data/linkspan/key", true],
    ["/usr/bin", false],
    ["/usr", false],
  ];
  test.each(refused)("%s is refused (read-only: %p)", (path, readOnly) => {
    expect(refusal(path, readOnly, protect)).toBeString();
  });

  const allowed: [path: string, readOnly: boolean][] = [
    ["/etcetera", false],
    ["/home/ann/project", false],
    ["/srv/datasets", false],
    ["/var/tmp/x", false],
    ["/variable", false],
    ["/usr/share/dict", true],
    ["/runner", true],
  ];
  test.each(allowed)("%s is allowed (read-only: %p)", (path, readOnly) => {
    expect(refusal(path, readOnly, protect)).toBeUndefined();
  });

  test("the canonical path counts: neither a link nor .. leads around it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "linkspan-test-binds-"));
    try {
      await symlink("/etc", join(folder, "innocent"));
      const policy = { protect: [], local: true };
      const bind = (source: string) => mountsOf(spec({ volumes: [{ source, target: "/x" }] }), policy);
      for (const source of [`${folder}/innocent`, `${folder}/../../etc`, `${folder}/innocent/ssl`, "/var/run"]) {
        expect(await rejection(bind(source))).toMatchObject({
          kind: "invalid",
          message: expect.stringContaining("not mounted"),
        });
      }
      expect(await rejection(bind(`${folder}/nothing`))).toMatchObject({ kind: "invalid", hint: expect.any(String) });
      const [mount] = await bind(`${folder}/./`);
      expect(mount).toMatchObject({
        Type: "bind",
        Source: folder,
        ReadOnly: true,
        BindOptions: { Propagation: "rprivate" },
      });
      expect(
        String(
          await rejection(
            mountsOf(spec({ volumes: [{ source: folder, target: "/x" }] }), { protect: [folder], local: true }),
          ),
        ),
      ).toContain("protected");
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("an engine elsewhere does not see this machine's files; volumes it has", async () => {
    const remote = { protect: [], local: false };
    expect(await rejection(mountsOf(spec({ volumes: ["/tmp:/x"] }), remote))).toMatchObject({ kind: "unsupported" });
    expect(await mountsOf(spec({ volumes: ["data:/x:rw"] }), remote)).toEqual([
      { Type: "volume", Source: "data", Target: "/x", ReadOnly: false },
    ]);
  });

  test.each(["/", "/.linkspan", "/.linkspan/lib", "/a/../.linkspan", "/.linkspan/"])(
    "nothing is mounted at %s",
    async (target) => {
      expect(
        await rejection(mountsOf(spec({ volumes: [`data:${target}`] }), { protect: [], local: true })),
      ).toMatchObject({ kind: "invalid" });
    },
  );
});

describe("what an engine would weaken", () => {
  const facts = { version: "1", api: "1.41", os: "linux", arch: "x64", direct: true, warnings: [], unenforced: [] };

  test("an ordinary engine weakens nothing", () => {
    expect(checkSpec(spec(), facts)).toEqual([]);
  });

  test("each thing that it does not enforce is a gap", () => {
    const gaps = checkSpec(spec(), { ...facts, unenforced: ["limits.memory", "limits.pids"] });
    expect(gaps.map(({ field, severity }) => [field, severity])).toEqual([
      ["limits.memory", "weaker"],
      ["limits.pids", "weaker"],
    ]);
  });

  test("Windows containers and other architectures are impossible", () => {
    expect(checkSpec(spec(), { ...facts, os: "windows" })).toMatchObject([{ severity: "impossible" }]);
    expect(checkSpec(spec(), { ...facts, arch: "riscv64" })).toMatchObject([{ severity: "impossible" }]);
  });
});
