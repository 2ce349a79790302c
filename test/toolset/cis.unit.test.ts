/** Each item of section 5 of the CIS Docker Benchmark, with containers that fail and that pass it. */
import { expect, test } from "bun:test";
import * as v from "valibot";
import { auditRuntime, runtimeFacts } from "../../src/toolset/prompts/cis.ts";

/** Passes everything that can be passed. */
const GOOD = {
  AppArmorProfile: "docker-default",
  Config: { Image: "web:1.2" },
  State: { Health: { Status: "healthy" } },
  HostConfig: {
    SecurityOpt: ["label=type:container_t", "no-new-privileges"],
    CapAdd: null,
    Memory: 64 * 1024 * 1024,
    CpuShares: 512,
    ReadonlyRootfs: true,
    RestartPolicy: { Name: "on-failure", MaximumRetryCount: 5 },
    PidsLimit: 100,
  },
  Mounts: [{ Type: "bind", Source: "/srv/data", Destination: "/data", RW: true, Propagation: "rprivate" }],
  NetworkSettings: {
    Ports: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "8080" }], "81/tcp": null },
    Networks: { front: {} },
  },
  processes: ["/usr/bin/web --sshd-like"],
  execs: [],
};

type Change = (facts: typeof GOOD) => unknown;
const host =
  (change: Record<string, unknown>): Change =>
  (facts) => ({
    ...facts,
    HostConfig: { ...facts.HostConfig, ...change },
  });
const bind =
  (Source: string, change: Record<string, unknown> = {}): Change =>
  (facts) => ({
    ...facts,
    Mounts: [{ ...facts.Mounts[0], Source, ...change }],
  });
const port =
  (HostIp: string, HostPort: string): Change =>
  (facts) => ({
    ...facts,
    NetworkSettings: { ...facts.NetworkSettings, Ports: { "80/tcp": [{ HostIp, HostPort }] } },
  });

const audit = (change: Change) => auditRuntime(v.parse(runtimeFacts, change(GOOD)));
const failed = (change: Change) =>
  audit(change)
    .filter(({ verdict }) => verdict === "fail")
    .map(({ number }) => number);

test("the good one fails nothing, and what the benchmark leaves to people is marked so", () => {
  const items = audit((facts) => facts);
  expect(items.map(({ number }) => number)).toEqual(Array.from({ length: 31 }, (_, index) => `5.${index + 1}`));
  expect(items.filter(({ verdict }) => verdict === "fail")).toEqual([]);
  expect(items.filter(({ verdict }) => verdict === "review").map(({ number }) => number)).toEqual([
    "5.8",
    "5.17",
    "5.18",
    "5.23",
    "5.27",
    "5.29",
  ]);
  expect(items.filter(({ verdict }) => verdict === "unknown")).toEqual([]);
});

test.each([
  ["5.1", (facts) => ({ ...facts, AppArmorProfile: "" })],
  ["5.1", (facts) => ({ ...facts, AppArmorProfile: "unconfined" })],
  ["5.2", host({ SecurityOpt: ["no-new-privileges"] })],
  ["5.2", host({ SecurityOpt: ["label:disable", "no-new-privileges:true"] })],
  ["5.3", host({ CapAdd: ["NET_ADMIN"] })],
  ["5.5", bind("/etc", { RW: false })],
  ["5.5", bind("/etc/ssh")],
  ["5.5", bind("/usr/", { RW: false })],
  ["5.6", (facts) => ({ ...facts, processes: ["/sbin/init", "/usr/sbin/sshd -D"] })],
  ["5.6", (facts) => ({ ...facts, processes: ["sshd: root@pts/0"] })],
  ["5.7", port("127.0.0.1", "443")],
  ["5.9", host({ NetworkMode: "host" })],
  ["5.10", host({ Memory: 0 })],
  ["5.11", host({ CpuShares: 1024 })],
  ["5.11", host({ CpuShares: 0 })],
  ["5.12", host({ ReadonlyRootfs: false })],
  ["5.13", port("", "8080")],
  ["5.13", port("0.0.0.0", "8080")],
  ["5.13", port("::", "8080")],
  ["5.14", host({ RestartPolicy: { Name: "always" } })],
  ["5.14", host({ RestartPolicy: { Name: "on-failure", MaximumRetryCount: 0 } })],
  ["5.14", host({ RestartPolicy: { Name: "on-failure", MaximumRetryCount: 6 } })],
  ["5.15", host({ PidMode: "host" })],
  ["5.16", host({ IpcMode: "host" })],
  ["5.19", bind("/srv/data", { Propagation: "rshared" })],
  ["5.20", host({ UTSMode: "host" })],
  ["5.21", host({ SecurityOpt: ["label=x", "no-new-privileges", "seccomp=unconfined"] })],
  ["5.22", (facts) => ({ ...facts, execs: [{ privileged: true, user: "" }] })],
  ["5.24", host({ CgroupParent: "/other" })],
  ["5.25", host({ SecurityOpt: ["label=x"] })],
  ["5.25", host({ SecurityOpt: ["label=x", "no-new-privileges=false"] })],
  ["5.26", (facts) => ({ ...facts, State: { Health: null } })],
  ["5.28", host({ PidsLimit: null })],
  ["5.28", host({ PidsLimit: -1 })],
  ["5.30", host({ UsernsMode: "host" })],
  ["5.31", bind("/var/run/docker.sock", { RW: false })],
  ["5.31", bind("/var/run", { RW: false })],
] satisfies [string, Change][])("%s fails alone (%#)", (number, change) => {
  expect(failed(change)).toEqual([number]);
});

test("some settings break more than one item", () => {
  expect(failed(host({ Privileged: true }))).toEqual(["5.4", "5.21"]);
  expect(failed(bind("/"))).toEqual(["5.5", "5.31"]);
});

test.each([
  ["a limit instead of shares", host({ CpuShares: 0, NanoCpus: 5e8 })],
  ["no restarts", host({ RestartPolicy: { Name: "no" } })],
  ["an outer folder of a name like a sensitive one", bind("/etcetera")],
  ["one file of a sensitive folder, read-only", bind("/etc/localtime", { RW: false })],
  ["a volume is no bind", (facts) => ({ ...facts, Mounts: [{ ...facts.Mounts[0], Type: "volume", Source: "/var" }] })],
] satisfies [string, Change][])("%s is no finding", (_, change) => {
  expect(failed(change)).toEqual([]);
});

test("what the engine does not tell is unknown", () => {
  const items = audit((facts) => ({ ...facts, processes: undefined, execs: undefined }));
  expect(items.filter(({ verdict }) => verdict === "unknown").map(({ number }) => number)).toEqual(["5.6", "5.22"]);
});
