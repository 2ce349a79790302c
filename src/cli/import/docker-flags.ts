/**
 * The options of `docker run`, each with what becomes of it. One that is not in this table cannot be read past, because
 * nobody knows whether it takes the next word.
 */
import { parseBytes } from "../../model/units.ts";
import { type Body, type Making, Refusal } from "./draft.ts";
import { variablesOf, volumeOf } from "./docker-values.ts";

/** A container as the options describe it so far. */
export interface Container {
  making: Making;
  body: Body;
  /** What `docker` itself has in its environment: `-e NAME` takes the value from there. */
  outer: Record<string, string>;
  env: Record<string, string>;
  volumes: string[];
}

/** A switch has no value; a valued option is given its own. */
export type Flag =
  | { switch: true; apply?: (container: Container) => void }
  | { switch: false; apply?: (container: Container, value: string) => void };

const quiet = { switch: true } as const;
const ignored: Flag = { switch: false };
const valued = (apply: (container: Container, value: string) => void): Flag => ({ switch: false, apply });
const say = (container: Container, words: string) => void container.making.notes.push(words);

/** Left out, with the reason. */
const dropped = (why: string): Flag => valued((container, value) => say(container, `${value} was left out: ${why}`));
const droppedSwitch = (name: string, why: string): Flag => ({
  switch: true,
  apply: (one) => say(one, `${name} was left out: ${why}`),
});
const refused = (name: string, why: string): Flag => valued((_, value) => refuse(`${name} ${value}: ${why}`));

function refuse(why: string): never {
  throw new Refusal(why);
}

/** They hand out the machine, or what containers are kept apart by. */
const CAPABILITIES = [
  "ALL",
  "SYS_ADMIN",
  "SYS_MODULE",
  "SYS_PTRACE",
  "SYS_RAWIO",
  "DAC_READ_SEARCH",
  "NET_ADMIN",
  "BPF",
  "PERFMON",
];

export const FLAGS: Record<string, Flag> = {
  "-i": quiet,
  "--interactive": quiet,
  "--rm": quiet,
  "--init": quiet,
  "-q": quiet,
  "--quiet": quiet,
  "--no-healthcheck": quiet,
  "--sig-proxy": quiet,
  "-t": droppedSwitch("-t", "a terminal changes what the server writes"),
  "--tty": droppedSwitch("--tty", "a terminal changes what the server writes"),
  "-d": droppedSwitch("-d", "the server speaks over its standard input and output"),
  "--detach": droppedSwitch("--detach", "the server speaks over its standard input and output"),
  "-P": droppedSwitch("-P", "nothing dials the server, so no port is opened"),
  "--publish-all": droppedSwitch("--publish-all", "nothing dials the server, so no port is opened"),
  "--privileged": { switch: true, apply: () => refuse("--privileged gives it the whole machine") },
  "--oom-kill-disable": droppedSwitch("--oom-kill-disable", "the memory limit holds"),
  "--use-api-socket": { switch: true, apply: () => refuse("--use-api-socket gives it the whole engine") },
  "--read-only": { switch: true, apply: ({ body }) => void (body.readOnly = true) },
  "-e": valued((container, value) => Object.assign(container.env, variablesOf([value], container))),
  "--env": valued((container, value) => Object.assign(container.env, variablesOf([value], container))),
  "--env-file": valued((container, value) => Object.assign(container.env, variablesOf(value, container))),
  "-v": valued((container, value) => void container.volumes.push(volumeOf(value, container))),
  "--volume": valued((container, value) => void container.volumes.push(volumeOf(value, container))),
  "--mount": valued((container, value) => mount(container, value)),
  "--tmpfs": valued((container, value) => tmpfs(container, value)),
  "-m": valued((container, value) => limit(container, "memory", value)),
  "--memory": valued((container, value) => limit(container, "memory", value)),
  "--cpus": valued((container, value) => limit(container, "cpus", Number(value))),
  "--pids-limit": valued((container, value) =>
    Number(value) > 0 ? limit(container, "pids", Number(value)) : undefined,
  ),
  "--network": valued(network),
  "--net": valued(network),
  "-u": valued(({ body }, value) => void (body.user = value)),
  "--user": valued(({ body }, value) => void (body.user = value)),
  "-w": valued(({ body }, value) => void (body.workdir = value)),
  "--workdir": valued(({ body }, value) => void (body.workdir = value)),
  "--entrypoint": valued(({ body }, value) => void (value === "" ? delete body.command : (body.command = [value]))),
  "--cap-add": valued(capability),
  "--cap-drop": ignored,
  "--stop-timeout": valued(({ body }, value) => void (body.stopTimeout = `${value}s`)),
  "-l": valued(label),
  "--label": valued(label),
  "--name": valued((one, value) =>
    say(
      one,
      `--name ${value} was left out: Linkspan names containers itself, so that two clients never meet in one name`,
    ),
  ),
  "-p": valued((one, value) => say(one, `-p ${value} was left out: nothing dials the server, so no port is opened`)),
  "--publish": valued((one, value) =>
    say(one, `--publish ${value} was left out: nothing dials the server, so no port is opened`),
  ),
  "--platform": valued((one, value) => say(one, `--platform ${value} was left out: the engine takes its own`)),
  "--pull": valued((one, value) =>
    value === "always" ? say(one, "--pull always was left out: an image is pulled when it is not there") : undefined,
  ),
  "--restart": valued((one, value) =>
    value === "no" ? undefined : say(one, `--restart ${value} was left out: a server starts at its next use`),
  ),
  "--security-opt": valued((_, value) =>
    /^no-new-privileges(:true|=true)?$/.test(value)
      ? undefined
      : refuse(`--security-opt ${value} loosens what holds the server`),
  ),
  "--pid": refused("--pid", "it would see the processes of others"),
  "--ipc": valued((_, value) =>
    /^(none|private)$/.test(value) ? undefined : refuse(`--ipc ${value}: it would share memory with others`),
  ),
  "--userns": refused("--userns", "it would be root of the machine"),
  "--uts": refused("--uts", "it would have the machine's name"),
  "--cgroupns": refused("--cgroupns", "it would see the limits of others"),
  "--cgroup-parent": refused("--cgroup-parent", "limits are set here"),
  "--device": refused("--device", "devices of the machine are not given to servers"),
  "--device-cgroup-rule": refused("--device-cgroup-rule", "devices of the machine are not given to servers"),
  "--gpus": refused("--gpus", "devices of the machine are not given to servers"),
  "--volumes-from": refused("--volumes-from", "name the volumes themselves"),
  "--link": refused("--link", "use a network that both are in"),
  "--sysctl": refused("--sysctl", "settings of the kernel are not changed"),
  "--runtime": refused("--runtime", "the engine's own is used"),
  "--add-host": dropped("names of hosts cannot be added"),
  "--dns": dropped("the engine's own is asked"),
  "--dns-search": dropped("the engine's own is asked"),
  "--shm-size": dropped("the engine's own size is used"),
  "--ulimit": dropped("the engine's own limits are used"),
  "--group-add": dropped("groups cannot be added; user: UID:GID can be set"),
  "--stop-signal": dropped("servers are stopped by the end of their input, then SIGTERM, then SIGKILL"),
  "--memory-swap": ignored,
  "--memory-reservation": ignored,
  "--cpu-shares": ignored,
  "-c": ignored,
  "-h": ignored,
  "--hostname": ignored,
  "--log-driver": ignored,
  "--log-opt": ignored,
  "--cidfile": ignored,
  "--expose": ignored,
  "--health-cmd": ignored,
  "--health-interval": ignored,
  "--health-retries": ignored,
  "--health-timeout": ignored,
  "--health-start-period": ignored,
  "-a": ignored,
  "--attach": ignored,
  "--detach-keys": ignored,
  "--label-file": dropped("labels of a file are not read"),
};

function limit({ body }: Container, key: string, value: string | number): void {
  if (typeof value === "number" ? !Number.isFinite(value) : parseBytes(value) === undefined)
    refuse(`${key} ${value} is no size`);
  body.limits = { ...body.limits, [key]: value };
}

function network(container: Container, value: string): void {
  if (value.startsWith("container:")) refuse(`--network ${value}: it would share the network of another container`);
  const isDefault = ["bridge", "default", "host"].includes(value);
  container.body.network = isDefault ? "egress" : value;
  if (value === "host") {
    say(
      container,
      "network: egress instead of host: it reaches the outside, but nothing that listens on this machine's loopback",
    );
  }
}

function capability({ body }: Container, value: string): void {
  const name = value.toUpperCase().replace(/^CAP_/, "");
  if (CAPABILITIES.includes(name)) refuse(`--cap-add ${value} gives it the machine`);
  body.capAdd = [...(body.capAdd ?? []), name];
}

function label({ body }: Container, value: string): void {
  const at = value.indexOf("=");
  const [key, text] = at < 0 ? [value, ""] : [value.slice(0, at), value.slice(at + 1)];
  body.labels = { ...body.labels, [key]: text };
}

function mount(container: Container, value: string): void {
  const parts = value.split(",").map((part) => part.split(/=(.*)/s));
  const field = (...names: string[]) => parts.find(([name = ""]) => names.includes(name.toLowerCase()))?.[1];
  const has = (...names: string[]) =>
    parts.some(([name = "", said = "true"]) => names.includes(name.toLowerCase()) && /^(true|1)$/.test(said));
  const type = field("type") ?? "volume";
  const target = field("dst", "destination", "target");
  if (target === undefined) refuse(`--mount ${value} names no target`);
  if (type === "tmpfs") return tmpfs(container, target);
  const source = field("src", "source");
  if (source === undefined || !["bind", "volume"].includes(type))
    refuse(`--mount ${value}: only bind and volume with a source can be said`);
  container.volumes.push(volumeOf(`${source}:${target}${has("readonly", "ro") ? ":ro" : ""}`, container));
}

function tmpfs(container: Container, value: string): void {
  const [path, options = ""] = value.split(":");
  const size = /(?:^|,)size=(\w+)/.exec(options)?.[1];
  if (path !== "/tmp") say(container, `--tmpfs ${value} was left out: /tmp is one already`);
  else if (size !== undefined) limit(container, "tmp", size);
}
