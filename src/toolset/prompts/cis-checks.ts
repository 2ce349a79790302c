/** The recommendations 5.1 to 5.31, one literal each. Pure. */
import type { RuntimeFacts, Verdict } from "./cis.ts";

interface Result {
  verdict: Verdict;
  detail: string;
}

interface Check {
  number: string;
  title: string;
  check(facts: RuntimeFacts): Result;
}

const PASS: Result = { verdict: "pass", detail: "" };
const fail = (detail: string): Result => ({ verdict: "fail", detail });
const review = (detail: string): Result => ({ verdict: "review", detail });
const unknown = (detail: string): Result => ({ verdict: "unknown", detail });
/** Fails where there is something to say. */
const failIf = (detail: string | false | null | undefined): Result => (detail ? fail(detail) : PASS);

const RETRIES_MAX = 5;
const PRIVILEGED_PORT_MAX = 1023;
const NORMAL_CPU_SHARES = 1024;
/** 5.5: the folders that the benchmark names. */
const SENSITIVE = ["/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr"];
/** Folders that the engine's socket is in. */
const AROUND_SOCKET = ["/", "/run", "/var", "/var/run"];

export const CHECKS: readonly Check[] = [
  {
    number: "5.1",
    title: "An AppArmor profile is enabled, if applicable",
    check: ({ AppArmorProfile }) =>
      failIf(
        (!AppArmorProfile || AppArmorProfile === "unconfined") &&
          `profile: ${AppArmorProfile || "none (it does not apply where the host has no AppArmor)"}`,
      ),
  },
  {
    number: "5.2",
    title: "SELinux security options are set, if applicable",
    check: ({ HostConfig }) => {
      const labels = options(HostConfig.SecurityOpt).filter((option) => option.startsWith("label"));
      if (labels.some((label) => /disable/.test(label))) return fail("SELinux labels are disabled");
      return failIf(labels.length === 0 && "no SELinux options (it does not apply where the host has no SELinux)");
    },
  },
  {
    number: "5.3",
    title: "Linux kernel capabilities are restricted",
    check: ({ HostConfig }) => {
      const added = HostConfig.CapAdd ?? [];
      return failIf(added.length > 0 && `added: ${added.join(", ")}`);
    },
  },
  {
    number: "5.4",
    title: "Privileged containers are not used",
    check: ({ HostConfig }) => failIf(HostConfig.Privileged && "it is privileged"),
  },
  {
    number: "5.5",
    title: "Sensitive host directories are not mounted",
    check: (facts) => {
      const found = binds(facts).filter(
        ({ Source, RW }) =>
          SENSITIVE.includes(Source) || (RW && SENSITIVE.some((folder) => folder !== "/" && below(Source, folder))),
      );
      return failIf(found.map(({ Source, RW }) => `${Source} (${RW ? "writable" : "read-only"})`).join(", "));
    },
  },
  {
    number: "5.6",
    title: "sshd is not run inside",
    check: ({ processes }) => {
      if (!processes) return unknown("it does not run");
      return failIf(processes.some((line) => /(^|[\s/])sshd(:|\s|$)/.test(line)) && "sshd runs");
    },
  },
  {
    number: "5.7",
    title: "Privileged ports are not mapped",
    check: (facts) => {
      const low = published(facts).filter(({ host }) => Number(host) > 0 && Number(host) <= PRIVILEGED_PORT_MAX);
      return failIf(low.map(({ host, inside }) => `${host} → ${inside}`).join(", "));
    },
  },
  {
    number: "5.8",
    title: "Only needed ports are open",
    check: (facts) =>
      review(
        `published: ${
          published(facts)
            .map(({ host, inside }) => `${host} → ${inside}`)
            .join(", ") || "none"
        }`,
      ),
  },
  {
    number: "5.9",
    title: "The host's network namespace is not shared",
    check: ({ HostConfig }) => failIf(HostConfig.NetworkMode === "host" && "network mode host"),
  },
  {
    number: "5.10",
    title: "Memory usage is limited",
    check: ({ HostConfig }) => failIf((HostConfig.Memory ?? 0) <= 0 && "no memory limit"),
  },
  {
    number: "5.11",
    title: "CPU priority is set appropriately",
    check: ({ HostConfig: { CpuShares, NanoCpus, CpuQuota } }) => {
      const shares = CpuShares ?? 0;
      const limited = (NanoCpus ?? 0) > 0 || (CpuQuota ?? 0) > 0;
      return failIf((shares === 0 || shares === NORMAL_CPU_SHARES) && !limited && "neither shares nor a limit");
    },
  },
  {
    number: "5.12",
    title: "The root file system is read-only",
    check: ({ HostConfig }) => failIf(!HostConfig.ReadonlyRootfs && "it is writable"),
  },
  {
    number: "5.13",
    title: "Incoming traffic is bound to a specific host interface",
    check: (facts) => {
      const open = published(facts).filter(({ ip }) => ip === "" || ip === "0.0.0.0" || ip === "::");
      return failIf(open.map(({ host, inside }) => `${host} → ${inside} on all interfaces`).join(", "));
    },
  },
  {
    number: "5.14",
    title: "The on-failure restart policy is limited to 5",
    check: ({ HostConfig: { RestartPolicy } }) => {
      const retries = RestartPolicy.MaximumRetryCount ?? 0;
      if (!RestartPolicy.Name || RestartPolicy.Name === "no") return PASS;
      if (RestartPolicy.Name === "on-failure" && retries > 0 && retries <= RETRIES_MAX) return PASS;
      return fail(`policy ${RestartPolicy.Name}${retries > 0 ? `:${retries}` : ""}`);
    },
  },
  {
    number: "5.15",
    title: "The host's process namespace is not shared",
    check: ({ HostConfig }) => failIf(HostConfig.PidMode === "host" && "pid mode host"),
  },
  {
    number: "5.16",
    title: "The host's IPC namespace is not shared",
    check: ({ HostConfig }) => failIf(HostConfig.IpcMode === "host" && "ipc mode host"),
  },
  {
    number: "5.17",
    title: "Host devices are not directly exposed",
    check: ({ HostConfig }) =>
      review(`devices: ${(HostConfig.Devices ?? []).map(({ PathOnHost }) => PathOnHost).join(", ") || "none"}`),
  },
  {
    number: "5.18",
    title: "The default ulimit is overwritten only if needed",
    check: ({ HostConfig }) =>
      review(`overwritten: ${(HostConfig.Ulimits ?? []).map(({ Name }) => Name).join(", ") || "none"}`),
  },
  {
    number: "5.19",
    title: "Mount propagation is not shared",
    check: ({ Mounts }) => {
      const shared = (Mounts ?? []).filter(({ Propagation }) => /^r?shared$/.test(Propagation ?? ""));
      return failIf(shared.map(({ Destination, Propagation }) => `${Destination} (${Propagation})`).join(", "));
    },
  },
  {
    number: "5.20",
    title: "The host's UTS namespace is not shared",
    check: ({ HostConfig }) => failIf(HostConfig.UTSMode === "host" && "uts mode host"),
  },
  {
    number: "5.21",
    title: "The default seccomp profile is not disabled",
    check: ({ HostConfig }) => {
      if (options(HostConfig.SecurityOpt).includes("seccomp=unconfined")) return fail("seccomp=unconfined");
      return failIf(HostConfig.Privileged && "privileged containers have no seccomp profile");
    },
  },
  {
    number: "5.22",
    title: "docker exec is not used with --privileged",
    check: ({ execs }) =>
      execs
        ? failIf(execs.some(({ privileged }) => privileged) && "one runs now")
        : unknown("only the host's audit log tells of those that have ended"),
  },
  {
    number: "5.23",
    title: "docker exec is not used with --user=root",
    check: ({ execs }) => {
      const root = (execs ?? []).filter(({ user }) => /^(root|0)(:|$)/.test(user));
      return review(`running now as root: ${execs ? root.length : "not known"}`);
    },
  },
  {
    number: "5.24",
    title: "Cgroup usage is confirmed",
    check: ({ HostConfig }) => failIf(HostConfig.CgroupParent && `cgroup parent ${HostConfig.CgroupParent}`),
  },
  {
    number: "5.25",
    title: "Additional privileges cannot be acquired",
    check: ({ HostConfig }) => {
      const set = options(HostConfig.SecurityOpt).some((option) => /^no-new-privileges(=true)?$/.test(option));
      return failIf(!set && "no-new-privileges is not set");
    },
  },
  {
    number: "5.26",
    title: "Health is checked at runtime",
    check: ({ State }) => failIf(!State.Health && "no health check"),
  },
  {
    number: "5.27",
    title: "Commands get the latest version of their image",
    check: ({ Config }) => review(`image ${Config.Image}`),
  },
  {
    number: "5.28",
    title: "The PIDs cgroup limit is used",
    check: ({ HostConfig }) => failIf((HostConfig.PidsLimit ?? 0) <= 0 && "no limit of processes"),
  },
  {
    number: "5.29",
    title: "The default bridge docker0 is not used",
    check: ({ NetworkSettings }) =>
      review(`networks: ${Object.keys(NetworkSettings.Networks ?? {}).join(", ") || "none"}`),
  },
  {
    number: "5.30",
    title: "The host's user namespaces are not shared",
    check: ({ HostConfig }) => failIf(HostConfig.UsernsMode === "host" && "userns mode host"),
  },
  {
    number: "5.31",
    title: "The engine's socket is not mounted",
    check: (facts) => {
      const found = binds(facts).filter(
        ({ Source, Destination }) =>
          Source.endsWith("docker.sock") || Destination.endsWith("docker.sock") || AROUND_SOCKET.includes(Source),
      );
      return failIf(found.map(({ Source }) => Source).join(", "));
    },
  },
];

/** The engine takes `label:disable` and `label=disable`. */
function options(found: readonly string[] | null): string[] {
  return (found ?? []).map((option) => option.replace(":", "="));
}

function binds({ Mounts }: RuntimeFacts): { Source: string; Destination: string; RW: boolean }[] {
  return (Mounts ?? [])
    .filter(({ Type }) => Type === "bind")
    .map(({ Source, Destination, RW }) => ({
      Source: (Source ?? "").replace(/(?<=.)\/+$/, ""),
      Destination: Destination ?? "",
      RW: RW ?? false,
    }));
}

function below(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`);
}

function published({ NetworkSettings }: RuntimeFacts): { ip: string; host: string; inside: string }[] {
  return Object.entries(NetworkSettings.Ports ?? {}).flatMap(([inside, bound]) =>
    (bound ?? []).map(({ HostIp, HostPort }) => ({ ip: HostIp ?? "", host: HostPort ?? "", inside })),
  );
}
