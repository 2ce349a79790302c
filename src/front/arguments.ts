/** The command line of `linkspan mcp`, without a parser library: it is read before anything may take time. */
import { Fault } from "../base/fault.ts";

export interface FrontArguments {
  /** A configured name, or a REF that is run under a derived name. */
  server: string;
  /** The manager runs in this process instead of in the background. */
  embedded: boolean;
  dataDir: string | undefined;
}

export const USAGE = `Usage: linkspan mcp [OPTIONS] SERVER

Serves one MCP server on stdin and stdout, for an MCP client to launch.
SERVER is a name from linkspan.yaml, an image, or npm:PACKAGE[@VERSION].

Options:
  --embedded       run the manager inside this process; servers end with it
  --data-dir DIR   where the manager keeps its files (LINKSPAN_DATA_DIR)
  -h, --help       show this text
`;

/** Faults: `usage`. Undefined when help is asked for. */
export function parseArguments(argv: readonly string[]): FrontArguments | undefined {
  const found: FrontArguments = { server: "", embedded: false, dataDir: undefined };
  for (let index = 0; index < argv.length; index += 1) {
    const [option = "", attached] = split(argv[index] ?? "");
    if (option === "-h" || option === "--help") return undefined;
    if (option === "--embedded") found.embedded = true;
    else if (option === "--data-dir") {
      const dir = attached ?? argv[(index += 1)];
      if (!dir) throw usage("--data-dir needs a directory");
      found.dataDir = dir;
    } else if (option.startsWith("-")) throw usage(`the option ${option} is not known`);
    else if (found.server) throw usage("more than one server is named");
    else found.server = option;
  }
  if (!found.server) throw usage("no server is named");
  return found;
}

/** `--name=value` as both halves; anything else is one. */
function split(argument: string): [string, string?] {
  const equals = argument.indexOf("=");
  if (!argument.startsWith("--") || equals < 0) return [argument];
  return [argument.slice(0, equals), argument.slice(equals + 1)];
}

function usage(message: string): Fault {
  return new Fault("usage", message, { hint: "Write it as: linkspan mcp SERVER. `linkspan mcp --help` shows more." });
}
