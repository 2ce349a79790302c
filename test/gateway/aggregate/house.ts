/** A manager with the process runtime and its gateways, for real servers and real clients. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client as ModernClient } from "@modelcontextprotocol/client";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import * as v from "valibot";
import { Deadline } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { SILENT } from "../../../src/base/log.ts";
import { type OpenGateways, openGateways } from "../../../src/gateways.ts";
import type { Selection } from "../../../src/gateway/exchange.ts";
import { openDataDir } from "../../../src/manager/data-dir.ts";
import { Manager } from "../../../src/manager/manager.ts";
import { gatewaySection } from "../../../src/model/gateway-section.ts";
import { type ServerBodyInput, serverBody } from "../../../src/model/server-spec.ts";
import { ProcessRuntime } from "../../../src/runtime/process/process.ts";
import { ChannelTransport } from "../clients/channel.ts";

export interface House extends AsyncDisposable {
  manager: Manager;
  gateways: OpenGateways;
  folder: string;
  legacy(options?: Visit): Promise<{ client: LegacyClient; transport: ChannelTransport }>;
  modern(options?: Visit): Promise<{ client: ModernClient; transport: ChannelTransport }>;
}

interface Visit {
  selection?: Selection;
  principal?: string;
  capabilities?: Record<string, object>;
  /** Before the handshake. */
  prepare?: (client: LegacyClient) => void;
}

export async function openHouse(
  name: string,
  servers: Record<string, ServerBodyInput>,
  section: v.InferInput<typeof gatewaySection> = {},
  env: Record<string, string> = {},
): Promise<House> {
  const folder = await mkdtemp(join(tmpdir(), `linkspan-aggregate-${name}-`));
  const dataDir = openDataDir(join(folder, "data"), SILENT);
  const runtime = new ProcessRuntime({ dataDir: dataDir.path });
  const specs = Object.entries(servers).map(([server, body]) => ({ name: server, ...v.parse(serverBody, body) }));
  const options = { allowWeaker: true, stopServersOnExit: true, servers: specs, log: SILENT };
  const manager = new Manager({ runtime, dataDir, ...options });
  const door = async () => {
    throw new Fault("unsupported", "no API here");
  };
  const parsed = v.parse(gatewaySection, { toolsets: [], ...section });
  const home = { LINKSPAN_DATA_DIR: dataDir.path, ...env };
  const gateways = openGateways({ manager, host: manager, section: parsed, log: SILENT, env: home, door });
  const transportTo = ({ selection = {}, principal }: Visit) =>
    new ChannelTransport(gateways.all(selection), principal);
  return {
    manager,
    gateways,
    folder,
    async legacy(visit = {}) {
      const transport = transportTo(visit);
      const client = new LegacyClient({ name: "old", version: "1" }, { capabilities: visit.capabilities ?? {} });
      visit.prepare?.(client);
      await client.connect(transport);
      return { client, transport };
    },
    async modern(visit = {}) {
      const transport = transportTo(visit);
      const modern = { mode: { pin: "2026-07-28" } };
      const client = new ModernClient(
        { name: "new", version: "1" },
        { capabilities: visit.capabilities ?? {}, versionNegotiation: modern },
      );
      await client.connect(transport);
      return { client, transport };
    },
    async [Symbol.asyncDispose]() {
      await gateways[Symbol.asyncDispose]();
      await manager.close(Deadline.in(20_000));
      await runtime[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
