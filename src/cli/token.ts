import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { DATA_FILE, dataDir } from "../base/data-dir.ts";
import { Fault } from "../base/fault.ts";
import { command } from "./command.ts";
import { reach } from "./reach.ts";
import { print, printJson } from "./terminal.ts";

export const token = command({
  define: (program) => program,
  examples: [
    ["linkspan token", "the bearer token of this data directory's manager"],
    [`curl -H "Authorization: Bearer $(linkspan token)" localhost:8080/servers`, "use it"],
  ],
  options: v.object({}),
  async run({ json }) {
    const file = join(dataDir(), DATA_FILE.token);
    // The first manager of a data directory makes the token.
    if (!(await Bun.file(file).exists())) await reach();
    const text = await readFile(file, "utf8").catch((cause: unknown) => {
      throw new Fault("unauthenticated", `the token cannot be read from ${file}`, {
        cause,
        hint: "Only the user who runs the manager may read it; LINKSPAN_DATA_DIR says where it is.",
      });
    });
    if (json) printJson({ token: text.trim(), file });
    else print(text.trim());
  },
});
