/** server.json documents of our own, in every shape that the schema of 2025-12-11 has, and a registry that serves them. */

const stdio = { type: "stdio" };
const $schema = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";

export const SEARCHER = {
  $schema,
  name: "com.example.tools/searcher",
  title: "Searcher",
  description: "Looks things up on the web",
  version: "1.4.0",
  packages: [
    {
      registryType: "npm",
      registryBaseUrl: "https://registry.npmjs.org",
      identifier: "@example/searcher-mcp",
      version: "1.4.0",
      runtimeHint: "npx",
      runtimeArguments: [{ type: "named", name: "-y" }],
      transport: stdio,
      packageArguments: [
        { type: "positional", value: "serve" },
        { type: "named", name: "--mode", default: "fast", choices: ["fast", "deep"] },
        { type: "named", name: "--index", description: "An index of your own", format: "string" },
      ],
      environmentVariables: [
        { name: "SEARCHER_API_KEY", description: "Its key", isRequired: true, isSecret: true, placeholder: "se_…" },
        { name: "SEARCHER_REGION", description: "Where it looks", isRequired: true, choices: ["eu", "us"] },
        { name: "LOG_LEVEL", default: "info" },
        { name: "SEARCHER_PROXY", description: "A proxy" },
      ],
    },
  ],
};

export const ROWS = {
  $schema,
  name: "com.example.tools/rows",
  description: "Rows of a database: $5 {braces} \u202eand marks\u001b[2J",
  version: "2.0.1",
  packages: [
    {
      registryType: "oci",
      identifier: "docker.io/example/rows:2.0.1",
      transport: stdio,
      runtimeArguments: [
        { type: "named", name: "--network", value: "host" },
        {
          type: "named",
          name: "-e",
          value: "KIND={kind}",
          variables: { kind: { choices: ["pg", "my"], isRequired: true } },
        },
        {
          type: "named",
          name: "--mount",
          value: "type=bind,src={source},dst={target},readonly",
          variables: { source: { format: "filepath", isRequired: true }, target: { default: "/data" } },
        },
      ],
      packageArguments: [
        { type: "named", name: "--host", default: "localhost", isRequired: true },
        { type: "named", name: "-p", value: "5432" },
        { type: "positional", valueHint: "database_name", description: "Which database", isRequired: true },
      ],
      environmentVariables: [{ name: "DB_PASSWORD", isRequired: true, isSecret: true }],
    },
    { registryType: "pypi", identifier: "example-rows", version: "2.0.1", transport: stdio },
  ],
};

export const FAR = {
  $schema,
  name: "com.example.far/files",
  description: "Files somewhere else",
  version: "3.0.0",
  remotes: [{ type: "streamable-http", url: "https://far.example/mcp", headers: [{ name: "X-Key", isSecret: true }] }],
};

export const SHARP = {
  $schema,
  name: "com.example.tools/sharp",
  description: "For another runtime",
  version: "0.1.0",
  packages: [
    { registryType: "nuget", identifier: "Example.Sharp", version: "0.1.0", transport: stdio },
    {
      registryType: "npm",
      identifier: "sharp-mcp",
      version: "0.1.0",
      transport: { type: "streamable-http", url: "http://localhost:1/mcp" },
    },
  ],
};

const ALL = [SEARCHER, ROWS, FAR, SHARP];

export interface TestRegistry extends AsyncDisposable {
  url: string;
  /** What was asked for so far, with the query. */
  requests: string[];
}

/** Speaks the registry's API, one server a page; `versions` are the API's that it knows. */
export function startRegistry(versions: string[] = ["v0.1", "v0"]): TestRegistry {
  const requests: string[] = [];
  const answer = (server: (typeof ALL)[number]) => ({
    server,
    _meta: { "io.modelcontextprotocol.registry/official": { status: "active", isLatest: true } },
  });
  const serving = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname, searchParams, search, origin } = new URL(request.url);
      requests.push(pathname + search);
      if (pathname === "/moved/server.json") return Response.redirect(`${origin}/server.json`);
      if (pathname === "/server.json") return Response.json(SEARCHER);
      if (pathname === "/circle") return Response.redirect(`${origin}/circle`);
      if (pathname === "/elsewhere")
        return new Response(null, { status: 302, headers: { location: "file:///etc/passwd" } });
      if (pathname === "/endless") return new Response(endless());
      if (pathname === "/text") return new Response("<html>");
      if (pathname === "/broken") return new Response("no", { status: 500 });
      const [, version = "", , name, , wanted] = pathname.split("/").map(decodeURIComponent);
      if (!versions.includes(version)) return Response.json({ error: "Not found" }, { status: 404 });
      if (name !== undefined) {
        const found = ALL.find((one) => one.name === name && (wanted === "latest" || wanted === one.version));
        return found ? Response.json(answer(found)) : Response.json({ error: "Server not found" }, { status: 404 });
      }
      const fit = ALL.filter((one) => one.name.includes(searchParams.get("search") ?? ""));
      const at = Number(searchParams.get("cursor") ?? "0");
      const next = at + 1 < fit.length ? { nextCursor: String(at + 1) } : {};
      return Response.json({ servers: fit.slice(at, at + 1).map(answer), metadata: { count: 1, ...next } });
    },
  });
  return { url: serving.url.origin, requests, [Symbol.asyncDispose]: () => serving.stop(true) };
}

/** Spaces for ever. */
function endless(): ReadableStream<Uint8Array> {
  const block = new Uint8Array(64 * 1024).fill(0x20);
  return new ReadableStream({ pull: (controller) => controller.enqueue(block) });
}
