/**
 * Runs inside a cage (caged-engine.ts): an engine that listens on TCP with TLS and asks for client certificates, and what
 * those hear who come with the right ones, with wrong ones, and without. Prints the outcomes. Argument: folder.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { findEndpoint } from "../../src/docker/endpoint.ts";
import { listContainers } from "../../src/docker/containers.ts";
import { Engine } from "../../src/docker/engine.ts";
import { CagedEngine, runCaged } from "./caged-engine.ts";

const CAGE_MS = 80_000;
const ANSWER_MS = 10_000;

export async function tlsOutcomes(): Promise<Record<string, unknown>> {
  return JSON.parse(await runCaged(import.meta.path, [], CAGE_MS)) as Record<string, unknown>;
}

if (import.meta.main) {
  const [folder = ""] = process.argv.slice(2);
  const outcomes = await serveAndAsk(folder);
  process.stdout.write(JSON.stringify(outcomes), () => process.exit(0));
}

async function serveAndAsk(folder: string): Promise<Record<string, unknown>> {
  const ours = await certificates(join(folder, "ours"));
  const foreign = await certificates(join(folder, "foreign"));
  await CagedEngine.furnish();
  const tls = [
    "--tlsverify",
    "--tlscacert",
    ours("ca.pem"),
    "--tlscert",
    ours("server.pem"),
    "--tlskey",
    ours("server-key.pem"),
  ];
  const engine = new CagedEngine(folder, false, ["-H", "tcp://127.0.0.1:2376", ...tls]);
  await engine.start();
  const base = { DOCKER_BASE_URL: "tcp://127.0.0.1:2376", DOCKER_TLS_VERIFY: "true" };
  const ca = { DOCKER_TLS_CA_CERT: ours("ca.pem") };
  const client = { DOCKER_TLS_CLIENT_CERT: ours("cert.pem"), DOCKER_TLS_CLIENT_KEY: ours("key.pem") };
  const strange = { DOCKER_TLS_CLIENT_CERT: foreign("cert.pem"), DOCKER_TLS_CLIENT_KEY: foreign("key.pem") };
  const outcomes = {
    right: await ask({ ...base, ...ca, ...client }),
    certPath: await ask({ ...base, DOCKER_CERT_PATH: ours("") }),
    toolset: await askToolset({ ...base, ...ca, ...client }),
    wrongCa: await ask({ ...base, DOCKER_TLS_CA_CERT: foreign("ca.pem"), ...client }),
    noCa: await ask({ ...base, ...client }),
    noCertificate: await ask({ ...base, ...ca }),
    foreignCertificate: await ask({ ...base, ...ca, ...strange }),
    otherName: await ask({ ...base, ...ca, ...client, DOCKER_BASE_URL: "tcp://localhost:2376" }),
    plain: await ask({ DOCKER_BASE_URL: "tcp://127.0.0.1:2376", DOCKER_TLS_VERIFY: "" }, 2375),
  };
  await engine.end("SIGTERM");
  return outcomes;
}

async function ask(env: Record<string, string>, plainPort?: number): Promise<Record<string, unknown>> {
  try {
    const endpoint = findEndpoint(env);
    // 2376 alone means TLS: this is somebody who says tcp:// to another port that has it.
    const found = plainPort && endpoint.kind === "tcp" ? { ...endpoint, tls: undefined } : endpoint;
    const engine = await Engine.connect(found, Deadline.in(ANSWER_MS));
    return { version: engine.version, containers: (await listContainers(engine, {}, Deadline.in(ANSWER_MS))).length };
  } catch (error) {
    return { ...Fault.from(error).report() };
  }
}

/** The built binary with the variables of the Python mcp-docker. */
async function askToolset(env: Record<string, string>): Promise<unknown> {
  const { toolsetClient } = await import("./toolset-client.ts");
  delete process.env.DOCKER_HOST;
  await using session = await toolsetClient({ env });
  return (await session.call("docker_version")).structured["version"];
}

/** A CA, a server's certificate for 127.0.0.1 and a client's; the answer is the path of one. */
async function certificates(folder: string): Promise<(name: string) => string> {
  mkdirSync(folder, { recursive: true });
  const at = (name: string) => join(folder, name);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl([
    "req",
    "-x509",
    ...key,
    "-keyout",
    at("ca-key.pem"),
    "-out",
    at("ca.pem"),
    "-days",
    "2",
    "-subj",
    "/CN=test CA",
  ]);
  const signed = [
    ["server.pem", "server-key.pem", "/CN=engine", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"],
    ["cert.pem", "key.pem", "/CN=client", "extendedKeyUsage=clientAuth\n"],
  ] as const;
  for (const [name, keyName, subject, extensions] of signed) {
    await Bun.write(at("ext"), extensions);
    await openssl(["req", ...key, "-keyout", at(keyName), "-out", at("csr"), "-subj", subject]);
    const ca = ["-CA", at("ca.pem"), "-CAkey", at("ca-key.pem"), "-CAcreateserial"];
    await openssl(["x509", "-req", "-in", at("csr"), ...ca, "-out", at(name), "-days", "2", "-extfile", at("ext")]);
  }
  return at;
}

async function openssl(args: string[]): Promise<void> {
  const child = Bun.spawn(["openssl", ...args], { stdio: ["ignore", "ignore", "pipe"] });
  const [said, code] = await Promise.all([child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`openssl ${args[0]}: ${said}`);
}
