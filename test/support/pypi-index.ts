/** A small package index for pip (PEP 503), with wheels made here: what a test needs to be exact about versions and refusals. */
import { createHash } from "node:crypto";

export interface Wheel {
  /** Path → text. */
  files?: Record<string, string>;
  /** Console script → `module:function`. */
  scripts?: Record<string, string>;
  requires?: string[];
  /** Whoever asks waits for ever. */
  stalled?: boolean;
  /** Offered as a source archive only. */
  sourceOnly?: boolean;
}

/** Name → version → what is in it. */
export type Packages = Record<string, Record<string, Wheel>>;

export interface PypiIndex extends AsyncDisposable {
  port: number;
  /** Paths asked for so far. */
  requests: string[];
}

/** On every address of this machine: containers ask, too. `login` is `user:password`. */
export function startPypiIndex(packages: Packages, login?: string): PypiIndex {
  const requests: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "0.0.0.0",
    fetch(request) {
      const { pathname } = new URL(request.url);
      requests.push(pathname);
      const expected = login && `Basic ${Buffer.from(login).toString("base64")}`;
      if (expected && request.headers.get("authorization") !== expected) return new Response("no", { status: 401 });
      const [, kind, name = "", file = ""] = pathname.split("/");
      const versions = packages[name];
      if (!versions) return new Response("none", { status: 404 });
      if (Object.values(versions).some(({ stalled }) => stalled)) return new Promise<Response>(() => {});
      if (kind === "files") {
        const version = file.split("-")[1] ?? "";
        return new Response(wheelOf(name, version, versions[version] ?? {}));
      }
      const links = Object.entries(versions).map(([version, wheel]) => linkTo(name, version, wheel));
      return new Response(`<!DOCTYPE html><html><body>${links.join("\n")}</body></html>`, {
        headers: { "content-type": "text/html" },
      });
    },
  });
  const { port = 0 } = server;
  return { port, requests, [Symbol.asyncDispose]: () => server.stop(true) };
}

function linkTo(name: string, version: string, wheel: Wheel): string {
  if (wheel.sourceOnly) return `<a href="/files/${name}/${name}-${version}.tar.gz">${name}-${version}.tar.gz</a>`;
  const file = `${name}-${version}-py3-none-any.whl`;
  const sum = createHash("sha256")
    .update(wheelOf(name, version, wheel))
    .digest("hex");
  return `<a href="/files/${name}/${file}#sha256=${sum}">${file}</a>`;
}

function wheelOf(
  name: string,
  version: string,
  { files = {}, scripts = {}, requires = [] }: Wheel,
): Buffer<ArrayBuffer> {
  const info = `${name}-${version}.dist-info`;
  const needs = requires.map((one) => `Requires-Dist: ${one}\n`).join("");
  const entries = Object.entries(scripts).map(([script, target]) => `${script} = ${target}\n`);
  const all: Record<string, string> = {
    ...files,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n${needs}`,
    [`${info}/WHEEL`]: "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    [`${info}/entry_points.txt`]: `[console_scripts]\n${entries.join("")}`,
  };
  const record = [...Object.keys(all), `${info}/RECORD`].map((path) => `${path},,\n`).join("");
  return zipOf({ ...all, [`${info}/RECORD`]: record });
}

/** Stored, without compression. */
function zipOf(files: Record<string, string>): Buffer<ArrayBuffer> {
  const local: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const [path, text] of Object.entries(files)) {
    const [name, bytes] = [Buffer.from(path), Buffer.from(text)];
    const facts = Buffer.alloc(26);
    facts.writeUInt16LE(20, 0);
    facts.writeUInt16LE(0x21, 8);
    facts.writeUInt32LE(Bun.hash.crc32(bytes), 10);
    facts.writeUInt32LE(bytes.length, 14);
    facts.writeUInt32LE(bytes.length, 18);
    facts.writeUInt16LE(name.length, 22);
    const head = Buffer.concat([Buffer.from("PK\u0003\u0004"), facts, name, bytes]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    central.push(Buffer.concat([Buffer.from("PK\u0001\u0002\u0014\0"), facts, place, name]));
    local.push(head);
    offset += head.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write("PK\u0005\u0006");
  end.writeUInt16LE(central.length, 8);
  end.writeUInt16LE(central.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...local, directory, end]);
}
