import { mkdir, rm, rmdir, stat, statfs, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import * as v from "valibot";
import type { ManagerClient } from "../api/client/client.ts";
import { connectManager, remoteManager } from "../api/client/connect.ts";
import { dataDir } from "../base/data-dir.ts";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { COMMIT, TARGET, VERSION } from "../base/version.ts";
import { chosenConfigFile, explain, loadConfig } from "../model/config.ts";
import { command, type Services } from "./command.ts";
import { showProgress } from "./progress.ts";
import { note, oneLine, onStdout, print, printJson } from "./terminal.ts";
import { formatBytes } from "./units.ts";

interface Finding {
  check: string;
  /** `warning`: works, but not as well as it could. */
  status: "ok" | "warning" | "failed";
  detail: string;
  /** What to do about it. */
  fix?: string;
}

/** Each looks at one thing and never throws; the order is that of the output. */
const CHECKS: ((services: Services) => Promise<Finding[]>)[] = [
  program,
  engine,
  data,
  disk,
  manager,
  ports,
  configuration,
];
const CHECK_MS = 15_000;
const DISK_BYTES_MIN = 1024 ** 3;
/** Where `linkspan serve` listens unless told otherwise. */
const PORTS = [
  { port: 8080, flag: "--port", what: "REST" },
  { port: 8081, flag: "--tcp-port", what: "TCP" },
];

export const doctor = command({
  define: (program) => program,
  examples: [
    ["linkspan doctor", "look at everything that Linkspan needs"],
    ["linkspan doctor --json", "for programs: a JSON array; exit code 4 when something is broken"],
  ],
  options: v.object({}),
  async run({ services, json }) {
    const progress = showProgress();
    progress.report({ step: "looking around" });
    const findings = (await Promise.all(CHECKS.map((check) => guarded(check, services)))).flat();
    progress.end();
    const failed = findings.filter((finding) => finding.status === "failed");
    const code = failed.length > 0 ? new Fault("unreachable", "").faces.exit : 0;
    if (json) {
      printJson(findings);
      return code;
    }
    for (const finding of findings) print(findingLines(finding));
    const warnings = findings.filter((finding) => finding.status === "warning").length;
    note(`${failed.length} broken, ${warnings} could be better, ${findings.length - failed.length - warnings} fine.`);
    return code;
  },
});

function findingLines({ check, status, detail, fix }: Finding): string {
  const mark = { ok: onStdout.green("✓"), warning: onStdout.yellow("!"), failed: onStdout.red("✗") }[status];
  const line = `${mark} ${onStdout.bold(check.padEnd(13))} ${oneLine(detail)}`;
  return fix === undefined ? line : `${line}\n  ${" ".repeat(13)} ${onStdout.cyan("fix:")} ${oneLine(fix)}`;
}

async function guarded(check: (typeof CHECKS)[number], services: Services): Promise<Finding[]> {
  try {
    return await Deadline.in(CHECK_MS).race(`the check ${check.name}`, check(services));
  } catch (thrown) {
    return [fromFault(check.name, "failed", Fault.from(thrown))];
  }
}

function fromFault(check: string, status: Finding["status"], fault: Fault): Finding {
  return { check, status, detail: fault.message, ...(fault.hint === undefined ? {} : { fix: fault.hint }) };
}

async function program(): Promise<Finding[]> {
  return [{ check: "linkspan", status: "ok", detail: `${VERSION} (commit ${COMMIT}, Bun ${Bun.version}, ${TARGET})` }];
}

async function engine(services: Services): Promise<Finding[]> {
  const check = "engine";
  if ((await chosenRuntime()) === "process") {
    return [{ check, status: "ok", detail: "not needed: servers run as plain processes, without isolation" }];
  }
  try {
    const facts = await services.checkEngine();
    const reached = facts.direct ? "containers reached by their addresses" : "containers reached by published ports";
    const detail = `${facts.version} (API ${facts.api}, ${facts.os}/${facts.arch}) at ${facts.address}, ${reached}`;
    const weak = facts.unenforced.map((field) => `it takes ${field} and does not enforce it`);
    const warnings = [...facts.warnings, ...weak].map((found): Finding => ({
      check,
      status: "warning",
      detail: found,
    }));
    return [{ check, status: "ok", detail }, ...warnings];
  } catch (thrown) {
    const finding = fromFault(check, "failed", Fault.from(thrown));
    const without =
      "Or do without, and without isolation: LINKSPAN_RUNTIME=process, or manager.runtime in linkspan.yaml.";
    return [{ ...finding, fix: [finding.fix, without].filter(Boolean).join(". ") }];
  }
}

/** As the manager decides: the environment, then the configuration. A faulty one is another check's finding. */
async function chosenRuntime(): Promise<string | undefined> {
  if (process.env.LINKSPAN_RUNTIME) return process.env.LINKSPAN_RUNTIME;
  const result = await loadConfig(chosenConfigFile(process.env), process.env).catch(() => undefined);
  return result?.ok ? result.config.manager.runtime : undefined;
}

/** The data directory: ours, for us alone, and writable. */
async function data(): Promise<Finding[]> {
  const dir = dataDir();
  const check = "data";
  const probe = join(dir, `.doctor-${process.pid}`);
  let mode: number;
  try {
    const made = await mkdir(dir, { recursive: true, mode: 0o700 });
    await writeFile(probe, "");
    await rm(probe);
    mode = (await stat(dir)).mode & 0o777;
    // To look is not to install: what was not there before is not there afterwards, unless somebody uses it already.
    if (made) await rmdir(dir).catch(() => undefined);
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return [
      {
        check,
        status: "failed",
        detail: `${dir} cannot be written: ${reason}`,
        fix: "Make it yours, or set LINKSPAN_DATA_DIR to a directory of your own.",
      },
    ];
  }
  if (process.platform === "win32" || (mode & 0o077) === 0) return [{ check, status: "ok", detail: dir }];
  return [
    {
      check,
      status: "failed",
      detail: `${dir} is open to others (mode ${mode.toString(8)}); it holds the token and the key`,
      fix: `chmod 700 ${dir}`,
    },
  ];
}

async function disk(): Promise<Finding[]> {
  let dir = dataDir();
  while (!(await stat(dir).catch(() => undefined)) && dirname(dir) !== dir) dir = dirname(dir);
  const { bavail, bsize } = await statfs(dir);
  const free = bavail * bsize;
  const detail = `${formatBytes(free)} free for ${dir}`;
  if (free >= DISK_BYTES_MIN) return [{ check: "disk", status: "ok", detail }];
  return [{ check: "disk", status: "warning", detail, fix: "Free some space: images and npm packages need it." }];
}

async function manager(): Promise<Finding[]> {
  const check = "manager";
  const remote = remoteManager(process.env);
  try {
    const client = await connectManager({ start: false, deadline: Deadline.in(5_000) });
    const where = client.target.kind === "unix" ? client.target.path : client.target.url;
    const { ready, reason } = await client.ready({ deadline: Deadline.in(5_000) });
    if (ready) return [{ check, status: "ok", detail: `answers at ${where}` }, ...(await orphans(client))];
    return [{ check, status: "warning", detail: `at ${where} is not ready: ${reason ?? "it does not say why"}` }];
  } catch (thrown) {
    const fault = Fault.from(thrown);
    if (remote) return [fromFault(check, "failed", fault)];
    if (fault.kind !== "unreachable") return [fromFault(check, "failed", fault)];
    return [{ check, status: "ok", detail: "does not run; it is started when it is needed" }];
  }
}

async function orphans(client: ManagerClient): Promise<Finding[]> {
  const { removed } = await client.cleanup({ dryRun: true, force: false }, { deadline: Deadline.in(5_000) });
  const check = "orphans";
  if (removed.length === 0) return [{ check, status: "ok", detail: "no container or network is left over" }];
  const names = removed.slice(0, 3).map(({ name }) => name);
  const detail = `${removed.length} left over: ${names.join(", ")}${removed.length > names.length ? ", …" : ""}`;
  return [{ check, status: "warning", detail, fix: "linkspan cleanup removes them." }];
}

async function ports(): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { port, flag, what } of PORTS) {
    const check = `port ${port}`;
    if (await isFree(port)) findings.push({ check, status: "ok", detail: `free for ${what} on 127.0.0.1` });
    else if (await isOurs(port)) findings.push({ check, status: "ok", detail: "a Linkspan manager listens there" });
    else {
      findings.push({
        check,
        status: "warning",
        detail: `taken by another program; linkspan serve wants it for ${what}`,
        fix: `linkspan serve ${flag} ${port + 10}; clients that linkspan mcp serves need no port at all.`,
      });
    }
  }
  return findings;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** REST answers `GET /health` without a token; the TCP port belongs to whoever has the REST port beside it. */
async function isOurs(port: number): Promise<boolean> {
  const rest = port === PORTS[1]?.port ? port - 1 : port;
  try {
    const signal = AbortSignal.timeout(1_000);
    const answer = await fetch(`http://127.0.0.1:${rest}/health`, { signal, proxy: false, redirect: "error" });
    return v.is(v.object({ status: v.literal("ok") }), await answer.json());
  } catch {
    return false;
  }
}

async function configuration(): Promise<Finding[]> {
  const file = chosenConfigFile(process.env);
  const check = "configuration";
  if (!(await Bun.file(file).exists())) return [{ check, status: "ok", detail: `none at ${file}, which is fine` }];
  const result = await loadConfig(file, process.env);
  if (result.ok) return [{ check, status: "ok", detail: `${file}, ${result.config.servers.length} servers` }];
  const [first] = explain(result.errors).split("\n");
  return [
    {
      check,
      status: "failed",
      detail: `${file} has ${result.errors.length} errors: ${first ?? ""}`,
      fix: `linkspan config validate ${file}`,
    },
  ];
}
