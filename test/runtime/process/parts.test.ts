import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { serverSpec, type ServerBodyInput } from "../../../src/model/server-spec.ts";
import { askHealth } from "../../../src/runtime/process/health.ts";
import {
  endWithin,
  FAMILY_VARIABLE,
  family,
  identify,
  isAlive,
  killFamily,
} from "../../../src/runtime/process/identity.ts";
import { LogLines, LogWriter, lastLines, readLog } from "../../../src/runtime/process/log.ts";
import { processGaps } from "../../../src/runtime/process/plan.ts";
import {
  createFolder,
  folders,
  leftovers,
  ProcessFolder,
  type ProcessRecord,
} from "../../../src/runtime/process/record.ts";
import { until } from "../../support/until.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "linkspan-test-process-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("which process is meant", () => {
  test("one is itself while it lives, and nobody once it has ended", async () => {
    const child = Bun.spawn(["sleep", "60"]);
    const identity = identify(child.pid);
    expect(identity).toMatchObject({ pid: child.pid });
    expect(isAlive(identity ?? { pid: 2, start: "" })).toBe(true);
    // The same PID with another start time is another process.
    expect(isAlive({ pid: child.pid, start: "another boot:1" })).toBe(false);
    child.kill("SIGKILL");
    await child.exited;
    expect(identify(child.pid)).toBeUndefined();
    expect(await endWithin(identity ? [identity] : [], 1_000)).toBe(true);
  });

  test("a zombie has ended", async () => {
    // The shell becomes a program that never waits for the child that it has.
    const parent = Bun.spawn(["sh", "-c", "sleep 0.05 & echo $!; exec sleep 60"], { stdout: "pipe" });
    const { value } = await parent.stdout.getReader().read();
    const pid = Number(new TextDecoder().decode(value));
    await until("the zombie", () => /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "latin1")));
    expect(identify(pid)).toBeUndefined();
    parent.kill("SIGKILL");
  });

  test("a family is found by its mark after its parents are gone, and killed whole", async () => {
    const mark = `linkspan-test-${crypto.randomUUID()}`;
    const script = "(setsid sh -c 'sleep 61 & sleep 62' &) ; exec sleep 63";
    const child = Bun.spawn(["sh", "-c", script], { env: { ...process.env, [FAMILY_VARIABLE]: mark } });
    await until("the family", () => family(mark, undefined).length === 4);
    child.kill("SIGKILL");
    await child.exited;
    expect(family(mark, undefined).length).toBe(3);
    expect(family(`${mark}x`, undefined)).toEqual([]);
    await killFamily(mark, undefined);
    expect(family(mark, undefined)).toEqual([]);
  });

  test("descendants without the mark belong to it as well", async () => {
    const mark = `linkspan-test-${crypto.randomUUID()}`;
    const child = Bun.spawn(["sh", "-c", "env -i sleep 64 & wait"], {
      env: { ...process.env, [FAMILY_VARIABLE]: mark },
    });
    const bridge = identify(child.pid);
    await until("the descendant", () => family(mark, bridge).length === 2);
    await killFamily(mark, bridge);
    await child.exited;
    expect(family(mark, bridge)).toEqual([]);
  });
});

describe("the log", () => {
  const text = (lines: Uint8Array[]) => lines.map((line) => Buffer.from(line).toString());
  const bytes = (line: string) => new TextEncoder().encode(line);

  test("is split at newlines, wherever the chunks end", () => {
    const input = bytes("one\n\ntwo ä\nthree");
    for (let at = 0; at <= input.length; at++) {
      const lines = new LogLines();
      const found = [...lines.push(input.subarray(0, at)), ...lines.push(input.subarray(at)), ...lines.end()];
      expect(text(found)).toEqual(["one", "two ä", "three"]);
    }
  });

  test("cuts a line without end, and keeps little of it in memory", () => {
    const lines = new LogLines();
    const chunk = new Uint8Array(1024 * 1024).fill(0x61);
    for (let i = 0; i < 64; i++) expect(lines.push(chunk)).toEqual([]);
    const [long, next] = lines.push(bytes("\nnext\n"));
    expect(long?.byteLength).toBe(64 * 1024);
    expect(Buffer.from(next ?? []).toString()).toBe("next");
  });

  test("never outgrows its two files, and keeps the newest lines", () => {
    const file = join(folder, "small");
    const log = new LogWriter(file, 1_000);
    for (let i = 0; i < 500; i++) log.write([bytes(`line ${i}`)]);
    log.close();
    expect(statSync(file).size).toBeLessThanOrEqual(1_000);
    expect(statSync(`${file}.1`).size).toBeLessThanOrEqual(1_000);
    expect(lastLines(file, 2).map((line) => line.text)).toEqual(["line 498", "line 499"]);
    const again = new LogWriter(file, 1_000);
    again.write([bytes("line 500")]);
    again.close();
    expect(lastLines(file, 2).map((line) => line.text)).toEqual(["line 499", "line 500"]);
  });

  test("is followed over many turns of the files without a hole", async () => {
    const file = join(folder, "followed");
    const log = new LogWriter(file, 5_000);
    let running = true;
    const seen: string[] = [];
    const abort = new AbortController();
    const following = (async () => {
      for await (const line of readLog(file, { follow: true, signal: abort.signal }, () => running))
        seen.push(line.text);
    })();
    for (let i = 0; i < 600; i++) {
      log.write([bytes(`${i}`)]);
      // A reader that is slower than two turns has lost its place; here it never is.
      if (i % 100 === 99) await until(`line ${i}`, () => seen.at(-1) === String(i));
    }
    running = false;
    await following;
    expect(seen).toEqual(Array.from({ length: 600 }, (_, i) => String(i)));
    log.close();
  });

  test("ends for a reader who gives up, and is empty where there is none", async () => {
    const abort = new AbortController();
    const found: unknown[] = [];
    const reading = (async () => {
      const options = { follow: true, signal: abort.signal };
      for await (const line of readLog(join(folder, "no such log"), options, () => true)) found.push(line);
    })();
    abort.abort();
    await reading;
    expect(found).toEqual([]);
  });
});

describe("the folder of an instance", () => {
  const record = (id: string): ProcessRecord => ({
    id,
    specHash: "0",
    labels: {},
    tokenSha256: "00",
    configured: false,
    createdAt: 1,
    plan: {
      argv: ["x"],
      env: {},
      messageBytes: 1,
      stopMs: 1,
      leaseMs: 0,
      policy: "process",
      spare: 0,
      health: { interval: 1, timeout: 1, startPeriod: 1, retries: 1 },
    },
  });

  test("is made once, whole, for its owner's eyes only", () => {
    const root = join(folder, "made");
    expect(createFolder(root, record("one"))).toBe(true);
    expect(createFolder(root, { ...record("one"), createdAt: 2 })).toBe(false);
    expect(folders(root).map((found) => found.record.createdAt)).toEqual([1]);
    expect(statSync(join(root, "one")).mode & 0o777).toBe(0o700);
    expect(statSync(join(root, "one", "record.json")).mode & 0o777).toBe(0o600);
    expect(leftovers(root)).toEqual([]);
  });

  test("with garbage in it is none, and does not hide the others", () => {
    const root = join(folder, "garbage");
    for (const id of ["good", "cut", "other"]) createFolder(root, record(id));
    writeFileSync(join(root, "cut", "record.json"), '{"id":"cut","spec');
    writeFileSync(join(root, "other", "record.json"), JSON.stringify(record("somebody")));
    writeFileSync(join(root, "good", "run.json"), "\0\0\0");
    writeFileSync(join(root, "good", "port"), "nonsense");
    expect(folders(root).map((found) => found.record.id)).toEqual(["good"]);
    const good = new ProcessFolder(root, "good");
    expect([good.read("run"), good.address()]).toEqual([undefined, undefined]);
  });

  test.each(["../up", "/etc", "", ".", "-x", "a/b", "A"])("%p is no id", (id) => {
    expect(() => new ProcessFolder(folder, id)).toThrow(expect.objectContaining({ kind: "not-found" }));
  });
});

describe("what a process cannot keep of a spec", () => {
  const gaps = (body: Partial<ServerBodyInput>) =>
    processGaps(v.parse(serverSpec, { name: "x", image: "npm:x", ...body }));
  const impossible = (body: Partial<ServerBodyInput>) =>
    gaps(body)
      .filter((gap) => gap.severity === "impossible")
      .map((gap) => gap.field);

  test.each([
    [{}, []],
    [{ image: "exec:python3", args: ["x.py"] }, []],
    [{ image: "alpine:3.20" }, ["image"]],
    [{ image: "exec:sh", command: ["x"] }, ["command"]],
    [{ volumes: ["/data:/data"] }, []],
    [{ volumes: ["/data/:/data:rw"] }, []],
    [{ volumes: ["/data:/mnt"] }, ["volumes"]],
    [{ volumes: ["named:/mnt"] }, ["volumes"]],
    [{ network: "egress" as const }, []],
    [{ network: "backend" }, ["network"]],
    [{ user: "nobody" }, ["user"]],
    [{ user: String(process.getuid?.()) }, []],
    [{ capAdd: ["NET_ADMIN"] }, ["capAdd"]],
  ])("%j: %j", (body, fields) => {
    expect(impossible(body)).toEqual(fields);
  });

  test("limits and isolation are weaker, always", () => {
    const fields = gaps({ volumes: ["/data:/data"] }).map((gap) => `${gap.severity} ${gap.field}`);
    for (const field of [
      "limits.memory",
      "limits.cpus",
      "limits.pids",
      "limits.tmp",
      "network",
      "readOnly",
      "volumes",
    ]) {
      expect(fields).toContain(`weaker ${field}`);
    }
    expect(gaps({ readOnly: false }).map((gap) => gap.field)).not.toContain("readOnly");
  });
});

describe("the health check", () => {
  const answers = async (text: string | undefined): Promise<boolean> => {
    const server: Server = createServer((socket) => {
      socket.on("error", () => {});
      if (text !== undefined) socket.end(text);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    try {
      return await askHealth({ host: "127.0.0.1", port }, 300);
    } finally {
      server.close();
    }
  };
  const report = (status: string) =>
    `${JSON.stringify({ link: "health", status, version: "1", uptimeMs: 1, processes: 0, sessions: 0, connections: 0, inFlight: 0 })}\n`;

  test.each([
    ["ok", report("ok"), true],
    ["draining is not ill", report("draining"), true],
    ["unhealthy", report("unhealthy"), false],
    ["an error frame", '{"link":"error","kind":"forbidden","message":"no"}\n', false],
    ["garbage", "hello\n", false],
    ["half a line", '{"link":"heal', false],
    ["silence", undefined, false],
  ])("%s", async (_, text, healthy) => {
    expect(await answers(text)).toBe(healthy);
  });

  test("no listener is not healthy", async () => {
    expect(await askHealth({ host: "127.0.0.1", port: 9 }, 300)).toBe(false);
    expect(await askHealth(undefined, 300)).toBe(false);
  });
});
