import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../../src/base/deadline.ts";
import { VERSION } from "../../../src/base/version.ts";
import { releaseBridgeFiles } from "../../../src/runtime/docker/bridge-release.ts";
import type { Progress } from "../../../src/runtime/runtime.ts";
import { callOnce } from "../../support/contract-client.ts";
import { DockerBench } from "../../support/docker-bench.ts";
import { testBridge } from "../../support/docker-subject.ts";
import { engine, engineTest } from "../../support/engine.ts";
import { scratchImage } from "../../support/images.ts";
import { rejection } from "../../support/rejection.ts";

const soon = (ms = 20_000) => Deadline.in(ms);
const sum = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

interface Release {
  url: string;
  dataDir: string;
  files: Record<string, Uint8Array>;
  asked: string[];
}

/** A release directory on loopback with a build for arm64, and an empty data directory. */
async function withRelease(body: (release: Release) => Promise<void>): Promise<void> {
  const executable = crypto.getRandomValues(new Uint8Array(60_000));
  const loader = new Uint8Array(Buffer.from("loader"));
  const names = { "linkspan-linux-arm64": executable, "loader-linux-arm64.tar": loader };
  const sums = Object.entries(names).map(([name, bytes]) => `${sum(bytes)}  ${name}\n`);
  const files: Release["files"] = { ...names, SHA256SUMS: Buffer.from(sums.join("")) };
  const asked: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const name = new URL(request.url).pathname.replace(`/${VERSION}/`, "");
      asked.push(name);
      const bytes = files[name];
      return bytes ? new Response(Buffer.from(bytes)) : new Response("no", { status: 404 });
    },
  });
  const dataDir = await mkdtemp(join(tmpdir(), "linkspan-test-release-"));
  try {
    await body({ url: `http://127.0.0.1:${server.port}/{version}`, dataDir, files, asked });
  } finally {
    await server.stop(true);
    await rm(dataDir, { recursive: true, force: true });
  }
}

describe("a host whose own build cannot run in the engine", () => {
  engineTest("runs servers with the release's build", async () => {
    const bridge = await testBridge();
    const target = `linux-${process.arch}`;
    const parts: Record<string, Blob> = {
      [`linkspan-${target}`]: Bun.file(bridge.executable),
      [`loader-${target}.tar`]: new Blob([Buffer.from(bridge.loader)]),
    };
    let sums = "";
    for (const [name, part] of Object.entries(parts)) sums += `${sum(await part.bytes())}  ${name}\n`;
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request) {
        const name = new URL(request.url).pathname.slice(1);
        return name === "SHA256SUMS" ? new Response(sums) : new Response(parts[name]);
      },
    });
    const env = { ...process.env, LINKSPAN_RELEASE_URL: `http://127.0.0.1:${server.port}` };
    try {
      // From source, this program is no Linux build: as on macOS or Windows.
      await using bench = await DockerBench.open({ env, bridge: undefined });
      const { addresses, token } = await bench.running({ image: await scratchImage(engine()) });
      expect(await callOnce(addresses, token, "where")).toMatchObject({ argv: ["/server"] });
    } finally {
      await server.stop(true);
    }
  });
});

describe("the Linux build of a release", () => {
  test("is downloaded once, checked, and kept; without the release what is kept is used", async () => {
    await withRelease(async ({ url, dataDir, files, asked }) => {
      const steps: Progress[] = [];
      const first = await releaseBridgeFiles("arm64", { url, dataDir }, (step) => steps.push(step), soon());
      expect(await Bun.file(first.executable).bytes()).toEqual(Buffer.from(files["linkspan-linux-arm64"] ?? []));
      expect(Buffer.from(first.loader).toString()).toBe("loader");
      expect(steps.at(-1)).toMatchObject({ step: "bridge", current: 6, total: 6 });
      expect((await Bun.file(first.executable).stat()).mode & 0o777).toBe(0o700);
      const again = await releaseBridgeFiles("arm64", { url, dataDir }, () => {}, soon());
      expect(again.hash).toBe(first.hash);
      expect(asked.filter((name) => name.startsWith("linkspan-")).length).toBe(1);
      const gone = { url: url.replace(/:\d+/, ":9"), dataDir };
      expect((await releaseBridgeFiles("arm64", gone, () => {}, soon())).hash).toBe(first.hash);
    });
  });

  test("what does not have its checksum is refused and not kept", async () => {
    await withRelease(async ({ url, dataDir, files }) => {
      files["linkspan-linux-arm64"] = new Uint8Array([1, 2, 3]);
      const download = releaseBridgeFiles("arm64", { url, dataDir }, () => {}, soon());
      expect(await rejection(download)).toMatchObject({
        kind: "conflict",
        message: expect.stringContaining("checksum"),
      });
      expect(await readdir(join(dataDir, "bridge", `${VERSION}-linux-arm64`))).toEqual(["SHA256SUMS"]);
    });
  });

  test("what is kept and was changed is downloaded again", async () => {
    await withRelease(async ({ url, dataDir, files }) => {
      const { executable } = await releaseBridgeFiles("arm64", { url, dataDir }, () => {}, soon());
      await Bun.write(executable, "changed by somebody");
      await releaseBridgeFiles("arm64", { url, dataDir }, () => {}, soon());
      expect(await Bun.file(executable).bytes()).toEqual(Buffer.from(files["linkspan-linux-arm64"] ?? []));
    });
  });

  const refused: [name: string, url: string | undefined, arch: string, kind: string][] = [
    ["no release is named", undefined, "arm64", "unsupported"],
    ["the release has no such build", "", "riscv64", "unsupported"],
    ["plain http to another machine", "http://example.test/x", "arm64", "usage"],
    ["no URL", "not a url", "arm64", "usage"],
    ["nobody there", "http://127.0.0.1:9/", "arm64", "unreachable"],
  ];
  for (const [name, url, arch, kind] of refused) {
    test(`${name}: ${kind}`, async () => {
      await withRelease(async (release) => {
        const source = { url: url === "" ? release.url : url, dataDir: release.dataDir };
        const thrown = await releaseBridgeFiles(arch, source, () => {}, soon()).catch((error: unknown) => error);
        expect(thrown).toMatchObject({ kind });
        if (kind !== "usage") expect(thrown).toMatchObject({ hint: expect.stringMatching(/./) });
      });
    });
  }

  test("a directory without SHA256SUMS is not-found", async () => {
    await withRelease(async ({ url, dataDir, files }) => {
      delete files["SHA256SUMS"];
      expect(await rejection(releaseBridgeFiles("arm64", { url, dataDir }, () => {}, soon()))).toMatchObject({
        kind: "not-found",
      });
    });
  });
});
