/** Plays the cells of one kind of server: one manager, one server, and every client over every way. */
import { afterAll, beforeAll, test } from "bun:test";
import { join } from "node:path";
import { Stage } from "../e2e/stage.ts";
import { cellsOf, type ServerKind } from "./cells.ts";
import { converse } from "./conversation.ts";

const PROGRAM = join(import.meta.dir, "../conformance/stdio.ts");
const NAME = "fixture";
const CELL_MS = 30_000;

export function play(server: ServerKind): void {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open("process");
    await stage.start(NAME, { image: `exec:${process.execPath}`, args: [PROGRAM, server] });
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  for (const { client, way, name } of cellsOf(server)) {
    test(
      name,
      async () => {
        await using peer = await client.connect(way.open(await stage.doors(), client, NAME));
        await converse(peer, way.all ? `${NAME}__` : "");
      },
      CELL_MS,
    );
  }
}
