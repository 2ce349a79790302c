/** Published ports, in the forms that people, models and Docker's SDK for Python write. Loopback unless an address is named. */
import { isIP } from "node:net";
import * as v from "valibot";

const LOOPBACK = "127.0.0.1";

const portNumber = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535));
const port = v.pipe(v.union([portNumber, v.pipe(v.string(), v.regex(/^\d{1,5}$/), v.transform(Number))]), portNumber);
const inside = v.pipe(v.string(), v.regex(/^\d{1,5}(\/(tcp|udp|sctp))?$/, "expected 80 or 80/tcp"));
const address = v.pipe(
  v.string(),
  v.check((text) => isIP(text) !== 0, "expected an IP address"),
);
const published = v.object({ container: v.string(), host: v.nullable(portNumber), address: v.string() });
type Published = v.InferOutput<typeof published>;

/** `{"80/tcp": 8080}`, `{"80": ["0.0.0.0", 8080]}`, `{"80": null}` (a free one). */
const table = v.pipe(
  v.record(inside, v.nullable(v.union([port, v.tuple([address, port])]))),
  v.transform((input) =>
    Object.entries(input).map(([container, to]): Published => {
      if (Array.isArray(to)) return { container, address: to[0], host: to[1] };
      return { container, address: LOOPBACK, host: to };
    }),
  ),
);
/** `8080:80`, `0.0.0.0:8080:80/udp`, `80` (a free one). */
const line = v.pipe(
  v.string(),
  v.regex(
    /^(?:(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(\d{0,5}):)?\d{1,5}(\/(tcp|udp|sctp))?$/,
    "expected 8080:80 or 127.0.0.1:8080:80",
  ),
  v.transform((input): Published => {
    const [, ip, host, container = ""] = /^(?:(?:(\[[^\]]+\]|[0-9.]+):)?(\d{0,5}):)?([^:]+)$/.exec(input) ?? [];
    return { container, address: ip?.replace(/[[\]]/g, "") ?? LOOPBACK, host: host ? Number(host) : null };
  }),
  v.check(({ address: ip }) => isIP(ip) !== 0, "expected an IP address"),
  v.check(({ host }) => host === null || host <= 65_535, "expected a port up to 65535"),
);
const forms = [v.array(line), table] as const;

export const ports = v.pipe(
  v.union([...forms, v.pipe(v.string(), v.parseJson(), v.union(forms))]),
  v.maxLength(256),
  v.description('["8080:80"] or {"80/tcp": 8080}: published on 127.0.0.1 unless an address is named'),
);

/** As the create call wants them (ContainerCreate: ExposedPorts, HostConfig.PortBindings). */
export function portBindings(wanted: readonly Published[]) {
  const exposed: Record<string, object> = {};
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { container, host, address: HostIp } of wanted) {
    const key = container.includes("/") ? container : `${container}/tcp`;
    exposed[key] = {};
    (bindings[key] ??= []).push({ HostIp, HostPort: host === null ? "" : String(host) });
  }
  return { exposed, bindings };
}
