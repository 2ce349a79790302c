#!/usr/bin/env bun
/**
 * argv picks the role and loads that role only: a front must answer in milliseconds, so nothing is imported here that
 * every role does not need.
 */
import type { Serving } from "./toolset/main.ts";
import { COMMIT, TARGET, VERSION } from "./base/version.ts";

const [role, ...rest] = process.argv.slice(2);

async function run(): Promise<number> {
  switch (role) {
    case "version":
    case "--version":
    case "-v":
      return version();
    case "bridge":
      return (await import("../bridge/main.ts")).bridgeMain(rest);
    case "health":
      return (await import("../bridge/health.ts")).healthMain(rest);
    case "mcp":
      return (await import("./front/main.ts")).frontMain(rest, { embedded, toolset });
    case "volume-swap":
      return (await import("./runtime/docker/volume-swap.ts")).volumeSwapMain(rest);
    case "process-shim":
      return (await import("./runtime/process/shim.ts")).processShimMain(rest);
    case "caretaker":
      return (await import("./caretaker.ts")).caretakerMain(rest);
    case "serve":
      return (await import("./serve.ts")).serveMain(rest);
    default:
      return (await import("./cli/main.ts")).cliMain(process.argv.slice(2), {
        checkEngine: async () => (await import("./services.ts")).checkEngine(),
        wrapImage: async (request, report) => (await import("./services.ts")).wrap(request, report),
        folderVolume: async (folder, name) => (await import("./services.ts")).folderVolume(folder, name),
      });
  }
}

/** A manager inside this process, for `linkspan mcp --embedded`. */
async function embedded() {
  return (await import("./serve.ts")).embeddedManager();
}

/** The Docker tools in this process, for `linkspan mcp --toolset`. */
async function toolset(names: readonly string[], serving: Serving | undefined) {
  return (await import("./toolset/main.ts")).toolsetMain(names, serving, process.env);
}

function version(): number {
  const facts = { version: VERSION, commit: COMMIT, bun: Bun.version, target: TARGET };
  const text = rest.includes("--json")
    ? JSON.stringify(facts)
    : `linkspan ${VERSION} (commit ${COMMIT}, Bun ${Bun.version}, ${TARGET})`;
  process.stdout.write(`${text}\n`);
  return 0;
}

process.exitCode = await run();
