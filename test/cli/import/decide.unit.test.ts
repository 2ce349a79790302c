import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decide } from "../../../src/cli/import/decide.ts";
import { literal, toReferences, variablesIn } from "../../../src/cli/import/references.ts";
import { isSecretName, isSecretValue } from "../../../src/cli/import/secrets.ts";
import { expand } from "../../../src/model/env-reference.ts";

function become(words: string[], env: Record<string, string> = {}, more: object = {}) {
  const wish = { name: "x", words, env, disabled: false, ours: false, ...more };
  const [decision] = decide([wish], { taken: new Set(["taken"]), inClear: false });
  if (!decision) throw new Error("no decision");
  return decision;
}

const docker = (line: string, env: Record<string, string> = {}) => become(["docker", "run", ...line.split(" ")], env);

const PACKAGES: [line: string, image: string, args: string[]][] = [
  ["npx -y @scope/pkg", "npm:@scope/pkg", []],
  ["npx --yes pkg@1.2.3 a -- b", "npm:pkg@1.2.3", ["a", "--", "b"]],
  ["npx -y pkg@latest", "npm:pkg", []],
  ["npx -y --package=@scope/pkg -- pkg --stdio", "npm:@scope/pkg", ["--stdio"]],
  ["npx --registry https://r.example pkg", "npm:pkg", []],
  ["C:\\nodejs\\npx.cmd -y pkg", "npm:pkg", []],
  ["cmd /c npx -y pkg", "npm:pkg", []],
  ["bunx pkg", "npm:pkg", []],
  ["bun x --bun pkg --x", "npm:pkg", ["--x"]],
  ["pnpm dlx @s/p@2", "npm:@s/p@2", []],
  ["npm exec --yes -- pkg --help", "npm:pkg", ["--help"]],
  ["uvx mcp-server-time", "pypi:mcp-server-time", []],
  ["uvx mcp-server-time==1.2.3 --local-timezone UTC", "pypi:mcp-server-time@1.2.3", ["--local-timezone", "UTC"]],
  ["uvx mcp_server@0.5", "pypi:mcp_server@0.5", []],
  ["uvx --python 3.12 --from pkg==2 pkg a", "pypi:pkg@2", ["a"]],
  ["uv tool run pkg@latest", "pypi:pkg", []],
  ["pipx run --spec pkg==1.0 pkg", "pypi:pkg@1.0", []],
  ["uvx --with extra --with mcp<2 pkg@0.1.0", "pypi:pkg@0.1.0,extra,mcp<2", []],
  ["uvx pkg[cli]", "pypi:pkg[cli]", []],
];

test.each(PACKAGES)("%s → %s", (line, image, args) => {
  const { kind, body } = become(line.split(" "));
  expect(kind).toBe(image.startsWith("npm:") ? "npm" : "pypi");
  expect(body).toEqual({ image, ...(args.length > 0 ? { args } : {}), network: "egress" });
});

test.each([
  ["npx -y -p pkg other-program --flag", "npm:pkg"],
  ["uvx --from pkg[cli]==2.0 other-program --flag", "pypi:pkg[cli]@2.0"],
])("%s names a program of the package", (line, image) => {
  const { body } = become(line.split(" "));
  expect(body).toEqual({ image, command: ["other-program"], args: ["--flag"], network: "egress" });
});

const PROCESSES: [line: string, image: string, reason: RegExp][] = [
  ["python3 -m server", "exec:python3", /process of this machine/],
  ["/opt/x/server --stdio", "exec:/opt/x/server", /process of this machine/],
  ["docker mcp gateway run", "exec:docker", /process of this machine/],
  ["npx -y github:me/server", "exec:npx", /no package of a registry/],
  ["npx -c node", "exec:npx", /cannot be said/],
  ["uvx --from git+https://e.example/x pkg", "exec:uvx", /no package of a registry/],
  ["uvx --with git+https://e.example/x pkg", "exec:uvx", /cannot be said/],
  ["uv run server.py", "exec:uv", /process of this machine/],
];

test.each(PROCESSES)("%s stays a process", (line, image, reason) => {
  const { kind, body, notes } = become(line.split(" "));
  expect(kind).toBe("process");
  expect(body).toMatchObject({ image, args: line.split(" ").slice(1) });
  expect(notes.join("\n")).toMatch(reason);
});

test("docker run with everything that can be said", () => {
  const env = { TOKEN: "ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaa", DOCKER_HOST: "x" };
  const line =
    "-it --rm --init --pull=always -e TOKEN -e MODE=fast --env=LEVEL=2 -eHERE -v /srv/notes:/data -v cache:/c:ro,z " +
    "--mount type=bind,src=/srv/in,dst=/in,readonly --mount source=vol,target=/v -m 1g --cpus=1.5 --pids-limit 64 " +
    "--network backend --user 1000:1000 -w /work --entrypoint /bin/srv --read-only --cap-drop ALL --cap-add NET_BIND_SERVICE " +
    "--security-opt no-new-privileges --stop-timeout 3 --label a=b --tmpfs /tmp:size=32m example.com/x:1 --stdio -v";
  const { kind, body, notes } = docker(line, env);
  expect(kind).toBe("image");
  expect(body).toEqual({
    image: "example.com/x:1",
    command: ["/bin/srv"],
    args: ["--stdio", "-v"],
    env: { MODE: "fast", LEVEL: "2", HERE: "${HERE}" },
    secrets: { TOKEN: "${TOKEN}" },
    volumes: ["/srv/notes:/data:rw", "cache:/c", "/srv/in:/in", "vol:/v:rw"],
    limits: { memory: "1g", cpus: 1.5, pids: 64, tmp: "32m" },
    network: "backend",
    user: "1000:1000",
    workdir: "/work",
    readOnly: true,
    capAdd: ["NET_BIND_SERVICE"],
    stopTimeout: "3s",
    labels: { a: "b" },
  });
  expect(notes).toEqual([
    "-t was left out: a terminal changes what the server writes",
    "--pull always was left out: an image is pulled when it is not there",
    "DOCKER_HOST was for docker itself and was left out",
    "TOKEN looks like a secret: it is ${TOKEN} now, its value was not written",
  ]);
});

const DROPPED: [line: string, note: RegExp][] = [
  ["-p 80:80 x", /no port is opened/],
  ["--name srv x", /names containers itself/],
  ["--network host x", /egress instead of host/],
  ["--platform linux/amd64 x", /takes its own/],
  ["-d x", /standard input/],
  ["--add-host a:1 x", /names of hosts/],
  ["--env-file /nowhere/at/all x", /cannot be read/],
  ["-v ./notes:/n x", /no folder that it is relative to/],
  ["x", /egress, as docker run has it/],
];

test.each(DROPPED)("docker run %s: said", (line, note) => {
  expect(docker(line).notes.join("\n")).toMatch(note);
});

const REFUSED: [line: string, reason: RegExp][] = [
  ["--privileged x", /whole machine/],
  ["-v /var/run/docker.sock:/s x", /whole engine/],
  ["-v /run:/run x", /whole engine/],
  ["--mount type=bind,source=/run/docker.sock,target=/s x", /whole engine/],
  ["-v /:/host x", /machine's own files/],
  ["-v /etc/:/e:ro x", /machine's own files/],
  ["-v /data x", /no name/],
  ["--cap-add SYS_ADMIN x", /gives it the machine/],
  ["--cap-add=all x", /gives it the machine/],
  ["--security-opt seccomp=unconfined x", /loosens/],
  ["--pid host x", /processes of others/],
  ["--ipc=host x", /share memory/],
  ["--device /dev/kvm x", /devices/],
  ["--gpus all x", /devices/],
  ["--network container:db x", /another container/],
  ["--frobnicate 1 x", /no option of docker run/],
  ["-i", /no image/],
  ["-e", /no value/],
  ["-v C:\\notes:/n x", /Windows/],
  ["-m lots x", /no size/],
];

test.each(REFUSED)("docker run %s: refused", (line, reason) => {
  const { kind, body, notes } = docker(line);
  expect({ kind, body }).toEqual({ kind: "left out", body: undefined });
  expect(notes).toHaveLength(1);
  expect(notes[0]).toMatch(reason);
});

test("left out: what runs elsewhere, Linkspan itself, names that are taken; keys of addresses are not told", () => {
  expect(become([], {}, { url: "https://u:pw@e.example:8443/mcp?key=k" }).notes[0]).toStartWith(
    "it is at https://e.example:8443:",
  );
  expect(become(["linkspan", "mcp"], {}, { ours: true }).notes).toEqual(["it starts Linkspan itself"]);
  expect(become(["x"], {}, { name: "Taken" }).kind).toBe("left out");
  expect(become([]).notes).toEqual(["it names no program"]);
});

test("names become names of servers, none twice", () => {
  const names = ["My Server!", "my-server", "…", "A.b_c", "x".repeat(90)];
  const wishes = names.map((name) => ({ name, words: ["p"], env: {}, disabled: false, ours: false }));
  const found = decide(wishes, { taken: new Set(), inClear: false }).map(({ name }) => name);
  expect(found).toEqual(["my-server", "my-server-2", "server", "a.b_c", "x".repeat(60)]);
});

test("paths that are here become volumes, read-only; others stay words", () => {
  const folder = mkdtempSync(join(tmpdir(), "linkspan-import-"));
  try {
    const { body, notes } = become(["npx", "files", folder, "/not/there"]);
    expect(body).toMatchObject({ args: [folder, "/not/there"], volumes: [`${folder}:${folder}`] });
    expect(notes.join()).toContain("read-only");
    writeFileSync(join(folder, "env"), "A=1\n# no\nAPI_KEY=sk-aaaaaaaaaaaaaaaaaaaa\n");
    expect(docker(`--env-file ${folder}/env x`).body).toMatchObject({
      env: { A: "1" },
      secrets: { API_KEY: "${API_KEY}" },
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("secrets in arguments become references, of the same name for the same value only", () => {
  const one = {
    name: "one",
    words: ["p", "--api-key", "k1", "--token=t1", "postgres://u:pw@h/d"],
    env: { API_KEY: "a" },
    disabled: false,
    ours: false,
  };
  const two = { ...one, name: "two", env: { API_KEY: "b" } };
  const [first, second] = decide([one, two], { taken: new Set(), inClear: false });
  expect(first?.body).toMatchObject({
    args: ["--api-key", "${ONE_API_KEY}", "--token=${ONE_TOKEN}", "${ONE_ARGUMENT_4}"],
    secrets: { API_KEY: "${API_KEY}" },
  });
  expect(second?.body?.secrets).toEqual({ API_KEY: "${TWO_API_KEY}" });
  expect(decide([one], { taken: new Set(), inClear: true })[0]?.body).toMatchObject({
    args: one.words.slice(1),
    secrets: { API_KEY: "a" },
  });
});

const REFERENCES: [from: string, to: string][] = [
  ["plain", "plain"],
  ["${HOME}/x", "${HOME}/x"],
  ["${env:API_KEY}", "${API_KEY}"],
  ["{env:API_KEY}", "${API_KEY}"],
  ["${input:api-key}", "${API_KEY}"],
  ["${userHome}/x", "${HOME}/x"],
  ["${A:-b c}", "${A:-b c}"],
  ["$API_KEY", "${API_KEY}"],
  ["$5 and $x", "$5 and $x"],
  ["a$$b${not closed", "a$$$b$${not closed"],
  ["${1}", "$${1}"],
];

test.each(REFERENCES)("%s is written %s", (from, to) => {
  expect(toReferences(from)).toBe(to);
});

test("a literal comes out of linkspan.yaml as it went in", () => {
  for (const text of ["$", "$$", "$$$", "${A}", "$${A}", "$$${", "a$b", "${", "}$"]) {
    expect(expand(literal(text), {})).toMatchObject({ ok: true, text });
  }
  expect(variablesIn(["${A} $${B} $$${C}", { x: "${D:-1}" }])).toEqual(["A", "C"]);
});

test("what is a secret, and what is none", () => {
  for (const name of [
    "GITHUB_TOKEN",
    "apiKey",
    "DB_PASSWORD",
    "PGPASSWORD",
    "OPENAI_API_KEY",
    "SLACK_BOT_TOKEN",
    "X-Auth",
    "secret",
  ]) {
    expect([name, isSecretName(name)]).toEqual([name, true]);
  }
  for (const name of ["SORT_KEY", "MODE", "LOG_LEVEL", "AUTHOR", "PATTERN", "TOKENIZERS"]) {
    expect([name, isSecretName(name)]).toEqual([name, false]);
  }
  for (const value of [
    "sk-aaaaaaaaaaaaaaaaaaaa",
    "Bearer abcdefghijkl",
    "postgres://me:pw@db/x",
    "aB3dE5gH7jK9mN1pQ3sT5vW7",
  ]) {
    expect([value, isSecretValue(value)]).toEqual([value, true]);
  }
  for (const value of [
    "fast",
    "/home/me/a-very-long-path/with/parts/12345",
    "https://example.com/a",
    "2026-11-21T15:00:00Z",
  ]) {
    expect([value, isSecretValue(value)]).toEqual([value, false]);
  }
});

test("what linkspan.yaml cannot say is left out alone, and a secret where no reference can stand is not taken over", () => {
  expect(docker("a\tb").notes[0]).toContain("linkspan.yaml cannot say it: image: expected an image");
  expect(docker("-u -x image").notes[0]).toContain("linkspan.yaml cannot say it: user:");
  const hidden = docker("--label t=ghp_0123456789abcdefghijABCDEFGHIJ image");
  expect(hidden).toMatchObject({ kind: "left out", notes: [expect.stringContaining("where no reference can stand")] });
  const told = become(["npx", "https://u:pa55@e.example/x.tgz"]);
  expect(told.notes.join("\n")).not.toContain("pa55");
});
