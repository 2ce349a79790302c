/**
 * The Linux build for an engine that cannot run this one: macOS and Windows hosts, engines of another architecture. It
 * comes from a release, a directory with SHA256SUMS beside its files, and is kept in the data directory.
 */
import { createWriteStream } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { VERSION } from "../../base/version.ts";
import { type BridgeFiles, describeBridge, ownBridgeFiles } from "./bridge-files.ts";
import type { Report } from "../runtime.ts";

export interface ReleaseSource {
  /** LINKSPAN_RELEASE_URL: the directory of the release, `{version}` in it stands for this build's version. */
  url: string | undefined;
  dataDir: string;
}

/** A Linux build has some 120 MB; what is much larger is none. */
const FILE_BYTES_MAX = 512 * 1024 * 1024;
const SUMS_BYTES_MAX = 64 * 1024;
const SUMS = "SHA256SUMS";

/** This executable where it can run in the engine, else the release's. Faults as below. */
export async function bridgeFilesFor(
  arch: string,
  source: ReleaseSource,
  report: Report,
  deadline: Deadline,
): Promise<BridgeFiles> {
  return (await ownBridgeFiles(arch)) ?? releaseBridgeFiles(arch, source, report, deadline);
}

/** Faults: `unsupported` (no release is named, or it has no such build), `unreachable`, `conflict` (a checksum does not fit). */
export async function releaseBridgeFiles(
  arch: string,
  { url, dataDir }: ReleaseSource,
  report: Report,
  deadline: Deadline,
): Promise<BridgeFiles> {
  const target = `linux-${arch}`;
  const folder = join(dataDir, "bridge", `${VERSION}-${target}`);
  const base = releaseUrl(url, target);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const sums = parseSums(await sumsOf(base, join(folder, SUMS), deadline));
  const executable = await download(base, `linkspan-${target}`, sums, folder, report, deadline);
  const loader = await download(base, `loader-${target}.tar`, sums, folder, report, deadline);
  return describeBridge(executable, await Bun.file(loader).bytes());
}

function releaseUrl(url: string | undefined, target: string): string {
  if (!url) {
    throw new Fault(
      "unsupported",
      `this build cannot run in the engine, and no release with one for ${target} is known`,
      {
        hint: `set LINKSPAN_RELEASE_URL to a directory made with "bun build.ts --all", or use an engine of this machine's kind`,
      },
    );
  }
  let parsed: URL;
  try {
    parsed = new URL(url.replaceAll("{version}", VERSION));
  } catch (cause) {
    throw new Fault("usage", "LINKSPAN_RELEASE_URL is not a URL", { cause });
  }
  // The checksums come the same way as the files: only the connection can vouch for them.
  const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(parsed.hostname);
  if (parsed.protocol !== "https:" && !(parsed.protocol === "http:" && loopback)) {
    throw new Fault("usage", "LINKSPAN_RELEASE_URL must be an https address", { hint: "http is for loopback only" });
  }
  return parsed.href.replace(/\/?$/, "/");
}

/** The release's word, kept for the day when it cannot be reached. */
async function sumsOf(base: string, kept: string, deadline: Deadline): Promise<string> {
  try {
    const text = await fetchSums(base, deadline);
    await Bun.write(kept, text);
    return text;
  } catch (error) {
    const known = error instanceof Fault && error.kind === "unreachable" ? Bun.file(kept) : undefined;
    if (known && (await known.exists())) return known.text();
    throw error;
  }
}

async function fetchSums(base: string, deadline: Deadline): Promise<string> {
  const response = await open(`${base}${SUMS}`, deadline);
  const text = await deadline.race(`reading ${SUMS} of the release`, response.text());
  if (text.length > SUMS_BYTES_MAX)
    throw new Fault("too-large", `${SUMS} of the release has more than ${SUMS_BYTES_MAX} bytes`);
  return text;
}

/** Lines of `HEX  NAME`, as sha256sum writes them. */
function parseSums(text: string): Map<string, string> {
  const sums = new Map<string, string>();
  for (const [, hash = "", name = ""] of text.matchAll(/^([0-9a-f]{64}) [ *](\S+)$/gm)) sums.set(name, hash);
  return sums;
}

/** The file's path on this machine; downloaded only where the one that is kept has another checksum. */
async function download(
  base: string,
  name: string,
  sums: Map<string, string>,
  folder: string,
  report: Report,
  deadline: Deadline,
): Promise<string> {
  const wanted = sums.get(name);
  if (!wanted) {
    throw new Fault("unsupported", `the release has no ${name}`, { hint: `${base}${SUMS} lists what it has` });
  }
  const file = join(folder, name);
  if ((await hashOf(file)) === wanted) return file;
  const draft = `${file}.${process.pid}.new`;
  try {
    const found = await store(await open(`${base}${name}`, deadline), draft, name, report, deadline);
    if (found !== wanted) {
      throw new Fault("conflict", `${name} of the release does not have the checksum that ${SUMS} says`, {
        data: { wanted, found },
      });
    }
    await rename(draft, file);
    return file;
  } finally {
    await rm(draft, { force: true });
  }
}

async function open(url: string, deadline: Deadline): Promise<Response> {
  const shown = url.replace(/\/\/[^/@]*@/, "//");
  let response: Response;
  try {
    response = await fetch(url, { signal: deadline.signal });
  } catch (cause) {
    if (deadline.passed) throw deadline.fault(`downloading ${shown}`);
    throw new Fault("unreachable", `the release at ${shown} cannot be reached`, {
      hint: "check LINKSPAN_RELEASE_URL and the network",
      cause,
    });
  }
  if (response.ok) return response;
  throw new Fault(
    response.status === 404 ? "not-found" : "unreachable",
    `${shown} answers with status ${response.status}`,
    {
      hint: "check LINKSPAN_RELEASE_URL",
    },
  );
}

async function store(
  response: Response,
  draft: string,
  name: string,
  report: Report,
  deadline: Deadline,
): Promise<string> {
  const total = Number(response.headers.get("content-length") ?? Number.NaN);
  const hash = new Bun.CryptoHasher("sha256");
  const output = createWriteStream(draft, { mode: 0o700 });
  let current = 0;
  try {
    for await (const chunk of response.body ?? []) {
      current += chunk.length;
      if (current > FILE_BYTES_MAX) throw new Fault("too-large", `${name} has more than ${FILE_BYTES_MAX} bytes`);
      hash.update(chunk);
      if (!output.write(chunk)) await new Promise<void>((resolve) => output.once("drain", resolve));
      report({ step: "bridge", detail: `downloading ${name}`, current, ...(Number.isNaN(total) ? {} : { total }) });
    }
  } catch (error) {
    throw deadline.passed ? deadline.fault(`downloading ${name}`) : error;
  } finally {
    await new Promise<void>((resolve) => output.end(() => resolve()));
  }
  return hash.digest("hex");
}

async function hashOf(path: string): Promise<string | undefined> {
  const file = Bun.file(path);
  if (!(await file.exists())) return undefined;
  const hash = new Bun.CryptoHasher("sha256");
  for await (const chunk of file.stream()) hash.update(chunk);
  return hash.digest("hex");
}
