/** Any command line is decided about: the result is a valid linkspan.yaml, and no secret is in it or in what is said. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { readConfiguration, withServers } from "../../../src/cli/import/config.ts";
import { decide } from "../../../src/cli/import/decide.ts";
import { FLAGS } from "../../../src/cli/import/docker-flags.ts";
import { toReferences } from "../../../src/cli/import/references.ts";
import { seeded } from "../../support/seed.ts";

const SECRETS = ["ghp_0123456789abcdefghijABCDEFGHIJ", "sk-ant-0123456789abcdef", "postgres://me:pa55@db.example/x"];
const starts = [
  "npx",
  "uvx",
  "docker",
  "docker run -i",
  "podman run",
  "bunx",
  "pnpm dlx",
  "python3",
  "cmd /c npx",
  "uv tool run",
  "",
];
const plain = [
  "-y",
  "--",
  "pkg",
  "@s/p@1.2",
  "p==1.0",
  "a b",
  "$x",
  "${HOME}",
  "${env:A}",
  "{env:B}",
  "$C",
  "#",
  "- x",
  "",
  "ü",
  "/tmp:/t",
  "x:/y:ro",
];
const word = fc.oneof(
  fc.constantFrom(...plain),
  fc.constantFrom(...Object.keys(FLAGS)),
  fc.constantFrom("--name=x", "-e", "A=1", "--token", "--api-key=", "-m", "64m", "--cpus", "0.5", "image:1"),
  fc.constantFrom(...SECRETS),
  fc.constantFrom(...SECRETS).map((secret) => `--password=${secret}`),
  fc.constantFrom(...SECRETS).map((secret) => `API_KEY=${secret}`),
  fc.string({ maxLength: 8 }),
);
const variable = fc.tuple(
  fc.constantFrom("A", "API_KEY", "DB_PASSWORD", "mode", "URL"),
  fc.oneof(fc.constantFrom(...SECRETS), fc.constantFrom(...plain), fc.string({ maxLength: 8 })),
);
const wish = fc
  .tuple(
    fc.string({ maxLength: 10 }),
    fc.constantFrom(...starts),
    fc.array(word, { maxLength: 10 }),
    fc.array(variable, { maxLength: 4 }),
  )
  .map(([name, start, rest, env]) => ({
    name,
    words: [...start.split(" ").filter(Boolean), ...rest].map(toReferences),
    env: Object.fromEntries(env.map(([key, value]) => [key, toReferences(value)])),
    disabled: false,
    ours: false,
  }));

const nul = (text: string) => text.includes("\0");

test("whatever is configured, linkspan.yaml stays valid and has no secret", async () => {
  const empty = await readConfiguration("/nowhere/linkspan.yaml", {});
  const property = fc.property(fc.array(wish, { minLength: 1, maxLength: 4 }), (wishes) => {
    fc.pre(!wishes.some(({ words, env }) => words.some(nul) || Object.values(env).some(nul)));
    const decisions = decide(wishes, { taken: new Set(), inClear: false });
    expect(decisions).toHaveLength(wishes.length);
    const bodies = Object.fromEntries(decisions.flatMap(({ name, body }) => (body ? [[name, body]] : [])));
    const text = withServers(empty, bodies, {});
    for (const secret of SECRETS) expect(`${text}${JSON.stringify(decisions)}`).not.toContain(secret);
  });
  fc.assert(property, seeded("imported command lines", 120));
});
