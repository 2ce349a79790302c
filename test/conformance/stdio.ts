/** The conformance server on stdin and stdout. `modern` as its argument: it refuses the legacy era; `dual`: it takes both. */
import { StdioServerTransport, serveStdio } from "@modelcontextprotocol/server/stdio";
import { conformanceServer } from "./server.ts";

if (process.argv.includes("legacy")) await conformanceServer().connect(new StdioServerTransport());
else serveStdio(conformanceServer, process.argv.includes("modern") ? { legacy: "reject" } : {});
