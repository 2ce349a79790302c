import { onStdout, stdoutColumns } from "./terminal.ts";

export interface Column {
  title: string;
  /** Numbers read better when they end below each other. */
  right?: boolean;
  /** Cut to what the terminal has left; nothing is cut where stdout is no terminal. */
  clip?: boolean;
}

const GAP = 3;

/**
 * Aligned columns under a heading. Cells may carry colour; width is what a terminal shows. At most one column, the
 * last, should be clipped.
 */
export function table(columns: Column[], rows: string[][], columnsMax = stdoutColumns()): string {
  const widths = columns.map((column, at) =>
    Math.max(Bun.stringWidth(column.title), ...rows.map((row) => Bun.stringWidth(row[at] ?? ""))),
  );
  const heading = columns.map((column) => onStdout.dim(column.title));
  const lines = [heading, ...rows].map((row) => line(columns, widths, row, columnsMax));
  return lines.join("\n");
}

function line(columns: Column[], widths: number[], row: string[], columnsMax: number | undefined): string {
  let text = "";
  let used = 0;
  for (const [at, column] of columns.entries()) {
    const width = widths[at] ?? 0;
    let cell = row[at] ?? "";
    if (column.clip && columnsMax !== undefined) cell = clip(cell, Math.max(12, columnsMax - used));
    const padding = " ".repeat(Math.max(0, width - Bun.stringWidth(cell)));
    const isLast = at === columns.length - 1;
    text += column.right ? padding + cell : cell + (isLast ? "" : padding);
    if (!isLast) text += " ".repeat(GAP);
    used += width + GAP;
  }
  return text.trimEnd();
}

function clip(text: string, widthMax: number): string {
  if (Bun.stringWidth(text) <= widthMax) return text;
  let cut = "";
  for (const character of text) {
    if (Bun.stringWidth(cut + character) > widthMax - 1) break;
    cut += character;
  }
  return `${cut}…`;
}
