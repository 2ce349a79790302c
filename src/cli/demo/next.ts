/** What to type next, with this demo's real ports and paths. */
import { relative } from "node:path";
import { COMPILED } from "../../base/version.ts";
import { onStdout } from "../terminal.ts";
import { HELLO_FILE } from "./sample.ts";

export interface Place {
  data: string;
  restPort: number;
  tcpPort: number;
  server: string;
  /** The folder as the server sees it. */
  root: string;
}

/** The configuration that every MCP client with an `mcpServers` object takes. */
export function clientConfiguration({ data, server }: Place): string {
  const [binary = "linkspan", ...before] = COMPILED ? [process.execPath] : [process.execPath, process.argv[1] ?? ""];
  const args = [...before, "mcp", server].map((word) => JSON.stringify(word)).join(", ");
  return `{
  "mcpServers": {
    ${JSON.stringify(server)}: {
      "command": ${JSON.stringify(binary)},
      "args": [${args}],
      "env": { "LINKSPAN_DATA_DIR": ${JSON.stringify(data)} }
    }
  }
}`;
}

export function nextSteps(place: Place): string {
  const { bold, dim } = onStdout;
  const { data, restPort, tcpPort, server, root } = place;
  const linkspan = typed();
  const body = JSON.stringify({ tool: "list_directory", arguments: { path: root } });
  const attach = `{"link":"attach","server":"${server}","token":"TOKEN"}`;
  return [
    bold("Try it from another terminal"),
    `  export LINKSPAN_DATA_DIR=${data}   ${dim("# this demo's manager")}`,
    `  ${linkspan} ps`,
    `  ${linkspan} call ${server} read_text_file path=${root}/${HELLO_FILE}`,
    `  ${linkspan} inspect ${server}`,
    "",
    bold("REST"),
    `  curl -s http://127.0.0.1:${restPort}/servers/${server}/call -H 'content-type: application/json' \\`,
    `    -H "authorization: Bearer $(${linkspan} token)" -d '${body}'`,
    "",
    bold("TCP") + `  127.0.0.1:${tcpPort}, one JSON message a line; the first is ${attach}`,
    "",
    bold("An MCP client") + dim("  (Claude Desktop, Cursor, Windsurf, …: mcpServers)"),
    clientConfiguration(place).replace(/^/gm, "  "),
  ].join("\n");
}

/** This program as one would type it here. */
function typed(): string {
  if (!COMPILED) return `bun ${relative(process.cwd(), process.argv[1] ?? "src/main.ts")}`;
  if (Bun.which("linkspan") === process.execPath) return "linkspan";
  const near = relative(process.cwd(), process.execPath);
  return near.startsWith("..") ? process.execPath : near.includes("/") ? near : `./${near}`;
}
