/** A service in the compose specification's model, as far as it is honoured here. */
import { isIP } from "node:net";
import * as v from "valibot";
import { IMAGE_REF } from "../docker/images.ts";
import {
  assignments,
  command,
  duration,
  labels,
  mapping,
  number,
  size,
  text,
  textOrTexts,
  texts,
  whole,
  yes,
} from "./fields.ts";
import { ports, volumeUses } from "./mounts.ts";

const TARGET = v.pipe(text, v.regex(/^[A-Za-z0-9_.-]{1,128}$/));
const HOST_NAME = v.pipe(text, v.regex(/^[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,252}[a-zA-Z0-9])?$/, "expected a host name"));
const USER = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?$/;
const address = v.pipe(
  text,
  v.check((input) => isIP(input) !== 0, "expected an IP address"),
);

const image = v.pipe(text, v.maxLength(512), v.regex(IMAGE_REF, "expected an image such as nginx:1.27"));
const PLATFORM = v.pipe(text, v.regex(/^[a-z0-9]+(\/[a-z0-9_]+){1,2}$/, "expected a platform such as linux/arm64"));

const build = v.union(
  [
    v.pipe(
      text,
      v.transform((context): v.InferOutput<typeof longBuild> => ({ context, args: {} })),
    ),
    v.lazy(() => longBuild),
  ],
  ({ issues }) => issues?.[0]?.message ?? "expected a folder, or a mapping",
);
const longBuild = mapping({
  context: v.optional(text),
  dockerfile: v.optional(text),
  dockerfile_inline: v.optional(text),
  args: v.optional(assignments, {}),
  target: v.optional(TARGET),
  labels: v.optional(labels),
  tags: v.optional(v.pipe(v.array(image), v.maxLength(16))),
  no_cache: v.optional(yes),
  pull: v.optional(yes),
});

export const CONDITIONS = ["service_started", "service_healthy", "service_completed_successfully"] as const;
export type Condition = (typeof CONDITIONS)[number];
const dependency = mapping({
  condition: v.optional(v.picklist(CONDITIONS), "service_started"),
  restart: v.optional(yes),
  required: v.optional(yes, true),
});
export type Dependency = v.InferOutput<typeof dependency>;
const dependencies = v.union([
  v.pipe(
    texts,
    v.transform((names) =>
      Object.fromEntries(
        names.map((name): [string, Dependency] => [name, { condition: "service_started", required: true }]),
      ),
    ),
  ),
  v.record(v.string(), dependency),
]);

const healthcheck = mapping({
  test: v.optional(
    v.pipe(
      v.union([v.pipe(texts, v.minLength(1)), text]),
      v.transform((test) => (typeof test === "string" ? ["CMD-SHELL", test] : test)),
      v.check(([kind = ""]) => ["NONE", "CMD", "CMD-SHELL"].includes(kind), "expected NONE, CMD or CMD-SHELL first"),
    ),
  ),
  interval: v.optional(duration),
  timeout: v.optional(duration),
  start_period: v.optional(duration),
  start_interval: v.optional(duration),
  retries: v.optional(whole(0, 1_000)),
  disable: v.optional(yes),
});

const attachment = mapping({
  aliases: v.optional(v.pipe(v.array(HOST_NAME), v.maxLength(64)), []),
  ipv4_address: v.optional(address),
  ipv6_address: v.optional(address),
  priority: v.optional(number, 0),
});
export type Attachment = v.InferOutput<typeof attachment>;
const attachments = v.union([
  v.pipe(
    texts,
    v.transform((names) =>
      Object.fromEntries(names.map((name): [string, Attachment] => [name, { aliases: [], priority: 0 }])),
    ),
  ),
  v.record(
    v.string(),
    v.pipe(
      v.nullable(attachment),
      v.transform((input): Attachment => input ?? { aliases: [], priority: 0 }),
    ),
  ),
]);

const fileUse = v.union([
  v.pipe(
    text,
    v.transform((source): { source: string; target?: string | undefined; mode?: number | undefined } => ({ source })),
  ),
  mapping({
    source: text,
    target: v.optional(text),
    mode: v.optional(
      v.pipe(
        v.union([
          v.number(),
          v.pipe(
            v.string(),
            v.transform((mode) => Number.parseInt(mode, 8)),
          ),
        ]),
        v.integer(),
        v.minValue(0),
        v.maxValue(0o7777),
      ),
    ),
  }),
]);
export type FileUse = v.InferOutput<typeof fileUse>;

const envFile = v.pipe(
  v.union([
    text,
    v.array(
      v.union([text, mapping({ path: text, required: v.optional(yes, true), format: v.optional(v.literal("raw")) })]),
    ),
  ]),
  v.transform((input) => [input].flat().map((one) => (typeof one === "string" ? { path: one, required: true } : one))),
);

/** Others hand what is logged to other machines, or read files of this one for it. */
const logging = mapping({
  driver: v.optional(v.picklist(["json-file", "local", "none"], "expected json-file, local or none")),
  options: v.optional(
    v.record(
      v.picklist("max-size max-file compress mode max-buffer-size labels labels-regex env env-regex tag".split(" ")),
      text,
    ),
  ),
});

const ULIMITS = "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack";
const ulimits = v.record(
  v.picklist(ULIMITS.split(" ")),
  v.union([whole(-1, 2 ** 53), mapping({ soft: whole(-1, 2 ** 53), hard: whole(-1, 2 ** 53) })]),
);

const limits = mapping({ cpus: v.optional(number), memory: v.optional(size), pids: v.optional(number) });
const deploy = mapping({
  mode: v.optional(v.literal("replicated")),
  replicas: v.optional(whole(0, 1_000)),
  labels: v.optional(labels),
  resources: v.optional(mapping({ limits: v.optional(limits), reservations: v.optional(limits) })),
  restart_policy: v.optional(
    mapping({
      condition: v.optional(v.picklist(["none", "on-failure", "any"]), "any"),
      max_attempts: v.optional(whole(0, 1_000_000)),
      delay: v.optional(duration),
      window: v.optional(duration),
    }),
  ),
  // These are for swarms, and `docker compose` passes over them, too.
  placement: v.optional(v.unknown()),
  update_config: v.optional(v.unknown()),
  rollback_config: v.optional(v.unknown()),
  endpoint_mode: v.optional(v.unknown()),
});

export const service = mapping({
  extends: v.optional(
    v.union([
      v.pipe(
        text,
        v.transform((name): { service: string; file?: string | undefined } => ({ service: name })),
      ),
      mapping({ service: text, file: v.optional(text) }),
    ]),
  ),
  profiles: v.optional(texts),
  image: v.optional(image),
  platform: v.optional(PLATFORM),
  build: v.optional(build),
  pull_policy: v.optional(v.picklist(["always", "never", "missing", "if_not_present", "build"])),
  command: v.optional(command),
  entrypoint: v.optional(command),
  environment: v.optional(assignments),
  env_file: v.optional(envFile),
  ports: v.optional(ports),
  expose: v.optional(v.array(v.pipe(text, v.regex(/^\d{1,5}(-\d{1,5})?(\/(tcp|udp|sctp))?$/)))),
  volumes: v.optional(volumeUses),
  tmpfs: v.optional(
    v.pipe(
      textOrTexts,
      v.everyItem((item) => /^\/[^:\0]*(:[\w=,.]+)?$/.test(item), "expected a path"),
    ),
  ),
  networks: v.optional(attachments),
  network_mode: v.optional(v.picklist(["none", "bridge"])),
  depends_on: v.optional(dependencies),
  healthcheck: v.optional(healthcheck),
  secrets: v.optional(v.array(fileUse)),
  configs: v.optional(v.array(fileUse)),
  restart: v.optional(
    v.pipe(
      text,
      v.regex(
        /^(no|always|unless-stopped|on-failure(:\d{1,6})?)$/,
        "expected no, always, on-failure or unless-stopped",
      ),
    ),
  ),
  deploy: v.optional(deploy),
  mem_limit: v.optional(size),
  mem_reservation: v.optional(size),
  cpus: v.optional(v.pipe(number, v.minValue(0), v.maxValue(1024))),
  cpu_shares: v.optional(whole(0, 262_144)),
  pids_limit: v.optional(whole(-1, 1_000_000)),
  shm_size: v.optional(size),
  user: v.optional(v.pipe(text, v.regex(USER, "expected NAME, UID or UID:GID"))),
  working_dir: v.optional(v.pipe(text, v.regex(/^\//, "expected an absolute path"))),
  labels: v.optional(labels),
  read_only: v.optional(yes),
  privileged: v.optional(yes),
  cap_drop: v.optional(v.array(v.pipe(text, v.regex(/^(CAP_)?[A-Z_]{2,40}$/, "expected ALL or NET_RAW")))),
  init: v.optional(yes),
  stop_grace_period: v.optional(duration),
  stop_signal: v.optional(v.pipe(text, v.regex(/^(SIG)?[A-Z0-9+-]{2,12}$|^[1-9]\d?$/, "expected SIGTERM"))),
  hostname: v.optional(HOST_NAME),
  domainname: v.optional(HOST_NAME),
  extra_hosts: v.optional(
    v.union([
      v.pipe(
        v.array(v.pipe(text, v.regex(/^[^:=\s]+[:=]\S+$/, "expected NAME=ADDRESS"))),
        v.transform((list) => {
          const hosts: Record<string, string[]> = {};
          for (const one of list) {
            const at = one.search(/[:=]/);
            (hosts[one.slice(0, at)] ??= []).push(one.slice(at + 1).replace(/^\[(.*)\]$/, "$1"));
          }
          return hosts;
        }),
      ),
      v.record(v.pipe(v.string(), v.regex(/^[^:=\s\0]+$/)), textOrTexts),
    ]),
  ),
  dns: v.optional(
    v.pipe(
      textOrTexts,
      v.everyItem((item) => isIP(item) !== 0, "expected IP addresses"),
    ),
  ),
  dns_search: v.optional(textOrTexts),
  dns_opt: v.optional(texts),
  logging: v.optional(logging),
  ulimits: v.optional(ulimits),
  /** What takes more away; what gives something is refused before. */
  security_opt: v.optional(texts),
  scale: v.optional(whole(0, 1_000)),
  container_name: v.optional(
    v.pipe(text, v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/, "expected letters, digits, _ . and -")),
  ),
  tty: v.optional(yes),
  stdin_open: v.optional(yes),
  attach: v.optional(yes),
  develop: v.optional(v.unknown()),
});
export type ParsedService = v.InferOutput<typeof service>;
