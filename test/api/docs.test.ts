/** docs/rest.md: every route has its section, and every example in it runs. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { ROUTES } from "../../src/api/routes.ts";
import { type ApiUnderTest, fixture, startApi } from "../support/api.ts";

const page = await Bun.file(join(import.meta.dir, "../../docs/rest.md")).text();
/** The shell examples, with the heading that they stand under. */
const examples = page.split(/^(?=#{2,3} )/m).flatMap((section) => {
  const heading = /^#+ (.*)/.exec(section)?.[1] ?? "";
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, script = ""]) => [heading, script] as const);
});

let api: ApiUnderTest;

beforeAll(async () => {
  api = await startApi("docs");
  await api.client.start("files", fixture("tools-legacy.ts"));
});
afterAll(() => api[Symbol.asyncDispose]());

test("every route has a section with an example, and there is no other", () => {
  const documented = examples.map(([heading]) => heading).filter((heading) => /^[A-Z]+ \//.test(heading));
  expect([...new Set(documented)].sort()).toEqual(ROUTES.map(({ method, path }) => `${method} ${path}`).sort());
});

test.each(examples.slice(1))("%s: %s", async (_, script) => {
  // The server of the page is another here, and what follows from that: its spec, and the tool that is called.
  const here = script
    .replace(/\{"image":.*\}(?=')/, JSON.stringify(fixture("tools-legacy.ts")))
    .replace(/\{"tool":.*\}(?=')/, '{"tool":"echo","arguments":{"text":"x"}}')
    .replaceAll("curl -sS", "curl --fail-with-body -sS")
    .replaceAll(/^curl .*-sSN/gm, "timeout 1 $&");
  const child = Bun.spawn(["bash", "-euc", here], {
    env: {
      PATH: process.env.PATH,
      LINKSPAN: api.url,
      AUTH: `Authorization: Bearer ${api.token}`,
      LINKSPAN_DATA_DIR: join(api.socket, ".."),
    },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  // What is followed has no end: `timeout` ends it, and says so with 124.
  expect({ code, out, err }).toMatchObject({ code: here.includes("timeout 1") ? 124 : 0, err: "" });
});
