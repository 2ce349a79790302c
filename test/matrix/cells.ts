/** The cells of the matrix: every client, over every way, to every kind of server. The tests and docs/matrix.md come from it. */
import { CLIENTS, type ClientKind } from "./peers.ts";
import { type Way, WAYS } from "./ways.ts";

/** The argument of test/conformance/stdio.ts for each kind of server. */
export const SERVERS = {
  legacy: "2025-11-25 only",
  modern: "2026-07-28 only",
  dual: "both eras",
} as const;
export type ServerKind = keyof typeof SERVERS;

export const FILES = {
  legacy: "test/matrix/legacy-server.test.ts",
  modern: "test/matrix/modern-server.test.ts",
  dual: "test/matrix/dual-server.test.ts",
} satisfies Record<ServerKind, string>;

export interface Cell {
  client: ClientKind;
  way: Way;
  /** The name of its test. */
  name: string;
}

export function cellsOf(server: ServerKind): Cell[] {
  return WAYS.flatMap((way) =>
    CLIENTS.filter((client) => way.takes(client)).map((client) => ({
      client,
      way,
      name: `${client.name} over ${way.name} to a server of ${SERVERS[server]}`,
    })),
  );
}
