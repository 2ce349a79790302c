/** Compose files: short forms, several files, and what is refused with its line. */
import { describe, expect, test } from "bun:test";
import { Fault } from "../../src/base/fault.ts";
import { configOf, shownConfig } from "../../src/compose/config.ts";
import { type Loaded, type LoadRequest, loadProject } from "../../src/compose/load.ts";
import { rejection } from "../support/rejection.ts";

/** Files by their path; the first is the one that is asked for. */
function load(files: Record<string, string>, more: Partial<LoadRequest> = {}): Promise<Loaded> {
  const [path = "", text = ""] = Object.entries(files)[0] ?? [];
  return loadProject({
    files: [{ text, path }],
    env: {},
    profiles: [],
    allowPrivileged: false,
    read: (other) => {
      const found = files[other];
      if (found === undefined) return Promise.reject(new Fault("not-found", other));
      return Promise.resolve(found);
    },
    ...more,
  });
}

const FILE = "/srv/shop/compose.yaml";

/** The one service `a` as `config` shows it. */
async function serviceOf(fields: string, more: Partial<LoadRequest> = {}): Promise<Record<string, unknown>> {
  const tail = "volumes: { data: }\nnetworks: { n: }\nconfigs: { c: { content: x } }\n";
  const loaded = await load({ [FILE]: `services:\n  a:\n    image: i\n    ${fields}\n${tail}` }, more);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.findings));
  return (configOf(loaded.project) as { services: { a: Record<string, unknown> } }).services.a;
}

describe("forms of fields", () => {
  const cases: [string, Record<string, unknown>][] = [
    ['command: serve --name \'a b\' "c \\"d\\"" e\\ f', { command: ["serve", "--name", "a b", 'c "d"', "e f"] }],
    ["command: [a, 1, true]", { command: ["a", "1", "true"] }],
    ["entrypoint: []", { entrypoint: [] }],
    ["environment: [A=1, B=x=y]", { environment: { A: "1", B: "x=y" } }],
    ["environment: { A: 1, B: true, C: }", { environment: { A: "1", B: "true" } }],
    ["ports: [80]", { ports: [{ mode: "ingress", target: 80, protocol: "tcp" }] }],
    ['ports: ["53:53/udp"]', { ports: [{ mode: "ingress", target: 53, published: "53", protocol: "udp" }] }],
    [
      'ports: ["[::1]:80-81:90-91"]',
      {
        ports: [
          { mode: "ingress", target: 90, published: "80", host_ip: "::1", protocol: "tcp" },
          { mode: "ingress", target: 91, published: "81", host_ip: "::1", protocol: "tcp" },
        ],
      },
    ],
    ['ports: ["8000-8009:80"]', { ports: [{ mode: "ingress", target: 80, published: "8000-8009", protocol: "tcp" }] }],
    ["volumes: [data:/d:ro]", { volumes: [{ type: "volume", source: "data", target: "/d", read_only: true }] }],
    ["volumes: [../x:/d]", { volumes: [{ type: "bind", source: "/srv/x", target: "/d" }] }],
    ["volumes: [/anonymous]", { volumes: [{ type: "volume", target: "/anonymous" }] }],
    [
      "volumes: [{ type: tmpfs, target: /t, tmpfs: { size: 1m } }]",
      { volumes: [{ type: "tmpfs", target: "/t", tmpfs: { size: "1048576" } }] },
    ],
    ["networks: [n]", { networks: { n: null } }],
    ["networks: { n: { aliases: [x] } }", { networks: { n: { aliases: ["x"] } } }],
    ["extra_hosts: ['h:1.2.3.4', 'g=::1']", { extra_hosts: ["g=::1", "h=1.2.3.4"] }],
    [
      "healthcheck: { test: exit 0, interval: 90s }",
      { healthcheck: { test: ["CMD-SHELL", "exit 0"], interval: "1m30s" } },
    ],
    ["stop_grace_period: 1m30s500ms", { stop_grace_period: "1m30.5s" }],
    ["configs: [c]", { configs: [{ source: "c" }] }],
    [
      "build: { context: ., args: [A=1] }",
      { build: { context: "/srv/shop", dockerfile: "Dockerfile", args: { A: "1" } } },
    ],
    ["mem_limit: 64m", { mem_limit: "67108864" }],
    ["labels: [a=b, c]", { labels: { a: "b", c: "" } }],
    ["x-anything: { b: c }", { image: "i" }],
  ];
  for (const [fields, expected] of cases)
    test(fields, async () => expect(await serviceOf(fields)).toMatchObject(expected));
});

describe("what is refused, where it stands", () => {
  const at5: [string, string, string][] = [
    ...[
      "privileged: true",
      "cap_add: [NET_ADMIN]",
      "devices: [/dev/sda]",
      "network_mode: host",
      "network_mode: container:x",
      "network_mode: service:b",
      "pid: host",
      "ipc: host",
      "uts: host",
      "userns_mode: host",
      "cgroup: host",
      "cgroup_parent: x",
      "security_opt: [seccomp=unconfined]",
      "sysctls: { a: 1 }",
      "gpus: all",
      "group_add: [0]",
      "volumes_from: [b]",
      "runtime: other",
      "use_api_socket: true",
      "device_cgroup_rules: ['a *:* rwm']",
    ].map((field): [string, string, string] => [field, "forbidden", `services.a.${field.split(":")[0]}`]),
    ["build: { context: ., network: host }", "forbidden", "services.a.build.network"],
    ["build: { context: ., privileged: true }", "forbidden", "services.a.build.privileged"],
    ["volumes: ['/a:/b:shared']", "invalid", "services.a.volumes.0"],
    ["volumes: ['~/x:/b']", "invalid", "services.a.volumes.0"],
    [
      "volumes: [{ type: bind, source: /a, target: /b, bind: { propagation: rshared } }]",
      "invalid",
      "services.a.volumes",
    ],
    ["volumes: [none:/b]", "invalid", "services.a.volumes"],
    ["logging: { driver: syslog }", "invalid", "services.a.logging.driver"],
    ["links: [b]", "unsupported", "services.a.links"],
    ["imagee: x", "invalid", "services.a.imagee"],
    ["command: a | b", "invalid", "services.a.command"],
    ["ports: [99999]", "invalid", "services.a.ports.0"],
    ["ports: ['1-2:3-5']", "invalid", "services.a.ports.0"],
    ["depends_on: [b]", "invalid", "services.a.depends_on"],
    ["depends_on: [a]", "invalid", "services.a.depends_on"],
    ["networks: [b]", "invalid", "services.a.networks"],
    ["secrets: [b]", "invalid", "services.a.secrets"],
    ["extends: a", "invalid", "services.a.extends"],
    ["extends: b", "invalid", "services.a.extends"],
    ["labels: { com.docker.compose.project: x }", "invalid", "services.a.labels"],
    ["labels: { linkspan.owner: x }", "invalid", "services.a.labels"],
    ["user: ${NO:?who}", "invalid", "services.a.user"],
    ["environment: { 'A=B': c }", "invalid", "services.a.environment"],
  ];
  for (const [field, kind, path] of at5) {
    test(field, async () => {
      const loaded = await load({ [FILE]: `# one\nservices:\n  a:\n    image: i\n    ${field}\n` });
      expect(loaded).toMatchObject({ ok: false, findings: [{ kind, line: 5, file: FILE }] });
      expect(loaded.ok ? "" : loaded.findings[0]?.path).toStartWith(path);
    });
  }

  const whole: [string, string, number][] = [
    [
      "services: { a: { image: i } }\nvolumes:\n  v:\n    driver_opts: { type: none, o: bind, device: /etc }",
      "forbidden",
      4,
    ],
    ["services: { a: { image: i } }\nvolumes:\n  v: { driver: sshfs }", "forbidden", 3],
    ["services: { a: { image: i } }\nnetworks:\n  n: { driver: host }", "forbidden", 3],
    ["services: { a: { image: i } }\nnetworks:\n  n: { driver: macvlan }", "forbidden", 3],
    ["services: { a: { image: i } }\nnetworks:\n  n: { name: host, external: true }", "forbidden", 3],
    ["services: { a: { image: i } }\nnetworks:\n  n: { driver_opts: { parent: eth0 } }", "forbidden", 3],
    ["services:\n  a: {}", "invalid", 2],
    ["services: [", "invalid", 1],
    ["a: 1", "invalid", 1],
    ["services:\n  a: { image: i }\n  a: { image: j }", "invalid", 3],
    ["a: &a [x]\nb: &b [*a,*a]\n", "invalid", 1],
    ["services:\n  a: &a { <<: *a }", "invalid", 2],
  ];
  for (const [text, kind, line] of whole)
    test(text, async () =>
      expect(await load({ [FILE]: text })).toMatchObject({ ok: false, findings: [{ kind, line }] }),
    );

  test("what asks for nothing is nothing", async () => {
    const asked = "privileged: false\n    cap_add: []\n    devices:\n    security_opt: []";
    expect(await serviceOf(asked)).not.toHaveProperty("cap_add");
  });

  test("a privileged container where that is allowed", async () => {
    expect(await serviceOf("privileged: true", { allowPrivileged: true })).toMatchObject({ privileged: true });
  });

  test("a great many documents", async () => {
    const text = `services: { a: { image: i } }\n${"---\n".repeat(50_000)}`;
    expect(await load({ [FILE]: text })).toMatchObject({ ok: false, findings: [{ kind: "invalid" }] });
  });

  test("an alias bomb", async () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let level = 1; level < 9; level += 1) lines.push(`a${level}: &a${level} [${`*a${level - 1},`.repeat(10)}]`);
    expect((await load({ [FILE]: lines.join("\n") })).ok).toBe(false);
  });
});

describe("several files", () => {
  test("extends: the own over the other's, paths beside the file where they stand", async () => {
    const loaded = await load({
      [FILE]: `services:
  a:
    extends: { file: ../base/b.yaml, service: base }
    environment: { B: own }
    command: [own]
    ports: ["81:81"]
`,
      "/srv/base/b.yaml": `services:
  base:
    extends: root
    image: i
    environment: { A: base, B: base }
    command: [base, x]
    ports: ["80:80"]
    volumes: [./d:/d]
  root: { restart: always, image: other }
`,
    });
    expect(loaded.ok && configOf(loaded.project)).toMatchObject({
      name: "shop",
      services: {
        a: {
          image: "i",
          restart: "always",
          environment: { A: "base", B: "own" },
          command: ["own"],
          ports: [{ target: 80 }, { target: 81 }],
          volumes: [{ source: "/srv/base/d" }],
        },
      },
    });
  });

  test("include, env_file, .env and what is given over it; a file that may not be read is the caller's fault", async () => {
    const files = {
      [FILE]:
        "include: [more.yaml]\nservices:\n  a: { image: 'i:${TAG}', env_file: [e.env, { path: no.env, required: false }], environment: [C, D=own] }\n",
      "/srv/shop/more.yaml": "services: { b: { image: i } }",
      "/srv/shop/.env": "TAG=1\nC=c\n",
      "/srv/shop/e.env": "D=file\nE=${TAG}\n",
    };
    const loaded = await load(files, { env: { TAG: "2" } });
    expect(loaded.ok && configOf(loaded.project)).toMatchObject({
      services: { a: { image: "i:2", environment: { C: "c", D: "own", E: "2" } }, b: { image: "i" } },
    });
    const refused = load(
      { [FILE]: "include: [/etc/passwd]" },
      { read: () => Promise.reject(new Fault("forbidden", "no")) },
    );
    expect(await rejection(refused)).toMatchObject({ kind: "forbidden" });
  });

  test("a text by itself refers to no file", async () => {
    for (const field of ["build: .", "env_file: x", "extends: { file: x, service: y }", "volumes: [./x:/x]"]) {
      const text = `name: p\nservices:\n  a:\n    image: i\n    ${field}\n`;
      expect(await load({}, { files: [{ text }] })).toMatchObject({
        ok: false,
        findings: [{ kind: "invalid", line: 5 }],
      });
    }
  });
});

test("profiles: those that are active, and what is named with what it needs", async () => {
  const text = `services:
  a: { image: i }
  b: { image: i, profiles: [debug] }
  c: { image: i, profiles: [other], depends_on: [a] }
`;
  const active = async (more: Partial<LoadRequest>) => {
    const loaded = await load({ [FILE]: text }, more);
    return loaded.ok ? [...loaded.project.services.keys()] : loaded.findings;
  };
  expect(await active({})).toEqual(["a"]);
  expect(await active({ profiles: ["debug"] })).toEqual(["a", "b"]);
  expect(await active({ profiles: ["*"] })).toEqual(["a", "b", "c"]);
  expect(await active({ services: ["c"] })).toEqual(["a", "c"]);
  expect(await active({ env: { COMPOSE_PROFILES: "debug,other" } })).toEqual(["a", "b", "c"]);
});

test("what comes out of variables is not shown, wherever it stands", async () => {
  const text = `services:
  a:
    image: i:\${TAG}
    command: [--password, "x\${PASSWORD}y"]
    environment: { LITERAL: sesame }
    labels: { note: "\${PASSWORD}" }
    ports: ["\${PORT}:80"]
    build: { context: ., args: { KEY: letmein } }
    secrets: [s]
    healthcheck: { test: [CMD, login, sesame] }
secrets: { s: { environment: PASSWORD } }
`;
  const loaded = await load({ [FILE]: text }, { env: { PASSWORD: "hunter2", TAG: "9", PORT: "8080" } });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.findings));
  const shown = JSON.stringify(shownConfig(loaded.project));
  for (const value of ["hunter2", "sesame", "letmein", "8080", "i:9"]) expect(shown).not.toContain(value);
  expect(JSON.stringify(configOf(loaded.project))).toContain("xhunter2y");
});
