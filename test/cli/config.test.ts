import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { faultLine, linkspan, tempDir } from "../support/cli.ts";

const GOOD = `servers:
  files:
    image: npm:@modelcontextprotocol/server-filesystem
    args: [/data]
  web:
    image: \${REGISTRY:-localhost}/web:1
`;
const BAD = `servers:
  files:
    image: npm:x
    limits:
      memory: lots
  web:
    args: [a]
`;

test("a valid file: exit code 0 and its servers", async () => {
  await using dir = await tempDir("config");
  const file = join(dir.path, "linkspan.yaml");
  writeFileSync(file, GOOD);
  expect(await linkspan(["config", "validate", file])).toMatchObject({
    code: 0,
    err: "",
    out: `✓ ${file} is valid, 2 servers: files, web\n`,
  });
  const json = await linkspan(["config", "validate", file, "--json"]);
  expect(JSON.parse(json.out)).toEqual({ file, ok: true, servers: ["files", "web"] });
});

test("every error with file, line and column, in words and as JSON", async () => {
  await using dir = await tempDir("config");
  const file = join(dir.path, "bad.yaml");
  writeFileSync(file, BAD);
  const ran = await linkspan(["config", "validate", file]);
  expect(ran).toMatchObject({ code: 1, out: "" });
  expect(ran.err).toContain(`${file}:5:15: expected a size`);
  expect(ran.err).toMatch(/bad\.yaml:\d+:\d+: the field "image" is missing/);
  expect(ran.err).toEndWith(`${file} has 2 errors.\n`);
  const fault = faultLine(await linkspan(["config", "validate", file, "--json"]));
  expect(fault).toMatchObject({ kind: "invalid", data: { errors: [{ line: 5, column: 15 }, { line: 6 }] } });
});

test("a file that is not there is said so; the default is the user's own, never the current folder's", async () => {
  await using dir = await tempDir("config");
  writeFileSync(join(dir.path, "linkspan.yaml"), "nonsense");
  const env = { XDG_CONFIG_HOME: join(dir.path, "etc"), HOME: dir.path };
  const path = await linkspan(["config", "path"], { env, cwd: dir.path });
  expect(path.out).toBe(`${join(dir.path, "etc", "linkspan", "linkspan.yaml")}\n`);
  const ran = await linkspan(["config", "validate"], { env, cwd: dir.path });
  expect(ran.code).toBe(1);
  expect(ran.err).toContain(path.out.trim());
  const named = join(dir.path, "named.yaml");
  writeFileSync(named, GOOD);
  const chosen = { ...env, LINKSPAN_CONFIG: named };
  expect((await linkspan(["config", "path"], { env: chosen, cwd: dir.path })).out).toBe(`${named}\n`);
  expect(await linkspan(["config", "validate"], { env: chosen, cwd: dir.path })).toMatchObject({ code: 0 });
});
