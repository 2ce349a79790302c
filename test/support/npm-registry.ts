/** A small npm registry on a loopback port: what a test needs to be exact about packages, versions and refusals. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { pack } from "tar-stream";

export interface FakePackage {
  /** Version → files (path → text); `package.json` is made of `manifest`. */
  versions: Record<string, { manifest?: Record<string, unknown>; files?: Record<string, string> }>;
  tags?: Record<string, string>;
  /** Answer every request for it with this status. */
  status?: number;
  /** Hand out another archive than the manifest's checksum says. */
  corrupt?: boolean;
}

export interface Registry extends AsyncDisposable {
  url: string;
  /** Paths asked for so far. */
  requests: string[];
}

export async function startRegistry(packages: Record<string, FakePackage>, token?: string): Promise<Registry> {
  const archives = new Map<string, Uint8Array>();
  const documents = new Map<string, (url: string) => unknown>();
  for (const [name, fake] of Object.entries(packages)) {
    const versions: Record<string, (url: string) => unknown> = {};
    for (const [version, content] of Object.entries(fake.versions)) {
      const manifest = { name, version, ...content.manifest };
      const archive = await tarball({ "package.json": JSON.stringify(manifest), ...content.files });
      const path = `/-/${encodeURIComponent(name)}-${version}.tgz`;
      archives.set(
        path,
        fake.corrupt ? await tarball({ "package.json": JSON.stringify({ ...manifest, x: 1 }) }) : archive,
      );
      const integrity = `sha512-${createHash("sha512").update(archive).digest("base64")}`;
      versions[version] = (url) => ({ ...manifest, dist: { tarball: `${url}${path}`, integrity } });
    }
    documents.set(`/${name}`, (url) => ({
      name,
      "dist-tags": fake.tags ?? { latest: Object.keys(fake.versions).at(-1) },
      versions: Object.fromEntries(Object.entries(versions).map(([version, make]) => [version, make(url)])),
    }));
  }
  const requests: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      const { pathname, origin } = new URL(request.url);
      const path = pathname.startsWith("/-/") ? pathname : decodeURIComponent(pathname);
      requests.push(path);
      if (token !== undefined && request.headers.get("authorization") !== `Bearer ${token}`) {
        return new Response("no", { status: 401 });
      }
      const status = packages[path.slice(1)]?.status;
      if (status !== undefined) return new Response("no", { status });
      const archive = archives.get(path);
      if (archive) return new Response(Buffer.from(archive));
      const document = documents.get(path);
      return document ? Response.json(document(origin)) : new Response("{}", { status: 404 });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}/`,
    requests,
    [Symbol.asyncDispose]: async () => {
      await server.stop(true);
    },
  };
}

async function tarball(files: Record<string, string>): Promise<Uint8Array<ArrayBuffer>> {
  const archive = pack();
  for (const [name, text] of Object.entries(files)) {
    archive.entry({ name: `package/${name}`, mode: 0o644, mtime: new Date(0) }, text);
  }
  const chunks: Uint8Array[] = [];
  archive.on("data", (chunk) => {
    if (chunk instanceof Uint8Array) chunks.push(chunk);
  });
  archive.finalize();
  await once(archive, "end");
  return Bun.gzipSync(Buffer.concat(chunks));
}
