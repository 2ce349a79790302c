/** The compose specification's model, as far as it is honoured here: every field is named, and others are refused. */
import { isIP } from "node:net";
import * as v from "valibot";
import { isPrivateSubnet } from "../docker/subnets.ts";
import { labels, mapping, named, text, textOrTexts, yes } from "./fields.ts";
import { service } from "./service-schema.ts";

const address = v.pipe(
  text,
  v.check((input) => isIP(input) !== 0, "expected an IP address"),
);
const external = v.optional(yes);
const name = v.optional(
  v.pipe(text, v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/, "expected letters, digits, _ . and -")),
);
const subnet = v.pipe(
  text,
  v.regex(/^[0-9a-fA-F.:]{2,45}\/\d{1,3}$/, "expected a subnet such as 10.9.0.0/24"),
  v.check(isPrivateSubnet, "expected a private subnet such as 10.9.0.0/24: others are the machine's own ways"),
);

const network = mapping({
  name,
  external,
  driver: v.optional(text),
  driver_opts: v.optional(v.record(v.string(), text)),
  ipam: v.optional(
    mapping({
      driver: v.optional(v.literal("default")),
      config: v.optional(
        v.pipe(
          v.array(mapping({ subnet: v.optional(subnet), ip_range: v.optional(subnet), gateway: v.optional(address) })),
          v.maxLength(8),
        ),
        [],
      ),
    }),
  ),
  internal: v.optional(yes),
  attachable: v.optional(yes),
  enable_ipv6: v.optional(yes),
  labels: v.optional(labels),
});
export type ParsedNetwork = v.InferOutput<typeof network>;

const volume = mapping({
  name,
  external,
  driver: v.optional(text),
  driver_opts: v.optional(v.record(v.string(), text)),
  labels: v.optional(labels),
});
export type ParsedVolume = v.InferOutput<typeof volume>;

const file = v.pipe(
  mapping({ name, external, file: v.optional(text), content: v.optional(text), environment: v.optional(text) }),
  v.check(({ external: elsewhere }) => !elsewhere, "one that is external needs a swarm"),
);
export type ParsedFile = v.InferOutput<typeof file>;

const orEmpty = <S extends v.GenericSchema>(schema: S) =>
  v.pipe(
    v.unknown(),
    v.transform((input) => input ?? {}),
    schema,
  );

/** Several paths are one file, the later ones laid over the first. */
const include = v.pipe(
  v.union([
    text,
    mapping({
      path: v.pipe(textOrTexts, v.minLength(1)),
      project_directory: v.optional(text),
      env_file: v.optional(textOrTexts),
    }),
  ]),
  v.transform((input) => (typeof input === "string" ? { path: [input] } : input)),
);
export interface Include {
  path: string[];
  project_directory?: string | undefined;
  env_file?: string[] | undefined;
}

export const document = mapping({
  version: v.optional(v.unknown()),
  name: v.optional(v.pipe(text, v.maxLength(256))),
  include: v.optional(v.array(include)),
  services: v.optional(orEmpty(named(service)), {}),
  networks: v.optional(orEmpty(named(orEmpty(network))), {}),
  volumes: v.optional(orEmpty(named(orEmpty(volume))), {}),
  secrets: v.optional(orEmpty(named(file)), {}),
  configs: v.optional(orEmpty(named(file)), {}),
});
export type ParsedDocument = v.InferOutput<typeof document>;
