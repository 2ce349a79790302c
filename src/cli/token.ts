import { Argument } from "commander";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { TokenClient } from "../api/client/tokens.ts";
import { DATA_FILE, dataDir } from "../base/data-dir.ts";
import { Fault } from "../base/fault.ts";
import type { TokenView } from "../model/tokens.ts";
import { command } from "./command.ts";
import { reach } from "./reach.ts";
import { table } from "./table.ts";
import { note, print, printJson } from "./terminal.ts";
import { formatAge } from "./units.ts";

const ACTIONS = ["create", "ls", "revoke"] as const;

export const token = command({
  define: (program) =>
    program
      .addArgument(new Argument("[action]", "what to do; without it: print the manager's own token").choices(ACTIONS))
      .argument("[name]", "what the token is called")
      .option(
        "--servers <names>",
        "create: everything of these servers, separated by commas; toolset:docker is the Docker tools",
      )
      .option("--tools <patterns>", "create: these tools, such as files__read_file or files__*, separated by commas")
      .option("--expires <duration>", "create: valid for so long, such as 30d (for ever)")
      .option("--read-only", "create: only tools that say of themselves that they change nothing"),
  examples: [
    ["linkspan token", "the bearer token of this data directory's manager, which may do everything"],
    [`curl -H "Authorization: Bearer $(linkspan token)" localhost:8080/servers`, "use it"],
    ["linkspan token create laptop --servers files,time --expires 30d", "a token for MCP clients, shown this once"],
    ["linkspan token create agent --tools 'files__read_*' --read-only", "one that may use some tools only"],
    ["linkspan token ls", "what each may reach, and when it was used last"],
    ["linkspan token revoke laptop", "it ends at once, with every session of it"],
  ],
  options: v.object({
    servers: v.optional(v.string()),
    tools: v.optional(v.string()),
    expires: v.optional(v.string()),
    readOnly: v.optional(v.boolean(), false),
  }),
  async run({ args: [action, name], options, json }) {
    if (action === undefined) return own(json);
    const tokens = new TokenClient((await reach()).target);
    if (action === "ls") return show(await tokens.list(), json);
    if (name === undefined) throw new Fault("usage", "which token?", { hint: "linkspan token ls lists them." });
    if (action === "revoke") {
      await tokens.revoke(name);
      return json ? printJson({ name, revoked: true }) : print(name);
    }
    const { servers, tools, expires, readOnly } = options;
    const made = await tokens.create({
      name,
      readOnly,
      ...(servers === undefined ? {} : { servers: list(servers) }),
      ...(tools === undefined ? {} : { tools: list(tools) }),
      ...(expires === undefined ? {} : { expires }),
    });
    if (json) return printJson(made);
    print(made.token);
    note(`${name} may reach ${reachOf(made)}. The token is not shown again.`);
  },
});

async function own(json: boolean): Promise<void> {
  const file = join(dataDir(), DATA_FILE.token);
  // The first manager of a data directory makes the token.
  if (!(await Bun.file(file).exists())) await reach();
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new Fault("unauthenticated", `the token cannot be read from ${file}`, {
      cause,
      hint: "Only the user who runs the manager may read it; LINKSPAN_DATA_DIR says where it is.",
    });
  });
  if (json) printJson({ token: text.trim(), file });
  else print(text.trim());
}

function list(text: string): string[] {
  return text
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
}

function show(tokens: TokenView[], json: boolean): void {
  if (json) return printJson(tokens);
  if (tokens.length === 0) return note("No tokens. `linkspan token create NAME` makes one.");
  const columns = [{ title: "NAME" }, { title: "AGE" }, { title: "USED" }, { title: "ENDS" }, { title: "MAY REACH" }];
  const rows = tokens.map((one) => [
    one.name,
    formatAge(one.createdAt),
    one.usedAt === undefined ? "never" : `${formatAge(one.usedAt)} ago`,
    one.expiresAt === undefined ? "" : new Date(one.expiresAt).toISOString().slice(0, 16).replace("T", " "),
    reachOf(one),
  ]);
  print(table(columns, rows));
}

function reachOf({ servers, tools, readOnly }: TokenView): string {
  const what = [...servers, ...tools].join(", ") || "everything";
  return readOnly ? `${what}, read only` : what;
}
