import { Argument } from "commander";
import * as v from "valibot";
import { VolumeClient } from "../api/client/volumes.ts";
import { Fault } from "../base/fault.ts";
import type { BackupContent } from "../model/backup.ts";
import { maxSize, type VolumeDetails, type VolumeView, volumeName } from "../model/volumes.ts";
import { command } from "./command.ts";
import { reach } from "./reach.ts";
import { table } from "./table.ts";
import { note, onStderr, onStdout, oneLine, print, printJson } from "./terminal.ts";
import { formatAge, formatBytes } from "./units.ts";
import { restoreFrom, saveBackup, untilStopped } from "./volume-files.ts";

const ACTIONS = ["ls", "inspect", "backup", "restore", "rm"] as const;

export const volume = command({
  define: (program) =>
    program
      .addArgument(new Argument("<action>", "what to do").choices(ACTIONS))
      .argument("[volume]", "the volume's name")
      .argument("[file]", "backup writes it, restore reads it: a tar.gz with a checksum in it")
      .option("-a, --all", "ls: also volumes that Linkspan has not made")
      .option("-q, --quiet", "ls: names only")
      .option(
        "-f, --force",
        "also a volume that Linkspan has not made, that a running server has, or that has files in it; also a file that exists",
      )
      .option("--outward-links", "restore: take symbolic links that lead out of the volume")
      .option("--max-size <size>", "restore: at most so much content, such as 100g (default: 64g)"),
  examples: [
    ["linkspan volume ls", "the volumes of servers, and who has them"],
    ["linkspan volume backup notes notes.tar.gz", "save its files; the file is checked before it gets its name"],
    ["linkspan volume restore notes notes.tar.gz", "put them into a new or an empty volume"],
    ["linkspan volume restore notes notes.tar.gz --force", "put them in the place of what is there"],
    ["linkspan volume rm notes", "remove it with all its files"],
  ],
  options: v.object({
    all: v.optional(v.boolean(), false),
    quiet: v.optional(v.boolean(), false),
    force: v.optional(v.boolean(), false),
    outwardLinks: v.optional(v.boolean(), false),
    maxSize: v.optional(maxSize),
  }),
  async run({ args: [action = "", given, file], options, json }) {
    const { all, quiet, force, outwardLinks, maxSize: bytesMax } = options;
    const volumes = async () => new VolumeClient((await reach()).target);
    if (action === "ls") return show(await (await volumes()).list(all), { all, quiet, json });
    const name = nameOf(given);
    if (action === "inspect") return describe(await (await volumes()).inspect(name, { force }), json);
    if (action === "rm") {
      await (await volumes()).remove(name, { force });
      return json ? printJson({ name, removed: true }) : print(name);
    }
    if (file === undefined) throw new Fault("usage", `which file? linkspan volume ${action} ${name} FILE.tar.gz`);
    const signal = untilStopped();
    if (action === "backup") {
      const saved = await saveBackup(volumes, name, file, force, signal);
      if (json) return printJson(saved);
      said(`${name} → ${file}`, saved.packedBytes, saved);
      return warn(saved);
    }
    const done = await restoreFrom(volumes, name, file, { force, outwardLinks, bytesMax }, signal);
    if (json) printJson(done);
    else said(`${file} → ${name}`, done.packedBytes, done.backup);
  },
});

function nameOf(given: string | undefined): string {
  if (given === undefined) throw new Fault("usage", "which volume?", { hint: "linkspan volume ls lists them." });
  const parsed = v.safeParse(volumeName, given);
  if (parsed.success) return parsed.output;
  throw new Fault("usage", `${JSON.stringify(given)}: ${parsed.issues[0].message}`);
}

function show(volumes: VolumeView[], { all, quiet, json }: { all: boolean; quiet: boolean; json: boolean }): void {
  if (json) return printJson(volumes);
  if (quiet) return volumes.forEach(({ name }) => print(name));
  if (volumes.length === 0) return note("No volumes. `linkspan run -v NAME:/data:rw …` makes one.");
  const columns = [{ title: "NAME" }, { title: "AGE", right: true }, ...(all ? [{ title: "MADE BY" }] : [])];
  const rows = volumes.map((one) => [
    one.name,
    one.created === undefined ? "" : formatAge(one.created),
    ...(all ? [one.managed ? "Linkspan" : "others"] : []),
    users(one),
  ]);
  print(table([...columns, { title: "USED BY", clip: true }], rows));
}

function users({ usedBy }: VolumeView): string {
  const list = usedBy.map(({ server, container, running, readOnly }) => {
    const facts = [running ? "runs" : "stopped", ...(readOnly ? ["read-only"] : [])];
    return `${oneLine(server ?? container)} (${facts.join(", ")})`;
  });
  return list.join(", ");
}

function describe(found: VolumeDetails, json: boolean): void {
  if (json) return printJson(found);
  const labels = Object.entries(found.labels).map(([key, value]) => `${key}=${value}`);
  const rows = [
    ["name", found.name],
    ["driver", found.driver],
    ["made by", found.managed ? "Linkspan" : "others"],
    ["created", found.created === undefined ? "" : `${formatAge(found.created)} ago`],
    ["size", found.bytes === undefined ? "" : formatBytes(found.bytes)],
    ["used by", users(found) || "nobody"],
    ["labels", labels.join(", ")],
  ];
  for (const [key = "", value = ""] of rows) if (value) print(`${onStdout.dim(key.padEnd(9))}${oneLine(value)}`);
}

function said(what: string, packedBytes: number, { entries, bytes, sha256 }: BackupContent): void {
  const amount = `${entries} ${entries === 1 ? "entry" : "entries"}, ${formatBytes(bytes)} in ${formatBytes(packedBytes)}`;
  print(`${onStdout.green("✓")} ${oneLine(what)}  ${amount}`);
  print(onStdout.dim(`  sha256 ${sha256}`));
}

/** What a backup does not have, or what its restore will ask for. */
function warn({ leftOut, outwardLinks }: BackupContent): void {
  const { devices, pipes, attributes } = leftOut;
  const say = (count: number, one: string, many: string, rest: string) => {
    if (count > 0) note(`${onStderr.yellow("!")} ${count} ${count === 1 ? one : many} ${rest}`);
  };
  say(devices, "device", "devices", "left out");
  say(pipes, "named pipe", "named pipes", "left out");
  say(attributes, "file", "files", "without the extended attributes that it had in the volume");
  say(outwardLinks, "link leads", "links lead", "out of the volume: restore it with --outward-links");
}
