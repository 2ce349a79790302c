/** The cells of the matrix: every client, over every way, to every kind of server. The tests and docs/matrix.md come from it. */
import { CLIENTS, type ClientKind } from "./peers.ts";
import { type Way, WAYS } from "./ways.ts";

/** The kinds of server: the conformance server in each era, and the official "everything". */
export const SERVERS = {
  legacy: "a server of 2025-11-25 only",
  modern: "a server of 2026-07-28 only",
  dual: "a server of both eras",
  everything: "the official server-everything",
} as const;
export type ServerKind = keyof typeof SERVERS;

export const fileOf = (server: ServerKind) => `test/matrix/${server}-server.test.ts`;

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
      name: `${client.name} over ${way.name} to ${SERVERS[server]}`,
    })),
  );
}
