/** Plays the cells of one kind of server: one manager, one server, and every client over every way. */
import { afterAll, beforeAll, test } from "bun:test";
import { join } from "node:path";
import { Stage } from "../e2e/stage.ts";
import { cellsOf, type ServerKind } from "./cells.ts";
import { converse, converseEverything } from "./conversation.ts";
import { EVERYTHING } from "../e2e/clients.ts";

const PROGRAM = join(import.meta.dir, "../conformance/stdio.ts");
const NAME = "fixture";
const CELL_MS = 30_000;
/** The first use of a package installs it. */
const FIRST_MS = 180_000;

export function play(server: ServerKind): void {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open("process", { args: ["--web-socket"] });
    const own = { image: `exec:${process.execPath}`, args: [PROGRAM, server] };
    await stage.start(NAME, server === "everything" ? { image: EVERYTHING } : own);
  }, FIRST_MS);
  afterAll(() => stage?.[Symbol.asyncDispose](), 60_000);

  for (const { client, way, name } of cellsOf(server)) {
    test(
      name,
      async () => {
        await using peer = await client.connect(way.open(await stage.doors(), client, NAME));
        const prefix = way.all ? `${NAME}__` : "";
        await (server === "everything" ? converseEverything(peer, prefix) : converse(peer, prefix));
      },
      CELL_MS,
    );
  }
}
