/** Toolsets as servers in this process: loaded at their first use, spoken to over lines like any other server. */
import type { ServersDoor } from "./api/client/door.ts";
import type { Log } from "./base/log.ts";
import type { Upstream } from "./gateway/exchange.ts";
import type { Lines } from "./gateway/servers/lines.ts";
import { serverUpstream } from "./gateway/servers/upstream.ts";
import type { ToolsetName } from "./model/gateway-section.ts";

/** A toolset, loaded. */
interface Loaded {
  open(): Lines;
  close(): Promise<void>;
}

export interface Hosted extends AsyncDisposable {
  /** The same for all who ask with this id. */
  upstream(id: string, names: readonly ToolsetName[]): Upstream;
}

export interface HostOptions {
  /** Says what the toolsets may do, as it does for `linkspan mcp --toolset`. */
  env: Record<string, string | undefined>;
  log: Log;
  /** Where servers are managed. */
  door: () => Promise<ServersDoor>;
}

export function hostedToolsets(options: HostOptions): Hosted {
  const upstreams = new Map<string, Upstream>();
  const loaded: Promise<Loaded>[] = [];
  const make = (id: string, names: readonly ToolsetName[]): Upstream => {
    let loading: Promise<Loaded> | undefined;
    const open = async () => {
      if (!loading) {
        loading = load(names, options);
        loaded.push(loading);
      }
      return (await loading).open();
    };
    return serverUpstream({ open, identity: () => id });
  };
  return {
    upstream(id, names) {
      const known = upstreams.get(id) ?? make(id, names);
      upstreams.set(id, known);
      return known;
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(loaded.map(async (one) => (await one).close()));
    },
  };
}

async function load(names: readonly ToolsetName[], { env, log, door }: HostOptions): Promise<Loaded> {
  const [{ toolsOf }, { Listening }, { toolsetServer }, { readSettings }, { Toolset }, { instructionsOf }, inProcess] =
    await Promise.all([
      import("./toolset/catalogue.ts"),
      import("./toolset/resources/listening.ts"),
      import("./toolset/server.ts"),
      import("./toolset/settings.ts"),
      import("./toolset/toolset.ts"),
      import("./toolset/instructions.ts"),
      import("./gateway/servers/in-process.ts"),
    ]);
  const toolset = new Toolset(toolsOf(names), readSettings(env), env, log, door);
  const shape = { instructions: instructionsOf(names), compact: names.includes("compact") };
  const open = () => {
    let current: ReturnType<typeof toolsetServer> | undefined;
    const listening = new Listening(toolset, (uri) => void current?.sendResourceUpdated({ uri }).catch(() => {}));
    return inProcess.serveInProcess({
      make: () => (current = toolsetServer(toolset, shape)),
      look: (message) => listening.look(message),
      ended: (session) => {
        listening.close();
        void toolset.leave(session).catch(() => {});
      },
    });
  };
  return { open, close: () => toolset.close() };
}
