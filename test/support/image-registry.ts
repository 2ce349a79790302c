/** A registry of images on loopback, which every engine trusts without TLS: real pulls, and the faults of real registries. */
import { createHash, randomBytes } from "node:crypto";
import { archiveOf, type Entry } from "../../src/docker/archive.ts";

export interface ImageRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  host: string;
  /** Paths that were asked for, in their order. */
  asked: string[];
  /** Layers that began, and whose other end went away before they ended. */
  abandoned(): number;
}

export interface RegistryOptions {
  /** `user:password`: everything else is answered with 401. */
  login?: string;
  /** Answers every manifest with 429, at once or when the promise is resolved. Read at each request, too. */
  limited?: boolean | Promise<void>;
  /** Layers begin and never end, or go on when the promise is resolved. Read at each request: it may be set later. */
  stalls?: boolean | Promise<void>;
  /** Layers come byte by byte, so that it is seen when nobody takes them any more. */
  drips?: boolean;
  /** The beginning of a push is answered when the promise is resolved. */
  uploads?: Promise<void>;
}

/** Images by name; each has one layer with the entries. */
export async function startImageRegistry(
  images: Record<string, Entry[]>,
  options: RegistryOptions = {},
): Promise<ImageRegistry> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, Buffer>();
  const put = (bytes: Buffer) => {
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    blobs.set(digest, bytes);
    return { digest, size: bytes.length };
  };
  for (const [name, entries] of Object.entries(images)) {
    const layer = put(Buffer.concat(await Array.fromAsync(archiveOf(entries))));
    const config = put(
      Buffer.from(
        JSON.stringify({
          architecture: process.arch === "arm64" ? "arm64" : "amd64",
          os: "linux",
          config: { Labels: { "linkspan.test": randomBytes(8).toString("hex") } },
          rootfs: { type: "layers", diff_ids: [layer.digest] },
        }),
      ),
    );
    const type = "application/vnd.docker";
    const manifest = {
      schemaVersion: 2,
      mediaType: `${type}.distribution.manifest.v2+json`,
      config: { mediaType: `${type}.container.image.v1+json`, ...config },
      layers: [{ mediaType: `${type}.image.rootfs.diff.tar`, ...layer }],
    };
    manifests.set(name, Buffer.from(JSON.stringify(manifest)));
  }
  const asked: string[] = [];
  const counts = { abandoned: 0 };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: (request) => answer(request, { blobs, manifests, asked, counts, options }),
  });
  const abandoned = () => counts.abandoned;
  return { host: `127.0.0.1:${server.port}`, asked, abandoned, [Symbol.asyncDispose]: () => server.stop(true) };
}

interface Store {
  blobs: Map<string, Buffer>;
  manifests: Map<string, Buffer>;
  asked: string[];
  counts: { abandoned: number };
  options: RegistryOptions;
}

async function answer(request: Request, { blobs, manifests, asked, counts, options }: Store): Promise<Response> {
  const { pathname } = new URL(request.url);
  asked.push(pathname);
  const refuse = (status: number, code: string, headers = {}) =>
    Response.json({ errors: [{ code, message: code.toLowerCase() }] }, { status, headers });
  const login = options.login && `Basic ${Buffer.from(options.login).toString("base64")}`;
  if (login && request.headers.get("authorization") !== login) {
    return refuse(401, "UNAUTHORIZED", { "www-authenticate": 'Basic realm="test"' });
  }
  if (pathname === "/v2/") return Response.json({});
  if (request.method !== "GET" && request.method !== "HEAD")
    return await take(request, { blobs, manifests, asked, counts, options });
  const [, name = "", kind, ref = ""] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(pathname) ?? [];
  if (kind === "manifests") {
    if (options.limited) {
      await options.limited;
      return refuse(429, "TOOMANYREQUESTS");
    }
    const manifest = manifests.get(name) ?? blobs.get(ref);
    if (!manifest) return refuse(404, "MANIFEST_UNKNOWN");
    const digest = `sha256:${createHash("sha256").update(manifest).digest("hex")}`;
    const type = "application/vnd.docker.distribution.manifest.v2+json";
    return new Response(manifest, { headers: { "content-type": type, "docker-content-digest": digest } });
  }
  const blob = blobs.get(ref);
  if (!blob) return refuse(404, "BLOB_UNKNOWN");
  const isLayer = blob.length > 4096;
  if (options.drips && isLayer) return dripping(blob, counts);
  if (!options.stalls || !isLayer) return new Response(blob);
  const { stalls } = options;
  const begin = new ReadableStream({
    async start(controller) {
      controller.enqueue(blob.subarray(0, 4096));
      if (stalls === true) return;
      await stalls;
      controller.enqueue(blob.subarray(4096));
      controller.close();
    },
  });

  return new Response(begin, { headers: { "content-length": String(blob.length) } });
}

function dripping(blob: Buffer, counts: Store["counts"]): Response {
  let at = 0;
  const body = new ReadableStream({
    async pull(controller) {
      await Bun.sleep(20);
      controller.enqueue(blob.subarray(at, (at += 1)));
    },
    cancel() {
      counts.abandoned += 1;
    },
  });
  return new Response(body, { headers: { "content-length": String(blob.length) } });
}

/** A push: a layer is begun, sent and named; then the manifest. */
async function take(request: Request, { blobs, manifests, options }: Store): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  if (request.method === "DELETE") return new Response(null, { status: 204 });
  if (request.method === "POST") {
    await options.uploads;
    const location = `${pathname}${crypto.randomUUID()}`;
    return new Response(null, { status: 202, headers: { location, range: "0-0" } });
  }
  const bytes = Buffer.from(await request.arrayBuffer());
  const [, name = ""] = /^\/v2\/(.+)\/manifests\//.exec(pathname) ?? [];
  if (name !== "") {
    manifests.set(name, bytes);
    const named = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    return new Response(null, { status: 201, headers: { "docker-content-digest": named } });
  }
  const sent = Buffer.concat([blobs.get(pathname) ?? Buffer.alloc(0), bytes]);
  if (request.method === "PATCH") {
    blobs.set(pathname, sent);
    return new Response(null, { status: 202, headers: { location: pathname, range: `0-${sent.length - 1}` } });
  }
  const digest = searchParams.get("digest") ?? "";
  blobs.set(digest, sent);
  return new Response(null, { status: 201, headers: { "docker-content-digest": digest } });
}
