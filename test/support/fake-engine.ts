/**
 * Says yes to everything, as an engine that an attacker has prepared, and keeps what it was asked. Containers, images and
 * networks of every name exist; volumes of some names are windows onto the machine.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SentRequest } from "./http-requests.ts";

export const HEX = "0123456789abcdef".repeat(4);

/** By name: the options of their driver. */
export const TRAP_VOLUMES: Record<string, Record<string, string>> = {
  "trap-etc": { type: "none", o: "bind", device: "/etc" },
  "trap-rbind": { type: "none", o: "rw,rbind", device: "/var/run" },
  "trap-socket": { type: "", o: "bind", device: "/var/run/docker.sock" },
  "trap-nfs-bind": { type: "nfs", o: "bind", device: "/etc" },
  "trap-disk": { type: "ext4", device: "/dev/sda1" },
  "trap-overlay": { type: "overlay", o: "lowerdir=/etc,upperdir=/tmp/u,workdir=/tmp/w", device: "overlay" },
  "trap-relative": { type: "none", o: "bind", device: "../../etc" },
  "trap-proc": { type: "proc", device: "proc" },
  "trap-link": { type: "none", o: "bind", device: "/proc/self/root" },
};
export const HOST_NETWORKS = ["host", "hostnet", HEX.replace("0", "f")];

export interface FakeEngine extends AsyncDisposable {
  path: string;
  requests: SentRequest[];
}

export async function fakeEngine(): Promise<FakeEngine> {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-test-fake-"));
  const path = join(folder, "engine.sock");
  const requests: SentRequest[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "", url = "" } = request;
      const body = Buffer.concat(chunks);
      requests.push({ method, target: url, headers: textHeaders(request), body });
      answer(response, method, new URL(url, "http://engine").pathname.replace(/^\/v[\d.]+/, ""), body);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function textHeaders({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}

function answer(response: ServerResponse, method: string, path: string, body: Buffer): void {
  const [status, value] = method === "GET" ? asked(path) : told(path, body);
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(value === undefined ? "" : JSON.stringify(value));
}

type Said = [status: number, value?: unknown];

const VERSION = { Version: "27.0.0", ApiVersion: "1.46", MinAPIVersion: "1.24", Os: "linux", Arch: "amd64" };
const FLAT: Record<string, unknown> = {
  "/version": VERSION,
  "/info": { Name: "fake", HttpProxy: "http://me:hunter2@proxy", Swarm: { NodeID: "node1" } },
  "/nodes": [{ ID: "node1", Spec: {}, Description: { Engine: { EngineVersion: "27.0.0" } }, Status: {} }],
  "/services": [],
  "/tasks": [],
  "/containers/json": [],
  "/images/json": [],
  "/images/search": [],
  "/networks": [],
  "/volumes": { Volumes: [] },
  "/system/df": { LayersSize: 0, BuildCache: [{ Size: 1, InUse: false }] },
};

function asked(path: string): Said {
  if (FLAT[path] !== undefined) return [200, FLAT[path]];
  const [, kind = "", name = "", ...rest] = path.split("/").map(decodeURIComponent);
  const last = rest.at(-1);
  if (kind === "containers" && last === "json") return [200, containerOf(name)];
  if (kind === "containers" && last === "changes") return [200, []];
  if (kind === "containers" && last === "top") return [200, { Titles: ["CMD"], Processes: [["a --token=hunter2"]] }];
  if (kind === "exec") return [200, { ExitCode: 0, Running: false }];
  if (kind === "images" && last === "json") return [200, imageOf([name, ...rest.slice(0, -1)].join("/"))];
  if (kind === "images" && last === "history") return [200, []];
  if (kind === "services" && last === undefined) return [200, serviceOf(name)];
  if (kind === "networks") return [200, networkOf(name)];
  if (kind === "volumes" && TRAP_VOLUMES[name])
    return [200, { Name: name, Driver: "local", Options: TRAP_VOLUMES[name], CreatedAt: "" }];
  if (kind === "volumes" && name === "data") return [200, { Name: name, Driver: "local", Options: null }];
  if (path === "/events" || last === "logs") return [200];
  return [404, { message: `no such thing: ${path}` }];
}

function told(path: string, body: Buffer): Said {
  const action = path.split("/").at(-1);
  // The product's own helpers are not what is looked at here.
  if (path === "/containers/create")
    return body.includes("linkspan.carrier") ? [500, { message: "no helpers" }] : [201, { Id: HEX }];
  if (path === "/services/create") return [201, { ID: "s" }];
  if (action === "exec") return [201, { Id: HEX }];
  if (path === "/networks/create") return [201, { Id: HEX }];
  if (path === "/volumes/create") return [201, { Name: "data", Driver: "local" }];
  if (path === "/build") return [200, { aux: { ID: `sha256:${HEX}` } }];
  if (path === "/build/prune") return [200, { SpaceReclaimed: 1 }];
  if (action === "update") return [200, { Warnings: null }];
  if (path === "/images/create" || path === "/images/load" || action === "push") return [200, { status: "done" }];
  return [200, {}];
}

function containerOf(name: string) {
  return {
    Id: HEX,
    Name: `/${name}`,
    Created: "2026-01-01T00:00:00Z",
    Image: `sha256:${HEX}`,
    State: { Status: "exited", ExitCode: 0 },
    Config: { Image: "web", Env: ["API=hunter2"], Labels: {} },
    HostConfig: { NetworkMode: "default", Privileged: true },
    NetworkSettings: { Ports: {}, Networks: {} },
    Mounts: [],
  };
}

function imageOf(name: string) {
  const Labels = name.startsWith("borrowed") ? { "linkspan.nonce": "x" } : {};
  return { Id: `sha256:${HEX}`, RepoTags: [name], Config: { Env: ["API=hunter2"], Labels } };
}

function networkOf(name: string) {
  return { Id: HEX, Name: name, Driver: HOST_NETWORKS.includes(name) ? "host" : "bridge", Scope: "swarm" };
}

function serviceOf(ID: string) {
  const Spec = { Name: ID, TaskTemplate: { ContainerSpec: { Image: "web" } }, Mode: { Replicated: { Replicas: 1 } } };
  return { ID, Version: { Index: 1 }, Spec };
}
