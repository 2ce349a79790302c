import { describe, test } from "bun:test";
import { join } from "node:path";
import { testClients } from "./clients.ts";

const MODERN = join(import.meta.dir, "../fixtures/modern-server.ts");

describe("clients of servers that run as processes", () => {
  const modern = async () => ({ image: `exec:${process.execPath}`, args: [MODERN] });
  testClients({ runtime: "process", test, modern });
});
