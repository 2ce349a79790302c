/**
 * The systemd unit: read by systemd's own tools, and installed in a mount namespace of its own with a stand-in for
 * systemctl, because a machine that runs tests is seldom run by systemd.
 */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { unitText } from "../../src/cli/service/unit.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv, faultLine, linkspan, tempDir } from "../support/cli.ts";

const ANALYZE = Bun.which("systemd-analyze");
const BOOTED = existsSync("/run/systemd/system");
const ROOT = process.getuid?.() === 0;
const UNSHARE = ROOT && Bun.which("unshare") !== null && existsSync("/etc/systemd/system");
/** systemd calls up to 2.0 "OK" and the next step "medium"; a service without any of this is at 9. */
const EXPOSURE_MAX = 2.2;

async function run(command: string[], env: Record<string, string> = {}) {
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe", env: cleanEnv(env), timeout: 30_000 });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { out, err, code };
}

describe("the unit", () => {
  test("has the memory limit and the hardening, words are quoted as systemd reads them", () => {
    const command = ["/opt/link span/linkspan", "serve", "--config", "/etc/100%/$x.yaml", 'a"b\\'];
    const system = unitText({ variant: "system", command, group: "docker" });
    for (const line of [
      String.raw`ExecStart="/opt/link span/linkspan" serve --config "/etc/100%%/$$x.yaml" "a\"b\\"`,
      "MemoryMax=384M",
      "NoNewPrivileges=yes",
      "ProtectSystem=strict",
      "DynamicUser=yes",
      "SupplementaryGroups=docker",
      "CapabilityBoundingSet=",
      "WantedBy=multi-user.target",
    ]) {
      expect(system.split("\n")).toContain(line);
    }
    const user = unitText({ variant: "user", command, group: "docker" }).split("\n");
    for (const line of ["MemoryMax=384M", "NoNewPrivileges=yes", "WantedBy=default.target"])
      expect(user).toContain(line);
    for (const name of ["DynamicUser", "SupplementaryGroups", "ProtectSystem"]) {
      expect(user.filter((line) => line.startsWith(`${name}=`))).toEqual([]);
    }
  });

  test.skipIf(!ANALYZE).each(["system", "user"])("%s: systemd finds nothing wrong with it", async (variant) => {
    await using temp = await tempDir("unit");
    const printed = await linkspan(["service", "install", `--${variant}`, "--print", "--", "--port", "8090"]);
    expect(printed).toMatchObject({ code: 0, err: "" });
    expect(printed.out).toContain("serve --port 8090\n");
    const unit = join(temp.path, "linkspan.service");
    await Bun.write(unit, printed.out);
    const scope = variant === "user" ? "--user" : "--system";
    const verified = await run(["systemd-analyze", scope, "--man=no", "verify", unit], { XDG_RUNTIME_DIR: temp.path });
    expect(verified).toEqual({ code: 0, out: "", err: "" });
    if (variant === "user") return;
    const security = [
      "systemd-analyze",
      "security",
      "--offline=true",
      "--no-pager",
      `--threshold=${EXPOSURE_MAX * 10}`,
      unit,
    ];
    const judged = await run(security);
    expect(judged.code, judged.out).toBe(0);
    expect(judged.out).toContain("Overall exposure level");
  });
});

test.skipIf(BOOTED)("without systemd: a clear word, and the unit to use elsewhere", async () => {
  await using temp = await tempDir("service");
  const env = { HOME: temp.path };
  const refused = await linkspan(["service", "install", "--user"], { env });
  expect(refused.code).toBe(1);
  expect(refused.out).toContain("[Service]\nType=exec\n");
  expect(refused.err).toMatch(/not run by systemd|systemd is for Linux/);
  expect(faultLine(await linkspan(["service", "install", "--user", "--json"], { env }))).toMatchObject({
    kind: "unsupported",
    data: { path: join(temp.path, ".config/systemd/user/linkspan.service") },
  });
  const status = await linkspan(["service", "status", "--user", "--json"], { env });
  expect(JSON.parse(status.out)).toMatchObject({ variant: "user", installed: false, systemd: false });
  expect((await linkspan(["service", "uninstall", "--user"], { env })).code).toBe(0);
  expect(faultLine(await linkspan(["service", "install", "--user", "--system", "--json"], { env })).kind).toBe("usage");
});

describe.skipIf(!UNSHARE)("install, status and uninstall", () => {
  /** A place that looks as if systemd ran it, whose systemctl writes down what it is told. */
  async function place(path: string, closed = false) {
    const bin = join(path, "bin");
    await mkdir(bin);
    const script = `#!/bin/sh\necho "$@" >> ${path}/calls\ncase "$*" in *show*) echo ActiveState=active; echo SubState=running; echo UnitFileState=enabled; echo MainPID=7; echo NRestarts=1; echo MemoryCurrent=31457280;; *refuse*) exit 1;; esac\n`;
    await Bun.write(join(bin, "systemctl"), script);
    await chmod(join(bin, "systemctl"), 0o755);
    await mkdir(join(path, "units"));
    // The program is where everybody could start it, wherever the one under test is.
    const program = join(path, closed ? "closed" : "open", "linkspan");
    await mkdir(dirname(program), { mode: closed ? 0o700 : 0o755 });
    await Bun.write(program, "");
    const around = [
      "mount -t tmpfs none /run && mkdir -p /run/systemd/system",
      `mount --bind ${path}/units /etc/systemd/system`,
      `mount --bind ${BINARY} ${program}`,
      'exec "$@"',
    ].join(" && ");
    return {
      run: (...args: string[]) =>
        run(["unshare", "--mount", "sh", "-ec", around, "sh", program, "service", ...args], {
          PATH: `${bin}:${process.env.PATH}`,
          HOME: path,
        }),
      async calls() {
        const text = await Bun.file(join(path, "calls")).text();
        await Bun.write(join(path, "calls"), "");
        return text.trim().split("\n");
      },
      unit: (file: string) => Bun.file(join(path, file)),
    };
  }

  test("of the machine", async () => {
    await using temp = await tempDir("service-system");
    await chmod(temp.path, 0o755);
    const { run: service, calls, unit } = await place(temp.path);
    expect(await service("install", "--system", "--", "--port", "8090")).toMatchObject({ code: 0, out: "" });
    expect(await calls()).toEqual([
      "--no-pager daemon-reload",
      "--no-pager enable linkspan.service",
      "--no-pager restart linkspan.service",
    ]);
    expect(await unit("units/linkspan.service").text()).toContain(" serve --port 8090\n");
    const { out } = await service("status");
    expect(out).toContain("state    active (running), enabled\nprocess  7, 1 restarts\nmemory   30 MiB\n");
    await calls();
    expect(await service("uninstall")).toMatchObject({ code: 0 });
    expect(await calls()).toEqual(["--no-pager disable --now linkspan.service", "--no-pager daemon-reload"]);
    expect(await unit("units/linkspan.service").exists()).toBe(false);
    expect((await service("uninstall")).err).toContain("There is no");
  });

  test("of a user; one that somebody else has made is left alone", async () => {
    await using temp = await tempDir("service-user");
    const { run: service, calls, unit } = await place(temp.path);
    const file = ".config/systemd/user/linkspan.service";
    expect(await service("install", "--user")).toMatchObject({ code: 0 });
    expect((await calls())[0]).toBe("--user --no-pager daemon-reload");
    expect(await unit(file).exists()).toBe(true);
    await Bun.write(join(temp.path, file), "[Unit]\nDescription=mine\n");
    for (const action of ["install", "uninstall"]) {
      const refused = await service(action, "--user");
      expect(refused).toMatchObject({ code: 1 });
      expect(refused.err).toContain("was not made by Linkspan");
    }
    expect(await unit(file).text()).toContain("mine");
    expect(await service("install", "--user", "--force")).toMatchObject({ code: 0 });
    expect(await unit(file).text()).not.toContain("mine");
  });

  test("a program that a service's user could not start is refused at once", async () => {
    await using temp = await tempDir("service-closed");
    await chmod(temp.path, 0o755);
    const { run: service } = await place(temp.path, true);
    const refused = await service("install", "--system");
    expect(refused).toMatchObject({ code: 3, out: "" });
    expect(refused.err).toContain("is closed to other users");
    expect((await service("status", "--system")).out).toContain("not installed");
  });
});
