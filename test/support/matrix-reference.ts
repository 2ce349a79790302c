/** Writes docs/matrix.md from the cells of test/matrix; test/matrix/docs.unit.test.ts checks that it was done. */
import { join } from "node:path";
import { cellsOf, fileOf, type ServerKind, SERVERS } from "../matrix/cells.ts";
import { CLIENTS } from "../matrix/peers.ts";
import { WAYS } from "../matrix/ways.ts";

export const MATRIX_PAGE = join(import.meta.dir, "../../docs/matrix.md");

const HEAD = `# Which client reaches which server

Every cell of these tables is a test that holds the same conversation (test/matrix/conversation.ts) with a real client: tools
and their errors, elicitation, sampling and roots, prompts, resources, templates, completion, progress, log messages, changes
of the list of tools, and cancellation; what of it the official server has, there. "Legacy" is MCP up to 2025-11-25, "modern" is 2026-07-28; how one becomes the other is
in [eras](eras.md). This page is generated (\`bun test/support/matrix-reference.ts\`).
`;

/** The page as it should be. */
export function matrixPage(): string {
  return [HEAD, ...(Object.keys(SERVERS) as ServerKind[]).map(section)].join("\n");
}

function section(server: ServerKind): string {
  const cells = cellsOf(server);
  const rows = WAYS.map((way) => {
    const marks = CLIENTS.map((client) => {
      const at = cells.findIndex((cell) => cell.way === way && cell.client === client);
      return at < 0 ? "–" : `[${at + 1}](#tests-${server})`;
    });
    return `| ${way.name} | ${marks.join(" | ")} |`;
  });
  const list = cells.map(({ name }, at) => `${at + 1}. ${name}`);
  return [
    `## ${SERVERS[server].replace(/^./, (first) => first.toUpperCase())}`,
    "",
    `| over | ${CLIENTS.map(({ name }) => name).join(" | ")} |`,
    `| --- | ${CLIENTS.map(() => "---").join(" | ")} |`,
    ...rows,
    "",
    `<a id="tests-${server}"></a>The tests, in [${fileOf(server)}](../${fileOf(server)}):`,
    "",
    ...list,
    "",
  ].join("\n");
}

if (import.meta.main) await Bun.write(MATRIX_PAGE, matrixPage());
