/** docs/rest.md: every route has its section, and every example in it runs. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { ROUTES } from "../../src/api/routes.ts";
import { type ApiUnderTest, fixture, startApi } from "../support/api.ts";
import { forge, ROOT } from "../support/backups.ts";
import { tempDir } from "../support/cli.ts";
import { engineTest } from "../support/engine.ts";

const page = await Bun.file(join(import.meta.dir, "../../docs/rest.md")).text();
/** The shell examples, with the heading that they stand under. */
const examples = page.split(/^(?=#{2,3} )/m).flatMap((section) => {
  const heading = /^#+ (.*)/.exec(section)?.[1] ?? "";
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, script = ""]) => [heading, script] as const);
});
const isOfVolumes = ([heading]: readonly [string, string]) => heading.includes(" /volumes");

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

test.each(examples.slice(1).filter((example) => !isOfVolumes(example)))("%s: %s", async (_, script) => {
  // The server of the page is another here, and what follows from that: its spec, and the tool that is called.
  const here = script
    .replace(/\{"image":.*\}(?=')/, JSON.stringify(fixture("tools-legacy.ts")))
    .replace(/\{"tool":.*\}(?=')/, '{"tool":"echo","arguments":{"text":"x"}}')
    .replaceAll(/^curl .*-sSN/gm, "timeout 1 $&");
  // What is followed has no end: `timeout` ends it, and says so with 124.
  expect(await run(api, here)).toMatchObject({ code: here.includes("timeout 1") ? 124 : 0, err: "" });
});

engineTest("the examples of volumes, one after the other", async () => {
  await using docker = await startApi("docs-volumes", "docker");
  await using folder = await tempDir("docs-volumes");
  await Bun.write(join(folder.path, "notes.tar.gz"), forge([ROOT, { name: "volume/note", content: "kept" }]));
  const volume = `linkspan-test-${crypto.randomUUID()}`;
  const ran: string[] = [];
  for (const [heading, script] of examples.filter(isOfVolumes)) {
    const here = script.replaceAll("/volumes/notes", `/volumes/${volume}`);
    expect([heading, await run(docker, here, folder.path)]).toMatchObject([heading, { code: 0, err: "" }]);
    ran.push(heading);
  }
  expect(ran.length).toBe(5);
  expect((await docker.http(`/volumes/${volume}`)).status).toBe(404);
});

/** The output of a script with the page's variables. */
async function run({ url, token, socket }: ApiUnderTest, script: string, cwd?: string) {
  const child = Bun.spawn(["bash", "-euc", script.replaceAll("curl -sS", "curl --fail-with-body -sS")], {
    env: {
      PATH: process.env.PATH,
      LINKSPAN: url,
      AUTH: `Authorization: Bearer ${token}`,
      LINKSPAN_DATA_DIR: join(socket, ".."),
    },
    ...(cwd === undefined ? {} : { cwd }),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}
