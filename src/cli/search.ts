import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { command } from "./command.ts";
import type { ServerJson } from "./registry/schema.ts";
import { REGISTRY, searchServers } from "./registry/source.ts";
import { table } from "./table.ts";
import { note, oneLine, onStderr, print, printJson } from "./terminal.ts";

export const search = command({
  define: (program) =>
    program
      .argument("<words...>", "what its name or description has")
      .option("--registry <url>", `a registry's URL, or a file with its servers (default: ${REGISTRY})`)
      .option("--limit <count>", "at most so many (default: 20)"),
  examples: [
    ["linkspan search postgres", "servers with that word"],
    ["linkspan search weather --registry servers.json", "in a file: a list, or an answer of a registry"],
  ],
  options: v.object({
    registry: v.optional(v.string(), REGISTRY),
    limit: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^\d{1,3}$/, "expected a number from 1 to 100"),
        v.transform(Number),
        v.minValue(1),
        v.maxValue(100),
      ),
      "20",
    ),
  }),
  async run({ args, options, json }) {
    const words = args.flatMap((word) => word.split(/\s+/)).filter(Boolean);
    if (words.length === 0) throw new Fault("usage", "what is to be looked for?");
    const found = await searchServers(options.registry, words, options.limit);
    if (json) return printJson(found);
    if (found.length === 0)
      return note(`${oneLine(options.registry)} has no server with ${oneLine(words.join(" and "))}.`);
    const rows = found.map((server) => [server.name, server.version, offers(server), server.description].map(oneLine));
    print(
      table([{ title: "NAME" }, { title: "VERSION" }, { title: "OFFERS" }, { title: "DESCRIPTION", clip: true }], rows),
    );
    note(onStderr.dim("linkspan add NAME adds one. A registry says what a server is, not whether it can be trusted."));
  },
});

function offers({ packages, remotes }: ServerJson): string {
  const kinds = (packages ?? []).map(({ registryType }) => registryType);
  return [...new Set([...kinds, ...((remotes ?? []).length > 0 ? ["remote"] : [])])].join(", ");
}
