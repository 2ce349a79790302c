import { Argument } from "commander";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { name } from "../model/server-spec.ts";
import { GATEWAY_NAME, launchOf } from "./clients/launch.ts";
import { clientCalled, fileOf, isInstalled, placesOf, type Scope, surroundings } from "./clients/place.ts";
import { type Outcome, printed, setUp, type State, stateOf, takeBack, undo } from "./clients/setup.ts";
import { type Client, CLIENTS } from "./clients/table.ts";
import { command } from "./command.ts";
import { table } from "./table.ts";
import { note, oneLine, onStdout, print, printJson } from "./terminal.ts";

const ACTIONS = ["ls", "setup", "remove", "print", "undo"] as const;

const options = v.object({
  project: v.optional(v.boolean(), false),
  server: v.optional(v.string()),
  as: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/, "expected 1 to 64 letters, digits, - or _"))),
  force: v.optional(v.boolean(), false),
});
type Options = v.InferOutput<typeof options>;

export const client = command({
  define: (program) =>
    program
      .addArgument(new Argument("<action>", "what to do").choices(ACTIONS))
      .addArgument(whichClient())
      .option("--project", "the client's file in the current folder, for this project")
      .option("--server <name>", "one server instead of all of them")
      .option("--as <name>", `the entry's name (default: ${GATEWAY_NAME}, or the server's name)`)
      .option("-f, --force", "setup: a client that seems not to be here; undo: lose what others have changed since"),
  examples: [
    ["linkspan client ls", "which clients are here, and which are set up"],
    ["linkspan client setup claude-code", "all servers, in every project of yours"],
    ["linkspan client setup vscode --project --server files", "one server, in this project"],
    ["linkspan client print codex", "what setup would write, to write it yourself"],
    ["linkspan client remove claude-code", "take it out again, and nothing else"],
    ["linkspan client undo claude-code", "the file as it was before the last change"],
  ],
  options,
  async run({ args: [action, id], options, json }) {
    if (action === "ls") return list(options, json);
    if (id === undefined) throw new Fault("usage", "which client?", { hint: "linkspan client ls shows all." });
    const chosen = clientCalled(id);
    if (action === "print") return show(chosen, options, json);
    const scope: Scope = options.project ? "project" : "user";
    const file = fileOf(chosen, scope, surroundings());
    const entry = entryName(options);
    if (action === "setup") checkInstalled(chosen, file, options);
    const outcome =
      action === "setup"
        ? await setUp(chosen, file, launchOf(entry, server(options), process.env))
        : action === "remove"
          ? await takeBack(chosen, file, entry)
          : await undo(file, options.force);
    if (json) return printJson({ client: chosen.id, scope, ...(action === "undo" ? {} : { entry }), ...outcome });
    tell(chosen, action ?? "", entry, outcome);
  },
});

/** Its names are known to help and completion; what is not among them gets an error of our own, with similar ones. */
function whichClient(): Argument {
  const argument = new Argument("[client]", "the client");
  argument.argChoices = CLIENTS.map(({ id }) => id);
  return argument;
}

function entryName(options: Options): string {
  return options.as ?? options.server ?? GATEWAY_NAME;
}

function server(options: Options): string | undefined {
  if (options.server === undefined) return undefined;
  const parsed = v.safeParse(name, options.server);
  if (parsed.success) return parsed.output;
  throw new Fault("usage", `--server: ${parsed.issues[0].message}`, { hint: "linkspan ps -a shows the names." });
}

function checkInstalled(chosen: Client, file: string, { force }: Options): void {
  if (force || isInstalled(chosen, surroundings())) return;
  throw new Fault("not-found", `${chosen.title} seems not to be here, so nothing was made for it`, {
    hint: `--force writes ${file} all the same.`,
  });
}

function tell(chosen: Client, action: string, entry: string, { file, changed, backup }: Outcome): void {
  if (!changed) {
    const why = action === "setup" ? `${entry} is in ${file} already` : `${entry} is not in ${file}`;
    return print(`${onStdout.green("✓")} ${oneLine(why)}; nothing was changed`);
  }
  const done = {
    setup: `${entry} → ${file}`,
    remove: `${entry} is out of ${file}`,
    undo: `${file} is as it was before`,
  };
  print(`${onStdout.green("✓")} ${oneLine(Object.entries(done).find(([key]) => key === action)?.[1] ?? file)}`);
  if (backup !== undefined && !backup.endsWith(".absent")) print(onStdout.dim(`  before: ${oneLine(backup)}`));
  if (action === "setup") note(onStdout.dim(`  ${chosen.next}`));
}

function show(chosen: Client, options: Options, json: boolean): void {
  const file = fileOf(chosen, options.project ? "project" : "user", surroundings());
  const launch = launchOf(entryName(options), server(options), process.env);
  const text = printed(chosen, launch);
  if (json) return printJson({ client: chosen.id, file, format: chosen.format, keys: chosen.keys, text });
  note(`${file}:`);
  print(text.trimEnd());
}

interface Row {
  client: string;
  title: string;
  installed: boolean;
  places: { scope: Scope; file: string; state: State | "unreadable"; problem?: string }[];
}

async function list(options: Options, json: boolean): Promise<void> {
  const rows = await Promise.all(CLIENTS.map((one) => rowOf(one, entryName(options))));
  if (json) return printJson(rows);
  const cells = rows.map(({ client: id, title, installed, places }) => {
    const told = places.filter(({ scope, state }) => scope === "user" || state !== "absent");
    const states = told.map(({ scope, state, problem }) => `${scope}: ${problem ?? WORDS[state]}`);
    return [
      id,
      title,
      installed ? onStdout.green("yes") : "",
      installed ? states.join(", ") : "",
      places[0]?.file ?? "",
    ];
  });
  print(
    table(
      [{ title: "NAME" }, { title: "CLIENT" }, { title: "HERE" }, { title: "SET UP" }, { title: "FILE", clip: true }],
      cells,
    ),
  );
}

const WORDS: Record<State | "unreadable", string> = {
  absent: "no",
  ours: "yes",
  other: "an entry of that name is not Linkspan's",
  unreadable: "cannot be read",
};

async function rowOf(one: Client, entry: string): Promise<Row> {
  const around = surroundings();
  const scopes: Scope[] = ["user", "project"];
  const present = scopes.filter((scope) => placesOf(one, scope, around).length > 0);
  const places = await Promise.all(
    present.map(async (scope): Promise<Row["places"][number]> => {
      const file = fileOf(one, scope, around);
      try {
        return { scope, file, state: await stateOf(one, file, entry) };
      } catch (thrown) {
        return { scope, file, state: "unreadable", problem: Fault.from(thrown).message };
      }
    }),
  );
  return { client: one.id, title: one.title, installed: isInstalled(one, around), places };
}
