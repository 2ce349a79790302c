/** How a server is locked in: what the engine reports, not what was asked for. */
import * as v from "valibot";
import type { Inspection } from "../model/rest.ts";
import { formatBytes } from "./units.ts";

const list = v.nullish(v.array(v.string()));
const amount = v.nullish(v.number());

/** The part of the engine's description that says so (Docker Engine API, ContainerInspect). */
const container = v.object({
  Config: v.object({ User: v.nullish(v.string()) }),
  HostConfig: v.object({
    Memory: amount,
    MemorySwap: amount,
    NanoCpus: amount,
    PidsLimit: amount,
    CapDrop: list,
    CapAdd: list,
    SecurityOpt: list,
    ReadonlyRootfs: v.nullish(v.boolean()),
    Privileged: v.nullish(v.boolean()),
    Init: v.nullish(v.boolean()),
    Tmpfs: v.nullish(v.record(v.string(), v.string())),
    NetworkMode: v.nullish(v.string()),
    PortBindings: v.nullish(v.record(v.string(), v.nullish(v.array(v.object({ HostIp: v.string() }))))),
  }),
  Mounts: v.nullish(
    v.array(
      v.object({
        Type: v.string(),
        Name: v.nullish(v.string()),
        Source: v.nullish(v.string()),
        Destination: v.string(),
        RW: v.boolean(),
      }),
    ),
  ),
});

export function hardening({ view, raw, spec }: Inspection): string[][] {
  if (view.runtime === "process") {
    return [["isolation", "none: a plain process of yours, with your files and your network"]];
  }
  // Those of one server are all locked in alike.
  const parsed = v.safeParse(container, Array.isArray(raw) ? raw[0] : raw);
  if (!parsed.success) return [["network", spec.network]];
  const { Config, HostConfig: host, Mounts } = parsed.output;
  const rows = [
    ["memory", host.Memory ? `${formatBytes(host.Memory)}${host.MemorySwap === host.Memory ? ", no swap" : ""}` : NONE],
    ["cpus", host.NanoCpus ? String(host.NanoCpus / 1e9) : NONE],
    ["processes", host.PidsLimit && host.PidsLimit > 0 ? `at most ${host.PidsLimit}` : NONE],
    ["capabilities", capabilities(host.CapDrop ?? [], host.CapAdd ?? [])],
    ["privileges", host.Privileged ? "PRIVILEGED" : privileges(host.SecurityOpt ?? [])],
    ["root", host.ReadonlyRootfs ? "read-only" : "writable"],
    ["in memory", Object.keys(host.Tmpfs ?? {}).join(", ") || "nothing"],
    ["user", Config.User || "the image's (root where it names none)"],
    ["network", `${spec.network} (${host.NetworkMode ?? "?"})`],
    ["ports", ports(host.PortBindings ?? {})],
    ["init", host.Init ? "the engine's, as PID 1" : "none"],
  ];
  for (const mount of Mounts ?? []) {
    const source = mount.Type === "volume" ? `volume ${mount.Name}` : `${mount.Type} ${mount.Source ?? ""}`;
    rows.push(["mount", `${mount.Destination} ${mount.RW ? "writable" : "read-only"}, ${source}`]);
  }
  return rows;
}

const NONE = "no limit";

function capabilities(dropped: string[], added: string[]): string {
  const kept = added.length > 0 ? `, but ${added.join(", ")}` : "";
  return dropped.includes("ALL")
    ? `none${kept}`
    : `the engine's default, without ${dropped.join(", ") || "any dropped"}${kept}`;
}

function privileges(options: string[]): string {
  return options.some((option) => /^no-new-privileges(:true)?$/.test(option)) ? "none can be gained" : "can be gained";
}

function ports(bindings: Record<string, { HostIp: string }[] | null | undefined>): string {
  const open = Object.entries(bindings).map(
    ([port, hosts]) => `${port} on ${hosts?.map((one) => one.HostIp || "all addresses").join(", ")}`,
  );
  return open.length > 0 ? `published: ${open.join("; ")}` : "none published";
}
